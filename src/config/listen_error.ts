/**
 * The description of an error of opening an address, with a hint for the user.
 *
 * @module
 */
import { EADDRINUSE, SysError } from "../os/ffi/errors.ts";
import { describeInUse } from "../os/process/address_holders.ts";
import type { Endpoint } from "./address.ts";
import { systemReason } from "./cf.ts";
import { cannot } from "./errors.ts";

/** Whether an error says that another program listens on the address. */
export function isAddressInUse(error: Error): error is SysError {
  return error instanceof SysError && error.errno === EADDRINUSE;
}

/** Describes why an address could not be opened, and what would be right in its place. */
export function listenRefusal(endpoint: Endpoint, error: Error): string {
  // Not an error of the system, from libc or from the runtime's file calls.
  if (!("code" in error)) return error.message;
  const found = isAddressInUse(error)
    ? `${describeInUse(endpoint)} (${error.syscall}: ${error.code})`
    : error instanceof SysError
    ? error.found
    : `${systemReason(error)} (${error.code})`;
  const expected = remedyFor(String(error.code), endpoint.kind);
  // A relative path alone would not show where it was looked for.
  const place = endpoint.kind === "inet" ? endpoint.text : endpoint.path;
  return cannot("listen on", place, { found, expected });
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
