/**
 * The clients with upgraded HTTP connections, for example WebSockets. The runtime does not report their
 * end; the kernel knows which connections are open.
 *
 * @module
 */
import { type OpenConnection, OpenConnections } from "../../os/net/connections.ts";
import { addressText, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";

/** The least number of clients before the first removal of closed ones. */
const FIRST_LOOK = 64;

/** The upgraded connections of one listener. */
export class UpgradedPeers {
  readonly #address: ListenAddress;
  #peers = new Set<string>();
  #lookAt = FIRST_LOOK;

  constructor(address: ListenAddress) {
    this.#address = address;
  }

  /** Adds a client. */
  add(remoteAddr: Deno.Addr): void {
    this.#peers.add(addressText(listenAddressOf(remoteAddr)));
    if (this.#peers.size < this.#lookAt) return;
    const open = OpenConnections.find()?.at(this.#address);
    // The next client is early enough.
    if (open === undefined) return;
    this.#peers = this.#peers.intersection(new Set(open.map(({ peer }) => peer)));
    // Rarely enough to cost little, often enough to hold at most twice the open connections.
    this.#lookAt = Math.max(FIRST_LOOK, 2 * this.#peers.size);
  }

  /** Whether an open connection may be an upgraded one. Clients of a unix socket are indistinguishable. */
  has({ peer }: OpenConnection): boolean {
    return this.#address.kind === "unix" ? this.#peers.size > 0 : this.#peers.has(peer);
  }
}
