/**
 * A server that logs a line of each level, and serves nothing.
 *
 * @module
 */
import { coroutineServerMain, zdebug, zerror, zinfo, zwarn } from "../../../coroutine_server.ts";

function serviceRegister(): void {
  zdebug("in detail");
  zinfo("as usual");
  zwarn("odd\nand more");
  zerror("wrong");
}

Deno.exit(await coroutineServerMain({ serviceRegister }));
