/**
 * The run settings, which every program applies to its own process once, at its start (LIB-ZC section 1).
 *
 * @module
 */
import {
  enter,
  gainNothing,
  gainsNothing as doesGainNothing,
  prepareForAnotherRoot,
} from "../os/user/credentials.ts";
import { isWithoutCaches, withoutCaches, writableCaches } from "../os/process/deno_dir.ts";
import { changeEnvironment, environmentOf } from "../os/process/environment.ts";
import { SysError } from "../os/ffi/errors.ts";
import {
  type Credentials,
  credentialsOf,
  findUser,
  hasCredentials,
  UnknownAccountError,
} from "../os/user/accounts.ts";
import { startAgain } from "../os/process/exec.ts";
import { limitCoreFile, limitMemory } from "../os/process/limits.ts";
import { changeDirectory } from "../os/fs/path.ts";
import { systemReason } from "./cf.ts";
import { type Config, settingOrigin } from "./config.ts";
import { isAnySet, readStrictly } from "./effective.ts";
import { cannot, ConfigError, gather, type Problem, problemAt } from "./errors.ts";
import {
  CORE_FILE_SIZE,
  MAX_MEMORY,
  RUN_CHDIR,
  RUN_CHROOT,
  RUN_USER,
  SERVER_CHROOT,
  SERVER_GROUP,
  SERVER_USER,
} from "./settings.ts";
import type { Setting } from "./setting.ts";

/** The expected value of each. */
const EXPECTED: Readonly<Record<string, string>> = {
  [CORE_FILE_SIZE.name]: "a limit that this process may set",
  [MAX_MEMORY.name]: "a limit that this process may set",
  [RUN_USER.name]: "a user of this system, and a process of root",
  [RUN_CHROOT.name]: "a directory, and a process of root",
  [RUN_CHDIR.name]: "a directory that the process may enter",
  [SERVER_USER.name]: "a user of this system, and a process of root",
  [SERVER_GROUP.name]: "a group of this system, and a process of root",
  [SERVER_CHROOT.name]: "a directory, and a process of root",
};

const NO_CACHES = "a server-command that leaves DENO_DIR as the master sets it";

/** The settings that reduce a program's privileges. */
const LOSING = [RUN_USER, RUN_CHROOT, SERVER_USER, SERVER_GROUP, SERVER_CHROOT];

/**
 * Re-executes this program if it is about to drop privileges and has files open that would outlive that: caches
 * of Deno that it may write to. Must be called before any resource is in use; inherited descriptors stay. Does
 * nothing in a program that was re-executed already.
 *
 * @param config The settings.
 * @param options `gainsNothing`: whether to set no_new_privs.
 */
export function startAgainIfPrivileged(
  config: Config,
  { gainsNothing }: { readonly gainsNothing: boolean },
): void {
  if (!isAnySet(config, LOSING) || isWithoutCaches()) return;
  if (writableCaches().length === 0 && (!gainsNothing || doesGainNothing())) return;
  startAgain(withoutCaches(), { gainsNothing });
}

/**
 * Applies `core-file-size`, `max-memory`, `run-user`, `run-chroot` and `run-chdir` to this process. Without any
 * of them it does nothing, and needs no permission.
 *
 * @param config The settings.
 * @param options `isServer`: whether the process serves clients, and must not be able to regain privileges.
 * `onRefusedLimit`: receives a limit that is not permitted; without it that is an error.
 * @throws {ConfigError} When one of them is invalid or not permitted. The process should then end: it may have
 * changed in part.
 */
export async function applyRunSettings(
  config: Config,
  { isServer = false, onRefusedLimit }: {
    readonly isServer?: boolean;
    readonly onRefusedLimit?: (problem: Problem) => void;
  } = {},
): Promise<void> {
  const problems: Problem[] = [];
  gather(problems, () => apply(config, CORE_FILE_SIZE, limitCoreFile));
  gather(problems, () => apply(config, MAX_MEMORY, limitMemory));
  if (problems.length > 0 && onRefusedLimit === undefined) throw new ConfigError(problems);
  for (const problem of problems) onRefusedLimit!(problem);
  const root = readStrictly(config, RUN_CHROOT);
  if (root !== undefined) await prepareForAnotherRoot({ isConfined: isServer });
  const change = isServer ? become : enterAs;
  if (readStrictly(config, RUN_USER) === undefined) {
    apply(config, RUN_CHROOT, (path) => change(undefined, path));
  } else {
    // One step, since the change of root comes between those of group and user.
    apply(config, RUN_USER, (name) => change(knownUser(name), root));
  }
  applyDirectory(config);
}

/**
 * Applies only `run-chdir`, for a process whose starter has applied the rest.
 *
 * @param config The settings.
 * @throws {ConfigError} When it is invalid or not permitted.
 */
export function applyDirectory(config: Config): void {
  apply(config, RUN_CHDIR, changeDirectory);
}

/**
 * Applies `server-user`, `server-group` and `server-chroot` to this process, permanently. Without any of them, and
 * for a process that has these credentials already, it does nothing.
 *
 * @param config The settings.
 * @param beforehand Called before the change, with its description.
 * @returns Whether anything has changed. The parent death signal is cleared then.
 * @throws {ConfigError} When one of them is invalid or not permitted. The process should then end: it may have
 * changed in part.
 */
export async function dropPrivileges(
  config: Config,
  beforehand: (change: string) => Promise<void>,
): Promise<boolean> {
  const user = readStrictly(config, SERVER_USER), group = readStrictly(config, SERVER_GROUP);
  const root = readStrictly(config, SERVER_CHROOT);
  const names = { user, group };
  const keyOf = (error: unknown) => keyOfRefusal(error, names);
  let credentials = user === undefined && group === undefined
    ? undefined
    : attempt(config, keyOf, () => credentialsOf(names));
  if (credentials !== undefined && hasCredentials(credentials)) credentials = undefined;
  if (credentials === undefined && root === undefined) return false;
  const words = { user: credentials && user, group: credentials && group, root };
  await beforehand(
    Object.entries(words).flatMap(([name, value]) => value === undefined ? [] : `${name} ${value}`)
      .join(", "),
  );
  if (root !== undefined) await prepareForAnotherRoot({ isConfined: true });
  attempt(config, keyOf, () => become(credentials, root));
  return true;
}

/** Changes credentials and root, with no open file that leads back. */
function become(credentials: Credentials | undefined, root: string | undefined): void {
  const [cache] = writableCaches();
  if (cache !== undefined) throw new CacheError(cache);
  gainNothing(credentials);
  enterAs(credentials, root);
}

/** Changes credentials and root, and the variables of the user, which programs started later inherit. */
function enterAs(credentials: Credentials | undefined, root: string | undefined): void {
  enter(credentials, root);
  if (credentials !== undefined) changeEnvironment(environmentOf(credentials));
}

/** A cache whose content other programs run is still open for writing. */
class CacheError extends Error {
  readonly found: string;

  constructor(path: string) {
    super(path);
    this.found = `the program has Deno's cache "${path}" open for writing`;
  }
}

/** The setting that an error of {@linkcode credentialsOf} or of {@linkcode enter} is about. */
function keyOfRefusal(error: unknown, { user }: { readonly user: string | undefined }): string {
  if (error instanceof SysError && ["chroot", "chdir"].includes(error.syscall)) {
    return SERVER_CHROOT.name;
  }
  const isOfUser = error instanceof UnknownAccountError
    ? error.which === "user"
    : user !== undefined;
  return isOfUser ? SERVER_USER.name : SERVER_GROUP.name;
}

function attempt<T>(config: Config, keyOf: (error: unknown) => string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw refused(config, keyOf(cause), cause);
  }
}

/** LIB-ZC accepts a name here, and no number. */
function knownUser(user: string): Credentials {
  if (findUser(user) === undefined) throw new TypeError("no such user");
  return credentialsOf({ user });
}

/** Applies a setting, if it is set; an error names its place. */
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
  const found = cause instanceof SysError || cause instanceof CacheError
    ? cause.found
    : systemReason(cause);
  const expected = cause instanceof CacheError ? NO_CACHES : EXPECTED[key];
  const message = cannot("apply", config.getStr(key), { found, expected });
  return new ConfigError([problemAt(settingOrigin(config, key), { key, message })], { cause });
}
