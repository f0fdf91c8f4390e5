/**
 * The mode and owner of a service's socket files, as settings.
 *
 * Pure: users and groups are looked up elsewhere.
 *
 * @module
 */
import { cannot } from "./errors.ts";
import { parsedKind, type ValueKind } from "./values.ts";

const MODE_FORM = "three octal digits such as 0660";
const OWNER_FORM = "USER, USER:GROUP or :GROUP, each a name or a number";

/** The owner of a file: at least one of the two, each a name or a number. */
export interface SocketOwner {
  readonly user?: string;
  readonly group?: string;
}

/** The mode bits of a socket file. */
export const SOCKET_MODE: ValueKind<number> = parsedKind(parseSocketMode, {
  placeholder: "MODE",
  expected: MODE_FORM,
});

/** A user, a group, or both. */
export const SOCKET_OWNER: ValueKind<SocketOwner> = parsedKind(parseSocketOwner, {
  placeholder: "USER:GROUP",
  expected: OWNER_FORM,
});

/**
 * Reads a mode.
 *
 * @param text Such as `0660` or `660`.
 * @returns Its bits.
 * @throws {TypeError} When it is anything else.
 */
export function parseSocketMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return parseInt(text, 8);
  const found = /^[0-7]{4}$/.test(text)
    ? "bits beyond 0777"
    : /^[0-9]+$/.test(text)
    ? "not three octal digits"
    : "not octal";
  throw new TypeError(cannot("read", text, { found, expected: MODE_FORM }));
}

/**
 * Reads an owner.
 *
 * @param text Such as `www`, `www:mail`, `:mail` or `33:8`.
 * @returns Its parts.
 * @throws {TypeError} When it has none of these forms.
 */
export function parseSocketOwner(text: string): SocketOwner {
  const [, user, colon, group] = /^([^:\s]*)(:?)([^:\s]*)$/.exec(text) ?? [];
  const found = user === undefined
    ? "none of the forms"
    : colon !== "" && group === ""
    ? "no group after the colon"
    : undefined;
  if (found !== undefined) {
    throw new TypeError(cannot("read", text, { found, expected: OWNER_FORM }));
  }
  return { ...(user !== "" && { user }), ...(group !== "" && { group }) };
}
