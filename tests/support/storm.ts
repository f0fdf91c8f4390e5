/**
 * Clients that connect without a pause, and what becomes of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Client, type Target } from "./client.ts";
import { pidIn } from "./master.ts";

/** What has become of the clients so far. */
export interface Fate {
  /** So many were served, from the greeting to the end. */
  served: number;
  /** Nobody listened. */
  refused: number;
  /** The connection was reset. */
  reset: number;
  /** The connection ended before its time, or in another way. */
  cut: number;
  /** How many each process has served. */
  readonly shares: Map<number, number>;
}

/** How to let them loose. */
export interface StormOptions {
  /** How many clients there are at any time; default 8. */
  readonly clients?: number;
}

/** A storm of clients. */
export class Storm {
  /** What has become of them so far. */
  readonly fate: Fate = {
    served: 0,
    refused: 0,
    reset: 0,
    cut: 0,
    shares: new Map(),
  };
  readonly #target: Target;
  readonly #clients: Promise<unknown>;
  #running = true;

  /**
   * Lets them loose.
   *
   * @param target Where they connect.
   * @param options How many there are.
   */
  constructor(target: Target, { clients = 8 }: StormOptions = {}) {
    this.#target = target;
    this.#clients = Promise.all(Array.from({ length: clients }, () => this.#client()));
  }

  /** Ends it, and waits for the last ones. */
  async end(): Promise<Fate> {
    this.#running = false;
    await this.#clients;
    return this.fate;
  }

  async #client(): Promise<void> {
    while (this.#running) {
      try {
        await this.#exchange();
        this.fate.served++;
      } catch (error) {
        if (error instanceof Deno.errors.ConnectionRefused) this.fate.refused++;
        else if (error instanceof Deno.errors.ConnectionReset) this.fate.reset++;
        else this.fate.cut++;
      }
    }
  }

  async #exchange(): Promise<void> {
    using client = await Client.connect(this.#target);
    const pid = pidIn({ greeting: await client.line() });
    this.fate.shares.set(pid, (this.fate.shares.get(pid) ?? 0) + 1);
    assertEquals(await client.ask("echo once"), "once");
    assertEquals(await client.ask("quit"), "bye");
    assertEquals(await client.ending(), "end of file");
  }
}
