/**
 * The aio mode: servers written with callbacks, as with LIB-ZC's `zaio` functions.
 *
 * A server program registers what it serves and is done: {@linkcode aioServerMain} takes its
 * listening sockets from the master, {@linkcode aioServerGeneralAioRegister} accepts on them and
 * calls back with an {@linkcode Aio} for each connection.
 *
 * @example An echo server, one line at a time
 * ```ts
 * import {
 *   type Aio,
 *   aioServerGeneralAioRegister,
 *   aioServerMain,
 *   defaultAioBase,
 * } from "@zc/master/aio-server";
 *
 * function nextLine(aio: Aio) {
 *   aio.gets(10240, afterLine);
 * }
 *
 * function afterLine(aio: Aio) {
 *   if (aio.result < 1) return aio.close();
 *   aio.cacheWrite(aio.getReadCache(aio.result));
 *   aio.cacheFlush(nextLine);
 * }
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await aioServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         aioServerGeneralAioRegister(defaultAioBase, fd, fdType, nextLine);
 *       },
 *     }),
 *   );
 * }
 * ```
 *
 * @module
 */
import { serverLifecycle } from "./src/server/lifecycle/lifecycle.ts";
import { ownArguments } from "./src/os/ffi/proc_self.ts";
import { runServer } from "./src/server/runtime/runtime.ts";
import type { ServerHooks } from "./src/server/runtime/server.ts";

export { Aio, type AioCallback, type AioConn, aioCreate } from "./src/server/aio/aio.ts";
export { AioBase, aioBaseCreate, type AioBaseOptions } from "./src/server/aio/base.ts";
export {
  aioServerGeneralAioRegister,
  type AioService,
  type AioServiceOptions,
  defaultAioBase,
} from "./src/server/aio/service.ts";
export * from "./src/server/common.ts";

/**
 * Runs an aio server until it is told to stop (LIB-ZC's `zaio_server_main`).
 *
 * Needs Linux on x86-64 or arm64. Under a master it works with any permissions, and with none; it is
 * fastest with all: `-A`. Alone it needs `--allow-ffi`.
 *
 * @param hooks What the program serves, and what it does at the turning points of its life.
 * @param args The command line, which a master supplies; by hand
 * `alone -server-service 127.0.0.1:8899`.
 * @returns The exit code: 0 after an orderly end, 1 when it can't start. Once it is there the
 * process should end with it.
 */
export function aioServerMain(
  hooks: ServerHooks,
  args: readonly string[] = ownArguments(),
): Promise<number> {
  return runServer(hooks, args);
}

/**
 * Ends the server after a time, whatever is under way then (LIB-ZC's `zaio_server_stop_notify`).
 *
 * @param seconds The time; 0 is at once. Of several calls the earliest end counts.
 */
export function aioServerStopNotify(seconds: number): void {
  serverLifecycle.stopNotify(seconds);
}

/**
 * Leaves the master, which starts another process in this one's place and leaves this one alone
 * from then on (LIB-ZC's `zaio_server_detach_from_master`). This one accepts no more, and ends after
 * `server-stop-on-softstop-after`, less than a second counting as an hour.
 */
export function aioServerDetachFromMaster(): void {
  serverLifecycle.detach();
}
