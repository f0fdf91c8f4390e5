/**
 * The environment of a program that this process starts, or becomes.
 *
 * @module
 */
import type { Identity } from "../user/identity.ts";
import { cString, libc } from "../ffi/libc.ts";

/** Variables to set; one that is undefined is removed. */
export type EnvironmentChange = Readonly<Record<string, string | undefined>>;

/** Directories of one user (XDG Base Directory Specification), of no use to another. */
const OF_ONE_USER = ["CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"]
  .map((name) => `XDG_${name}`);

/**
 * The environment of this process with a change.
 *
 * @param change The change.
 */
export function environmentWith(change: EnvironmentChange): Record<string, string> {
  const all = Object.entries({ ...Deno.env.toObject(), ...change });
  return Object.fromEntries(
    all.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/**
 * What another user than that of this process finds in the environment: HOME, USER and LOGNAME. A user
 * that the system does not know has `/` for a home, as with login(1), and no name.
 *
 * @param identity Whom the program is to run as; with a group alone nothing changes.
 */
export function environmentOf({ uid, name, home = "/" }: Identity): EnvironmentChange {
  if (uid === undefined) return {};
  const removed = Object.fromEntries(OF_ONE_USER.map((variable) => [variable, undefined]));
  return { ...removed, HOME: home, USER: name, LOGNAME: name };
}

/**
 * The environment of this process with a change, in the form of execve(2).
 *
 * @param change The change.
 */
export function environmentTexts(change: EnvironmentChange): string[] {
  return Object.entries(environmentWith(change)).map(([name, value]) => `${name}=${value}`);
}

/**
 * Changes the environment of this process. Unlike the runtime's own calls it wants no permission beside
 * FFI.
 *
 * @param change The change.
 */
export function changeEnvironment(change: EnvironmentChange): void {
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) libc().unsetenv(cString(name));
    else libc().setenv(cString(name), cString(value), 1);
  }
}
