/**
 * Turns an error of opening an address into a problem of the configuration.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { systemReason } from "../../config/cf.ts";
import { cannot } from "../../config/errors.ts";
import { describeInUse } from "../../os/process/address_holders.ts";
import { EADDRINUSE, SysError } from "../../os/ffi/errors.ts";

/** Why an address could not be opened. */
export interface Refusal {
  /** The message, with a hint for the user. */
  readonly message: string;
  /** Whether another program listens on the address; it may end. */
  readonly isInUse?: boolean;
}

/**
 * Describes why an address could not be opened, with a hint for the user.
 *
 * @param endpoint The address.
 * @param error The error.
 * @param own The keys of all addresses of this master.
 */
export function refusalOf(
  endpoint: Endpoint,
  error: Error,
  own: Iterable<string>,
): Refusal {
  // A system error, from libc or from the runtime's file calls.
  if (!("code" in error)) return { message: error.message };
  const isInUse = error instanceof SysError && error.errno === EADDRINUSE;
  const rival = endpoint.kind === "inet" && isInUse
    ? [...own].find((key) => key.endsWith(`:${endpoint.port}`))
    : undefined;
  if (rival !== undefined) {
    const found = `this master itself listens on ${rival}`;
    const expected =
      "that address to be closed by one reload, and this one to be opened by the next";
    return { message: cannot("listen on", endpoint.text, { found, expected }) };
  }
  const found = isInUse
    ? `${describeInUse(endpoint)} (${error.syscall}: ${error.code})`
    : error instanceof SysError
    ? error.found
    : `${systemReason(error)} (${error.code})`;
  const expected = remedyFor(String(error.code), endpoint.kind);
  // A relative path alone would not show where it was looked for.
  const place = endpoint.kind === "inet" ? endpoint.text : endpoint.path;
  return { message: cannot("listen on", place, { found, expected }), isInUse };
}

function remedyFor(code: string, kind: Endpoint["kind"]): string {
  switch (code) {
    case "EADDRINUSE":
      return "an address that no other program listens on";
    case "EADDRNOTAVAIL":
      return "an address of this machine";
    case "EACCES":
    case "EPERM":
      return kind === "inet"
        ? "a port that this user may listen on"
        : "a path that this user may make and use";
    case "ENOENT":
    case "ENOTDIR":
      return "a path in a directory that exists";
    case "ELOOP":
    case "ESTALE":
      return "a path that no other user can lead elsewhere";
    default:
      return "a listener that the system can open";
  }
}
