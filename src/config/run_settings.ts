/**
 * The run settings: what every program does to its own process once, at its start (LIB-ZC
 * section 1).
 *
 * @module
 */
import { enter, findUser, prepareForAnotherRoot } from "../os/credentials.ts";
import { SysError } from "../os/errors.ts";
import { limitCoreFile, limitMemory } from "../os/limits.ts";
import { systemReason } from "./cf.ts";
import type { Config } from "./config.ts";
import { readStrictly } from "./effective.ts";
import { cannot, ConfigError, problemAt } from "./errors.ts";
import { CORE_FILE_SIZE, MAX_MEMORY, RUN_CHDIR, RUN_CHROOT, RUN_USER } from "./settings.ts";
import type { Setting } from "./setting.ts";

/** What each of them takes. */
const EXPECTED: Readonly<Record<string, string>> = {
  [CORE_FILE_SIZE.name]: "a limit that this process may set",
  [MAX_MEMORY.name]: "a limit that this process may set",
  [RUN_USER.name]: "a user of this system, and a process of root",
  [RUN_CHROOT.name]: "a directory, and a process of root",
  [RUN_CHDIR.name]: "a directory that the process may enter",
};

/**
 * Applies `core-file-size`, `max-memory`, `run-user`, `run-chroot` and `run-chdir` to this process.
 * Without any of them nothing is done, and no permission needed.
 *
 * @param config The settings.
 * @throws {ConfigError} When one of them is wrong or not permitted. The process should then end: it
 * may have changed in part.
 */
export async function applyRunSettings(config: Config): Promise<void> {
  apply(config, CORE_FILE_SIZE, limitCoreFile);
  apply(config, MAX_MEMORY, limitMemory);
  const root = readStrictly(config, RUN_CHROOT);
  if (root !== undefined) await prepareForAnotherRoot();
  if (readStrictly(config, RUN_USER) === undefined) {
    apply(config, RUN_CHROOT, (path) => enter(undefined, path));
  } else {
    // One step, since the change of root comes between those of group and user.
    apply(config, RUN_USER, (name) => enter(knownUser(name), root));
  }
  applyDirectory(config);
}

/**
 * Applies `run-chdir` alone, for a process that has all else from the one that started it.
 *
 * @param config The settings.
 * @throws {ConfigError} When it is wrong or not permitted.
 */
export function applyDirectory(config: Config): void {
  apply(config, RUN_CHDIR, (path) => Deno.chdir(path));
}

function knownUser(name: string): ReturnType<typeof findUser> {
  const user = findUser(name);
  if (user === undefined) throw new Error("no such user");
  return user;
}

/** Does what a setting asks for, if it is set; an error names the place where it was set. */
function apply<T>(config: Config, setting: Setting<T | undefined>, act: (value: T) => void): void {
  const value = readStrictly(config, setting);
  if (value === undefined) return;
  try {
    act(value);
  } catch (cause) {
    const ofRoot = cause instanceof SysError && cause.syscall === "chroot";
    throw refused(config, ofRoot ? RUN_CHROOT.name : setting.name, cause);
  }
}

function refused(config: Config, key: string, cause: unknown): ConfigError {
  const found = cause instanceof SysError ? cause.found : systemReason(cause);
  const message = cannot("apply", config.getStr(key), { found, expected: EXPECTED[key] });
  return new ConfigError([problemAt(config.origin(key), { key, message })], { cause });
}
