/**
 * What the descriptors of this server's services are bound to: the system knows, and a program that
 * may not ask it relies on what its master has said.
 *
 * @module
 */
import { parseAddress } from "../../config/address.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { describeListener, type FdType, type ListenAddress } from "../../os/net/socket.ts";

/** A service and its descriptor. */
export interface GrantedService {
  readonly name: string;
  readonly type: FdType;
  /** Owned by the receiver. */
  readonly fd: number;
  /** As the configuration gives it; missing where nobody has said it. */
  readonly address?: string;
}

const told = new Map<number, ListenAddress>();

/**
 * Takes note of the addresses that came with services.
 *
 * @param services The services.
 */
export function noteAddresses(services: readonly GrantedService[]): void {
  for (const { fd, address } of services) {
    if (address !== undefined) told.set(fd, parseAddress(address, { cwd: Deno.cwd() }));
  }
}

/**
 * Finds out what a descriptor of `serviceRegister` is bound to.
 *
 * @param fd The descriptor.
 * @returns Its address.
 * @throws {TypeError} When it is no listening stream socket and no named pipe, or, for a program
 * that may not ask, none that the master has named.
 */
export function serviceAddress(fd: number): ListenAddress {
  if (mayUseFfi()) return describeListener(fd);
  const address = told.get(fd);
  if (address !== undefined) return address;
  throw new TypeError(`Cannot serve descriptor ${fd}: unknown, expected one of serviceRegister`);
}
