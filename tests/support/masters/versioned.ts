/**
 * A master of which there can be several versions: the file that the variable `VERSION` names is
 * loaded when it starts, and its `beforeService` is the master's.
 *
 * @module
 */
import { masterServerMain } from "../../../master.ts";

const { beforeService } = await import(`file://${Deno.env.get("VERSION")}`);

Deno.exit(await masterServerMain({ beforeService }));
