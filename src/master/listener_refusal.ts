/**
 * Why an address could not be opened, in the words of a configuration's problem.
 *
 * @module
 */
import type { Endpoint } from "../config/address.ts";
import { systemReason } from "../config/cf.ts";
import { cannot } from "../config/errors.ts";
import type { ServiceEndpoint } from "../config/service.ts";
import { SysError } from "../os/errors.ts";

/**
 * Says why an address could not be opened, and what would help.
 *
 * @param named The address.
 * @param error What came of opening it.
 * @param own The keys of all addresses that this master listens on itself.
 */
export function refusalOf(
  { endpoint, address }: ServiceEndpoint,
  error: Error,
  own: Iterable<string>,
): string {
  // An error of the system, from libc or from the runtime's calls for files.
  if (!("code" in error)) return error.message;
  const rival = endpoint.kind === "inet" && error.code === "EADDRINUSE"
    ? [...own].find((key) => key.endsWith(`:${endpoint.port}`))
    : undefined;
  if (rival !== undefined) {
    return cannot("listen on", address, {
      found: `this master itself listens on ${rival}`,
      expected: "that address to be closed by one reload, and this one to be opened by the next",
    });
  }
  // A relative path alone would not tell where it was looked for.
  return cannot("listen on", endpoint.kind === "inet" ? address : endpoint.path, {
    found: error instanceof SysError ? error.found : `${systemReason(error)} (${error.code})`,
    expected: remedyFor(String(error.code), endpoint.kind),
  });
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
    default:
      return "a listener that the system can open";
  }
}
