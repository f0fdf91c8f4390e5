/**
 * The environment of a program that this process starts or executes.
 *
 * @module
 */
import type { Credentials } from "../user/accounts.ts";
import { cString, libc } from "../ffi/libc.ts";

/** Variables to set; an undefined value removes the variable. */
export type EnvironmentChange = Readonly<Record<string, string | undefined>>;

/** Directories of one user (XDG Base Directory Specification), which another user can't use. */
const OF_ONE_USER = ["CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"]
  .map((name) => `XDG_${name}`);

/** Reads a variable of this process; undefined without it, and without the permission to read it. */
export function readableVariable(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}

/** Returns the environment of this process with a change applied. */
export function environmentWith(change: EnvironmentChange): Record<string, string> {
  const all = Object.entries({ ...Deno.env.toObject(), ...change });
  return Object.fromEntries(
    all.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/**
 * Returns the variables of another user: HOME, USER and LOGNAME. A user without a passwd entry gets the
 * home `/`, as with login(1), and no name.
 *
 * @param credentials The credentials of the program; with only a group nothing changes.
 */
export function environmentOf({ uid, name, home = "/" }: Credentials): EnvironmentChange {
  if (uid === undefined) return {};
  const removed = Object.fromEntries(OF_ONE_USER.map((variable) => [variable, undefined]));
  return { ...removed, HOME: home, USER: name, LOGNAME: name };
}

/** Returns the environment of this process with a change applied, in the form of execve(2). */
export function environmentTexts(change: EnvironmentChange): string[] {
  return Object.entries(environmentWith(change)).map(([name, value]) => `${name}=${value}`);
}

/** Changes the environment of this process. Unlike the runtime's calls, it needs no permission but FFI. */
export function changeEnvironment(change: EnvironmentChange): void {
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) libc().unsetenv(cString(name));
    else libc().setenv(cString(name), cString(value), 1);
  }
}
