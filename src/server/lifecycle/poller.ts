/**
 * The one poller of a server process: for its control socket and its named pipes.
 *
 * @module
 */
import { zinfo } from "../../log/log.ts";
import { Poller } from "../../os/fd/poller.ts";

/** See {@linkcode Poller}; it runs only while something is watched. */
export const serverPoller: Poller = new Poller((error) => zinfo("unexpected error:", error));
