/**
 * What can be wrong with the fields of a message, whatever the other end has sent.
 *
 * @module
 */

/** The payload of a message, about which nothing is known. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Says what is wrong with a field that should be a whole number from 0 on.
 *
 * @param fields The payload.
 * @param name The field's name.
 */
export function countProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? undefined
    : `${name} is ${describe(value)}, expected a whole number from 0 on`;
}

/**
 * A value for an error message, which stays short whatever it is.
 *
 * @param value The value.
 */
export function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "a list" : "an object";
  }
  return JSON.stringify(value)?.slice(0, 80) ?? "missing";
}
