/**
 * The clients whose HTTP connections were upgraded, to WebSockets for example. The runtime does not
 * tell when such a connection ends; the kernel knows which ones are open.
 *
 * @module
 */
import { type OpenConnection, OpenConnections } from "../../os/net/connections.ts";
import { addressText, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";

/** So many are remembered at least before the first look for those that are gone. */
const FIRST_LOOK = 64;

/** Upgraded connections of one listener. */
export class UpgradedPeers {
  readonly #address: ListenAddress;
  #peers = new Set<string>();
  #lookAt = FIRST_LOOK;

  /** @param address What the listener is bound to. */
  constructor(address: ListenAddress) {
    this.#address = address;
  }

  /**
   * Adds one.
   *
   * @param remoteAddr Where the client is.
   */
  add(remoteAddr: Deno.Addr): void {
    this.#peers.add(addressText(listenAddressOf(remoteAddr)));
    if (this.#peers.size < this.#lookAt) return;
    const open = new OpenConnections().at(this.#address).map(({ peer }) => peer);
    this.#peers = this.#peers.intersection(new Set(open));
    // Rarely enough to cost little, often enough to remember no more than twice those that are open.
    this.#lookAt = Math.max(FIRST_LOOK, 2 * this.#peers.size);
  }

  /**
   * Whether a connection may be one of them. Clients of a unix socket can't be told apart.
   *
   * @param connection The connection, which is open.
   */
  has({ peer }: OpenConnection): boolean {
    return this.#address.kind === "unix" ? this.#peers.size > 0 : this.#peers.has(peer);
  }
}
