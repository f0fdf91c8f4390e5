/**
 * Listeners for tests: numbers instead of sockets.
 *
 * @module
 */
import { type Endpoint, kindOfKey } from "../../src/config/address.ts";
import type { Repaired } from "../../src/master/listeners/system_repair.ts";
import type {
  ListenerPort,
  ListenerSystem,
  OpenOptions,
  PortRepairOptions,
} from "../../src/master/listeners/system.ts";
import type { Listener } from "../../src/master/policy/listener.ts";
import type { SocketAccess } from "../../src/master/services/socket_owner.ts";

/** A port that opens nothing and remembers everything. */
export class FakeListeners implements ListenerPort, ListenerSystem {
  /** The descriptors that are open, each with the key of its address. */
  readonly addresses = new Map<number, string>();
  /** What to refuse: the address's key and the error. */
  readonly refusals = new Map<string, Error>();
  /** The keys of the addresses whose queues were closed. */
  readonly refused = new Set<string>();
  /** The descriptors to which connections come, by the key of an address with several slots. */
  readonly chosen = new Map<string, readonly number[]>();
  /** The keys of those that were discarded rather than closed, in order. */
  readonly discarded: string[] = [];
  /** The addresses that were given up, in their order. */
  readonly surrendered: string[] = [];
  /** The mode and owner of the last time that an address was protected, by its key. */
  readonly access = new Map<string, SocketAccess>();
  #nextFd = 50;

  /** The keys of the open addresses, sorted, each once. */
  get keys(): string[] {
    return [...new Set(this.addresses.values())].sort();
  }

  /**
   * Opens an address, unless it is to be refused.
   *
   * @param endpoint The address.
   * @param options How many slots it is to have.
   * @returns As many new numbers.
   */
  open({ key }: Endpoint, { slots = 1 }: Partial<OpenOptions> = {}): Listener[] {
    const refusal = this.refusals.get(key);
    if (refusal !== undefined) throw refusal;
    return this.#openMore(key, slots);
  }

  /**
   * Opens further slots, unless that is to be refused.
   *
   * @param slots Those that are open.
   * @param count How many more.
   * @returns As many new numbers.
   */
  extend(slots: readonly Listener[], count: number): Listener[] {
    const key = this.addresses.get(slots[0].fd)!;
    const refusal = this.refusals.get(key);
    if (refusal !== undefined) throw refusal;
    return this.#openMore(key, count);
  }

  /**
   * Takes note.
   *
   * @param slots All slots of an address.
   * @param places The places of those to which connections come.
   */
  steer(slots: readonly Listener[], places: readonly number[]): void {
    this.chosen.set(this.addresses.get(slots[0].fd)!, places.map((place) => slots[place].fd));
  }

  /** What processes have done to descriptors that are open: they can listen again, or are lost. */
  readonly damaged = new Map<number, "shut down" | "lost">();

  /** Whether those that are lost can be replaced at all. */
  mayReplace = true;

  /**
   * Whether nobody has damaged it.
   *
   * @param listener What `open` returned.
   */
  isSound({ fd }: Listener): boolean {
    return !this.damaged.has(fd);
  }

  /**
   * Puts listeners right that were damaged.
   *
   * @param slots All slots of an address.
   * @param options Whether those that are lost may be replaced.
   * @returns What has become of them.
   */
  repair(slots: readonly Listener[], { mayReplace }: PortRepairOptions): Repaired {
    const told: string[] = [];
    const repaired = slots.map((listener) => {
      const damage = this.damaged.get(listener.fd);
      const isHopeless = damage === "lost" && !(mayReplace && this.mayReplace);
      if (damage === undefined || isHopeless) return listener;
      this.damaged.delete(listener.fd);
      told.push(`was ${damage}`);
      if (damage === "shut down") return listener;
      const key = this.addresses.get(listener.fd)!;
      this.addresses.delete(listener.fd);
      return this.#openMore(key, 1)[0];
    });
    const isLost = repaired.some(({ fd }) => this.damaged.has(fd));
    return { slots: repaired, told, ...(isLost && { problem: "is lost" }) };
  }

  /** The descriptors whose queues were restored, in order. */
  readonly restored: number[] = [];

  /**
   * Takes note.
   *
   * @param listener What `open` returned.
   */
  restoreQueue({ fd }: Listener): void {
    this.restored.push(fd);
  }

  /** Nobody else has any. */
  isHeldElsewhere(): boolean {
    return false;
  }

  /**
   * Takes note.
   *
   * @param listener What `open` returned.
   */
  refuse({ fd }: Listener): boolean {
    this.refused.add(this.addresses.get(fd)!);
    return true;
  }

  /**
   * Takes note.
   *
   * @param listener What `open` returned.
   * @param access What its file is to have.
   */
  protect({ fd }: Listener, access: SocketAccess): void {
    this.access.set(this.addresses.get(fd)!, access);
  }

  /**
   * Closes a listener.
   *
   * @param listener What `open` returned.
   * @throws {Error} When it is not open.
   */
  close({ fd }: Listener): void {
    const key = this.addresses.get(fd);
    if (key === undefined) throw new Error(`Cannot close ${fd}: it is not open`);
    this.addresses.delete(fd);
    if (!this.keys.includes(key)) this.chosen.delete(key);
  }

  /**
   * Closes a listener, as `close` does, and takes note.
   *
   * @param listener What `open` returned.
   */
  discard(listener: Listener): void {
    this.discarded.push(this.addresses.get(listener.fd) ?? "not open");
    this.close(listener);
  }

  /**
   * Takes note.
   *
   * @param listener What `open` returned.
   */
  surrender({ fd }: Listener): Promise<void> {
    this.surrendered.push(this.addresses.get(fd)!);
    return Promise.resolve();
  }

  /**
   * Closes a listener, as `close` does.
   *
   * @param listener What `open` returned.
   */
  leave(listener: Listener): void {
    this.close(listener);
  }

  #openMore(key: string, count: number): Listener[] {
    return Array.from({ length: count }, () => {
      const fd = this.#nextFd++;
      this.addresses.set(fd, key);
      return { fd, kind: kindOfKey(key), key, owner: "self" };
    });
  }
}
