/**
 * Opens the pid file's lock and the log service of a master. Errors name the responsible setting.
 *
 * @module
 */
import { defaultConfig, settingOrigin } from "../config/config.ts";
import { readStrictly } from "../config/effective.ts";
import { cannot, ConfigError, problemAt } from "../config/errors.ts";
import type { LogServiceConfig } from "../config/log_target.ts";
import { LOG_SERVICE, PID_FILE, type Setting } from "../config/settings.ts";
import { logEnd } from "../log/log.ts";
import type { LogService } from "../log/log_service.ts";
import type { BoundDatagram } from "../os/net/bound_datagram.ts";
import { EADDRINUSE, ELOOP, ESTALE, SysError } from "../os/ffi/errors.ts";
import { PidFile } from "../os/process/lock_file.ts";
import { describeProcess } from "../os/process/processes.ts";
import { isDirectory } from "../os/process/program_lookup.ts";

/** Another process holds the lock of the pid file. */
export class MasterRunsError extends ConfigError {
  override readonly name = "MasterRunsError";
}

/**
 * Takes the lock of the pid file, and writes the pid.
 *
 * @returns The lock.
 * @throws {MasterRunsError} When another process holds it.
 * @throws {ConfigError} When the file can't be created or written.
 */
export function lockPidFile(): PidFile {
  const lock = tryPidFile();
  if (lock === undefined) {
    const path = pidFilePath(), holder = PidFile.holderOf(path);
    const expected = "no running master, or another -pid-file";
    const who = holder === undefined ? "another process" : describeProcess(holder);
    const about = { found: `${who} holds the lock`, expected };
    throw new MasterRunsError(unusable(PID_FILE, cannot("lock", path, about)).problems);
  }
  lock.write(Deno.pid);
  return lock;
}

/**
 * Takes the lock of the pid file, unless another process holds it.
 *
 * @returns The lock; undefined if another process holds it.
 * @throws {ConfigError} When the file can't be created or written.
 */
export function tryPidFile(): PidFile | undefined {
  const path = pidFilePath();
  try {
    return PidFile.tryLock(path);
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    const expected = "a file that can be made and written, in a directory that exists";
    const about = { found: cause.found, expected };
    throw unusable(PID_FILE, cannot("lock", path, about), cause);
  }
}

/**
 * Checks that an inherited lock is that of this process's own pid file.
 *
 * @param lock The lock.
 * @throws {ConfigError} When the settings name another file, or the file was replaced: other
 * processes would find it unlocked.
 */
export function requireSamePidFile(lock: PidFile): void {
  const path = pidFilePath();
  if (lock.isAt(path)) return;
  const about = {
    found: `the lock on another ${lock.path}`,
    expected: "the same file all the time",
  };
  throw unusable(PID_FILE, cannot("take over", path, about));
}

const pidFilePath = (): string => readStrictly(defaultConfig, PID_FILE);

/**
 * Opens the log service. Its module is loaded only then, since most masters have no log service.
 *
 * @param config Its socket and files.
 * @param bound Its open socket, if an old master has handed it over.
 * @returns The service.
 * @throws {ConfigError} When its socket can't be bound.
 */
export async function openLogService(
  config: LogServiceConfig,
  bound?: BoundDatagram,
): Promise<LogService> {
  const { LogService } = await import("../log/log_service.ts");
  warnOfDirectory(config.prefix);
  try {
    return LogService.open({ ...config, bound });
  } catch (cause) {
    // A file of another kind is at its path.
    if (cause instanceof TypeError) throw unusable(LOG_SERVICE, cause.message, cause);
    if (!(cause instanceof SysError)) throw cause;
    const expected = cause.errno === EADDRINUSE
      ? "a path at which no other master receives"
      : [ELOOP, ESTALE].includes(cause.errno)
      ? "a path that no other user can lead elsewhere"
      : "a free path in a directory that exists";
    const about = { found: cause.found, expected };
    throw unusable(LOG_SERVICE, cannot("receive log lines at", config.socket, about), cause);
  }
}

/** Warns of log files that can't be written; their directory may come later, as that of a mount does. */
function warnOfDirectory(prefix: string): void {
  const directory = prefix.replace(/[^/]*$/, "");
  if (directory === "" || isDirectory(directory)) return;
  const about = { found: `no directory "${directory}"`, expected: "a directory that exists" };
  logEnd(unusable(LOG_SERVICE, cannot("write log files", prefix, about)).message, "warn");
}

/** The error for a valid setting that the system refuses. */
function unusable({ name: key }: Setting<unknown>, message: string, cause?: unknown): ConfigError {
  return new ConfigError([problemAt(settingOrigin(defaultConfig, key), { key, message })], {
    cause,
  });
}
