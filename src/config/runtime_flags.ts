/**
 * The flags of the runtime with which a program starts itself again: those that say how its modules are
 * found and run. Permissions come from `server-permissions`, and the flags for a debugger, a profile or a
 * watcher are for one process alone.
 *
 * @module
 */
import { readFlags, VALUED, wordOf } from "./deno_flags.ts";

/** Flags without a value, or with one in the same word. */
const PLAIN = new RegExp(
  "^(?:allow-scripts|cached-only|check|frozen|frozen-lockfile|no-check|no-code-cache|no-config|" +
    "no-lock|no-npm|no-remote|node-modules-dir|quiet|unsafely-ignore-certificate-errors|" +
    "unstable(?:-[a-z-]+)?|use-env-proxy|v8-flags|vendor)$",
);

/**
 * Picks the flags that a further process of the same program needs.
 *
 * @param flags The flags before the main module, as they were given.
 * @param resolve Makes a path absolute.
 * @returns The flags, each in one word.
 */
export function flagsToPassOn(
  flags: readonly string[],
  resolve: (path: string) => string,
): string[] {
  return readFlags(flags).flatMap(({ name, value }) => {
    const kind = VALUED.get(name);
    if (kind === "of one process" || kind === undefined && !PLAIN.test(name)) return [];
    const isPath = kind === "path" && value !== undefined;
    return wordOf({ name, value: isPath ? located(value, resolve) : value });
  });
}

/** A path from the root on; a URL stays. */
function located(value: string, resolve: (path: string) => string): string {
  return /^[a-z][a-z\d+.-]*:/i.test(value) ? value : resolve(value);
}
