/**
 * Which service a program means by an address that it asks for.
 *
 * Pure: it opens nothing.
 *
 * @module
 */
import { addressText, type ListenAddress } from "../../os/net/socket.ts";

/** An address that a program asks for. */
export type RequestedAddress = Exclude<ListenAddress, { readonly kind: "fifo" }>;

/** A service that a program may mean. */
export interface Candidate {
  readonly name: string;
  readonly address: ListenAddress;
  /** Whether the program has it already. */
  readonly isTaken: boolean;
}

/**
 * Finds the service of an address: the one with its port or path, at best with its host as well. A program with
 * exactly one service gets it for any address.
 *
 * @param requested The address.
 * @param services All services of the program.
 * @returns The index of the service; undefined where none is meant, or it is taken.
 */
export function serviceFor(
  requested: RequestedAddress,
  services: readonly Candidate[],
): number | undefined {
  const ranks = services.map(({ address, isTaken }) => isTaken ? 0 : rankOf(address, requested));
  const best = Math.max(0, ...ranks);
  if (best > 0) return ranks.indexOf(best);
  return services.length === 1 && !services[0].isTaken ? 0 : undefined;
}

/** Reads a port, which may be given as text, as a variable has it; undefined for one that the runtime refuses. */
export function portOf(given: unknown): number | undefined {
  const isText = typeof given === "string" && /^\s*[0-9]+\s*$/.test(given);
  const port = isText || typeof given === "number" ? Number(given) : NaN;
  return Number.isInteger(port) && port >= 0 && port < 65_536 ? port : undefined;
}

/** A service as `server-service` writes it. */
export function serviceText({ name, address }: Pick<Candidate, "name" | "address">): string {
  return `${name && `${name}://`}${addressText(address)}`;
}

/** Whether two addresses have the same port or path; the host may differ. */
export function isSamePlace(address: ListenAddress, requested: RequestedAddress): boolean {
  return requested.kind === "inet"
    ? address.kind === "inet" && address.port === requested.port
    : address.kind === "unix" && address.path === requested.path;
}

/** How well an address matches: 0 not at all. */
function rankOf(address: ListenAddress, requested: RequestedAddress): number {
  if (!isSamePlace(address, requested)) return 0;
  return addressText(address) === addressText(requested) ? 2 : 1;
}

/**
 * The warning about an address that is opened by the program itself.
 *
 * @param requested The address.
 * @param services All services of the program.
 */
export function warningOf(
  requested: RequestedAddress,
  services: readonly Candidate[],
): string {
  const asked = addressText(requested);
  const all = services.map((service) =>
    `${serviceText(service)}${service.isTaken ? " (listened on already)" : ""}`
  ).join(", ");
  const how = requested.kind === "inet" ? `the port ${requested.port}` : `the path ${asked}`;
  // The system gives each process a port of its own.
  const isAny = requested.kind === "inet" && requested.port === 0;
  return `Cannot pass on ${asked}: no free service has ${how}, found ${all}, expected it in ` +
    `server-service; this process opens the address itself${
      isAny ? "" : ", and another process can't"
    }`;
}
