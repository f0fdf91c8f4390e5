/**
 * The coroutine mode: servers written with async and await.
 *
 * A server program registers what it serves and is done: {@linkcode coroutineServerMain} takes its
 * listening sockets from the master, {@linkcode coroutineServe} or {@linkcode coroutineListen}
 * accepts on them.
 *
 * @example An echo server
 * ```ts
 * import { coroutineServe, coroutineServerMain } from "@zc/master/coroutine-server";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister: (_service, fd, fdType) =>
 *         coroutineServe(fd, fdType, (conn) => conn.readable.pipeTo(conn.writable)),
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

export {
  type ConnectionHandler,
  coroutineFifo,
  coroutineGo,
  coroutineListen,
  coroutineServe,
  FifoReader,
} from "./src/server/coroutine/serve.ts";
export {
  coroutineListenTls,
  coroutineServeTls,
  coroutineStartTls,
  type ServeTlsOptions,
  type StartTlsOptions,
  type TlsConnectionHandler,
} from "./src/server/coroutine/serve_tls.ts";
export * from "./src/server/common.ts";

/**
 * Runs a coroutine server until it is told to stop (LIB-ZC's `zcoroutine_server_main`).
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
export function coroutineServerMain(
  hooks: ServerHooks,
  args: readonly string[] = ownArguments(),
): Promise<number> {
  return runServer(hooks, args);
}

/**
 * Ends the server after a time, whatever is under way then (LIB-ZC's
 * `zcoroutine_server_stop_notify`).
 *
 * @param seconds The time; 0 is at once. Of several calls the earliest end counts.
 */
export function coroutineServerStopNotify(seconds: number): void {
  serverLifecycle.stopNotify(seconds);
}

/**
 * Leaves the master, which starts another process in this one's place and leaves this one alone
 * from then on (LIB-ZC's `zcoroutine_server_detach_from_master`). This one accepts no more, and ends
 * after `server-stop-on-softstop-after`, less than a second counting as an hour.
 */
export function coroutineServerDetachFromMaster(): void {
  serverLifecycle.detach();
}
