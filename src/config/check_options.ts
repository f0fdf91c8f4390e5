/**
 * The check of the options of a call, since the runtime does not check types: a misspelt `tls` would serve without it.
 *
 * @module
 */
import { cannot } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * Requires that a call has each of the options that it is given.
 *
 * @param call The name of the function.
 * @param options The options.
 * @param known The names of all its options.
 * @throws {TypeError} When one has another name.
 */
export function requireOptions<T extends object>(
  call: string,
  options: T,
  known: Readonly<Record<keyof T, true>>,
): void {
  const names = Object.keys(known);
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new TypeError(cannot("use option", name, {
      found: `${call}() has no such option`,
      expected: nearest(name, names) ?? names.join(" or "),
    }));
  }
}
