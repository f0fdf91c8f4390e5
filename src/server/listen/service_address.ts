/**
 * The addresses of this server's service descriptors, from the system, or from the master's message for a
 * program that may not make system calls.
 *
 * @module
 */
import { parseAddress } from "../../config/address.ts";
import type { ServiceSocket } from "../../ipc/service_socket.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { describeListener, type ListenAddress } from "../../os/net/socket.ts";

const told = new Map<number, ListenAddress>();

/** Stores the addresses that came with services. */
export function noteAddresses(services: readonly ServiceSocket[]): void {
  for (const { fd, address } of services) {
    if (address !== undefined) told.set(fd, parseAddress(address, { cwd: Deno.cwd() }));
  }
}

/**
 * Returns the address of a descriptor that `serviceRegister` received.
 *
 * @throws {TypeError} When it is neither a listening stream socket nor a named pipe, or, without FFI, when
 * the master has not sent its address.
 */
export function serviceAddress(fd: number): ListenAddress {
  if (mayUseFfi()) return describeListener(fd);
  const address = told.get(fd);
  if (address !== undefined) return address;
  throw new TypeError(`Cannot serve descriptor ${fd}: unknown, expected one of serviceRegister`);
}
