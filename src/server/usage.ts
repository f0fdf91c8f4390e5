/**
 * How much a server process is used, for a master that has set it limits.
 *
 * @module
 */

/** What is told of it. */
export interface UsageHandlers {
  /** As many connections have been accepted as may be. Told once. */
  onSpent(): void;
}

/** Counts what a process accepts. */
export class Usage {
  #accepted = 0;
  #limit = Infinity;
  #handlers?: UsageHandlers;
  /** Where the clients are whose connections HTTP requests have come on. */
  readonly #peers = new Set<string>();

  /**
   * Whether the connections that the runtime accepts on its own have to be told apart: they show
   * only by their requests.
   */
  get countsPeers(): boolean {
    return this.#limit < Infinity;
  }

  /**
   * Sets a limit.
   *
   * @param connections How many may be accepted, those included that were before.
   * @param handlers Told of it.
   */
  limit(connections: number, handlers: UsageHandlers): void {
    this.#limit = connections;
    this.#handlers = handlers;
    this.#look();
  }

  /** A connection was accepted. */
  accepted(): void {
    this.#accepted++;
    this.#look();
  }

  /**
   * A request has come on a connection of which nobody knew: it was accepted, unless another one has
   * come from there before.
   *
   * @param peer The address of the client; on a unix socket all have the same.
   */
  requested(peer: Deno.Addr): void {
    if (peer.transport === "tcp") {
      const key = `${peer.hostname} ${peer.port}`;
      if (this.#peers.has(key)) return;
      this.#peers.add(key);
    }
    this.accepted();
  }

  #look(): void {
    if (this.#accepted < this.#limit) return;
    this.#limit = Infinity;
    this.#peers.clear();
    this.#handlers?.onSpent();
  }
}

/** The usage of this process. */
export const serverUsage: Usage = new Usage();
