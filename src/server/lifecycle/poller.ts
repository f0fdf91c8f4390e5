/**
 * The poller of a server process, which watches its worker socket and its named pipes.
 *
 * @module
 */
import { zerror } from "../../log/log.ts";
import { Poller } from "../../os/fd/poller.ts";

/** The poller of this process; it runs only while a descriptor is watched. */
export const serverPoller: Poller = new Poller((error) => zerror("unexpected error:", error));
