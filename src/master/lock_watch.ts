/**
 * The lock watch of a master, with what the log says of it.
 *
 * @module
 */
import { logLine, zwarn } from "../log/log.ts";
import type { Poller } from "../os/fd/poller.ts";
import { LockWatch } from "../os/process/lock_watch.ts";

/** Creates the lock watch of this process; it is started with the first process of another user. */
export function masterLockWatch(poller: Poller): LockWatch {
  return new LockWatch({
    poller,
    onKilled: (pid) =>
      logLine(
        "error",
        `killed process ${pid}: it held the lock of an output or a listener, and this master had to wait`,
      ),
    onMissing: (error) =>
      zwarn(
        "no lock watch, servers of other users may make this master wait:",
        error instanceof Error ? error.message : error,
      ),
  });
}
