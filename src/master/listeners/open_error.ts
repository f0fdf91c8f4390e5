/**
 * Turns an error of opening an address into a problem of the configuration.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { cannot } from "../../config/errors.ts";
import { isAddressInUse, listenRefusal } from "../../config/listen_error.ts";

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
  const isInUse = isAddressInUse(error);
  const rival = endpoint.kind === "inet" && isInUse
    ? [...own].find((key) => key.endsWith(`:${endpoint.port}`))
    : undefined;
  if (rival !== undefined) {
    const found = `this master itself listens on ${rival}`;
    const expected =
      "that address to be closed by one reload, and this one to be opened by the next";
    return { message: cannot("listen on", endpoint.text, { found, expected }) };
  }
  return { message: listenRefusal(endpoint, error), isInUse };
}
