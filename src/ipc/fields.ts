/**
 * Checks of the fields of a message from an untrusted peer.
 *
 * @module
 */

/** The unchecked payload of a message. */
export type Fields = Readonly<Record<string, unknown>>;

/** Returns the problem of a field that must be a whole number from 0 on, if there is one. */
export function countProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? undefined
    : `${name} is ${describe(value)}, expected a whole number from 0 on`;
}

/** Describes any value for an error message, in a short form. */
export function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "a list" : "an object";
  }
  return JSON.stringify(value)?.slice(0, 80) ?? "missing";
}
