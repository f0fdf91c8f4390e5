/**
 * Turns errors of opening addresses into problems of the configuration, and these into its error.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { cannot, ConfigError, type Problem } from "../../config/errors.ts";
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

/**
 * A valid configuration can't be applied because other programs listen on some of its addresses.
 */
export class AddressesInUseError extends ConfigError {
  override readonly name = "AddressesInUseError";

  /**
   * @param problems As for {@linkcode ConfigError}.
   * @param addresses The addresses in use.
   */
  constructor(problems: readonly Problem[], readonly addresses: readonly Endpoint[]) {
    super(problems);
  }
}

/**
 * The error of a configuration whose addresses can't all be opened.
 *
 * @param problems All problems of the configuration.
 * @param inUse The addresses that have one since other programs listen on them.
 */
export function openError(
  problems: readonly Problem[],
  inUse: readonly Endpoint[],
): ConfigError {
  return problems.length === inUse.length
    ? new AddressesInUseError(problems, inUse)
    : new ConfigError(problems);
}
