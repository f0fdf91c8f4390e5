/**
 * The table of open listeners. An address is the identity of a listener: one that the next
 * configuration names again stays the very same socket, its queue included.
 *
 * An address has one socket, or several slots: sockets with a queue each, of which a process has one.
 * They are kept in the order in which they were opened, which is their order for the kernel, and only
 * the last one is ever closed while others stay (docs/design/12_balance.md).
 *
 * What a configuration needs is prepared first, which opens what is new and can fail without a
 * trace, and then committed, which can't fail. What nobody needs any more is closed by itself.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { ConfigError, type Problem, problemAt } from "../../config/errors.ts";
import { keysOf, type ServiceConfig } from "../../config/service.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import type { Mended, MendOptions } from "./system_repair.ts";
import type { ListenerPort } from "./system.ts";
import { ListenerWatches } from "./watches.ts";
import { refusalOf } from "./open_error.ts";
import { slotsOf } from "../policy/slots.ts";
import { type SocketAccess, socketAccessOf } from "../services/socket_owner.ts";

/** A change of the table that has been prepared. Exactly one of its functions is to be called. */
export interface ListenerChange {
  /** What could not be opened; if there is any, only {@linkcode undo} makes sense. */
  readonly problems: readonly Problem[];
  /** Those addresses of them on which another program listens. */
  readonly inUse: readonly Endpoint[];
  /** Adds what was opened to the table, on trial until {@linkcode ListenerTable.keep}. */
  commit(): void;
  /** Closes what was opened for it. */
  undo(): void;
}

/** Nothing is wrong with a configuration, but that other programs listen on some of its addresses. */
export class AddressesInUseError extends ConfigError {
  override readonly name = "AddressesInUseError";

  /**
   * @param problems As for {@linkcode ConfigError}.
   * @param addresses These addresses.
   */
  constructor(problems: readonly Problem[], readonly addresses: readonly Endpoint[]) {
    super(problems);
  }
}

/** An open address. */
interface Entry {
  readonly endpoint: Endpoint;
  /** Its listeners, by their slots. */
  readonly slots: OpenedListener[];
  /** The same in their order for the kernel, which is that of their slots until one is replaced. */
  order: OpenedListener[];
  /** Mode and owner of its file, as the version in force has them. */
  access?: SocketAccess;
  /** How many of them the version in force has; undefined as long as it is only on trial. */
  inForce?: number;
  /** How many the version has that was prepared last. */
  wanted: number;
  /** Whether it is known to which of several slots connections come: else another master has chosen. */
  isSteered?: boolean;
}

/** What was wrong with the listeners of an address, and which of them were replaced. */
export interface MendedAddress extends Pick<Mended, "told" | "problem"> {
  /** Those that are closed: whoever has one has to be replaced, too. */
  readonly replaced: readonly OpenedListener[];
}

/** All open listeners, by the key of their address. */
export class ListenerTable {
  readonly #open = new Map<string, Entry>();
  /** The address of each listener that was ever open. */
  readonly #keys = new WeakMap<OpenedListener, string>();
  /** Those that are to be closed for good, and whose queues take no more connections. */
  readonly #closing = new Set<{ readonly listener: OpenedListener; readonly inRollout: boolean }>();
  /** The slots of open addresses and of closed ones to which no new connection comes. */
  readonly #idle = new WeakSet<OpenedListener>();

  /**
   * @param port The system calls.
   * @param watches Watch the open listeners.
   */
  constructor(
    private readonly port: ListenerPort,
    private readonly watches: ListenerWatches = new ListenerWatches(),
  ) {}

  /**
   * Whether an address is open.
   *
   * @param key Its key.
   */
  has(key: string): boolean {
    return this.#open.has(key);
  }

  /** The keys of all open addresses. */
  openKeys(): string[] {
    return [...this.#open.keys()];
  }

  /**
   * The key of the address of a listener.
   *
   * @param listener The listener.
   * @returns Undefined where it is not open any more.
   */
  keyOf(listener: OpenedListener): string | undefined {
    const key = this.#keys.get(listener);
    return key !== undefined && this.#open.get(key)?.slots.includes(listener) ? key : undefined;
  }

  /**
   * The listeners of an address.
   *
   * @param key Its key.
   */
  listenersOf(key: string): readonly OpenedListener[] {
    return this.#open.get(key)?.slots ?? [];
  }

  /**
   * Whether a listener is as it was opened.
   *
   * @param listener The listener.
   */
  isSound(listener: OpenedListener): boolean {
    return this.port.isSound(listener);
  }

  /**
   * Puts right what processes have done to the listeners of an address.
   *
   * @param key Its key.
   * @param options What may be done.
   */
  mend(key: string, options: Pick<MendOptions, "mayReplace" | "mayRevive">): MendedAddress {
    const entry = this.#open.get(key);
    if (entry === undefined) return { told: [], replaced: [] };
    const { endpoint, access } = entry, before = [...entry.slots];
    // Once a listener is closed here, its watch could not be ended any more.
    for (const listener of before) this.watches.pause(listener);
    const { slots, told, problem, haveAllLeft } = this.port.mend(before, {
      ...options,
      endpoint,
      ...(access && { access }),
    });
    entry.slots.splice(0, before.length, ...slots);
    const replaced = before.filter((listener, index) => slots[index] !== listener);
    for (const listener of replaced) {
      this.#replace(listener, slots[before.indexOf(listener)]);
      leave(entry.order, listener);
    }
    const added = slots.filter((listener) => !before.includes(listener));
    // What has left and could not join again has no place: it comes last.
    entry.order = haveAllLeft ? [...new Set([...added, ...slots])] : [...entry.order, ...added];
    for (const listener of slots) this.#watch(listener, key);
    // Whatever else was done, connections are to come where the master says.
    entry.isSteered = false;
    return { told, replaced, ...(problem !== undefined && { problem }) };
  }

  /**
   * Whether a listener gets no new connections, so that whoever stops serving it should accept what is
   * in its queue first.
   *
   * @param listener The listener.
   */
  isIdle(listener: OpenedListener): boolean {
    return this.#idle.has(listener);
  }

  /** All of them, which stay the table's; those of one address in their order for the kernel. */
  entries(): [key: string, listener: OpenedListener][] {
    return [...this.#open].flatMap(([key, { order }]) =>
      order.map((listener): [string, OpenedListener] => [key, listener])
    );
  }

  /** The keys of all open listeners, those that the port has at hand included. */
  keys(): ReadonlySet<string> {
    return new Set([...this.#open.keys(), ...this.port.atHand?.() ?? []]);
  }

  /**
   * The listeners of a process, in the order of its service's addresses; they stay the table's.
   *
   * @param service The service.
   * @param slot The slot of the process.
   * @throws {Error} When one of the addresses is not open.
   */
  listeners(service: ServiceConfig, slot: number): OpenedListener[] {
    return service.endpoints.map(({ endpoint }) => {
      const entry = this.#open.get(endpoint.key);
      if (entry === undefined) throw new Error(`Cannot pass "${endpoint.key}": it is not open`);
      const { slots } = entry;
      return slots[slot % Math.min(slotsOf(service, endpoint) ?? 1, slots.length)];
    });
  }

  /**
   * The listeners of all slots that the version in force of a service has; they stay the table's, which
   * closes none of them before the version is replaced or gone.
   *
   * @param service The service.
   */
  allListeners(service: ServiceConfig): OpenedListener[] {
    return keysOf(service).flatMap((key) => {
      const { slots, inForce } = this.#open.get(key)!;
      return slots.slice(0, inForce);
    });
  }

  /**
   * Which slot of a service a listener is.
   *
   * @param service The service.
   * @param listener The listener, one of {@linkcode allListeners}.
   */
  slotOf(service: ServiceConfig, listener: OpenedListener): number {
    return Math.max(...keysOf(service).map((key) => this.#open.get(key)!.slots.indexOf(listener)));
  }

  /**
   * Opens what the services name and is not open yet.
   *
   * @param services All services of the next configuration.
   * @returns The prepared change.
   */
  prepare(services: readonly ServiceConfig[]): ListenerChange {
    const prepared = new Map<string, Entry>();
    const added = new Map<string, readonly OpenedListener[]>();
    const problems: Problem[] = [], inUse: Endpoint[] = [];
    const all = services.flatMap((service) => service.endpoints);
    for (const service of services) {
      const access = socketAccessOf(service);
      for (const named of service.endpoints) {
        const { endpoint: { key }, endpoint, origin } = named;
        // One that is named twice is a problem of the configuration, and told as such.
        if (prepared.has(key)) continue;
        const entry: Entry = this.#open.get(key) ??
          { endpoint, slots: [], order: [], wanted: 0, ...(access && { access }) };
        const slots = slotsOf(service, endpoint), wanted = slots ?? 1;
        try {
          added.set(
            key,
            entry.slots.length === 0
              ? this.port.open(endpoint, { wanted: all, slots, ...(access && { access }) })
              : this.#extend(entry, wanted),
          );
          prepared.set(key, { ...entry, wanted });
        } catch (error) {
          const own = [...this.#open.keys(), ...prepared.keys()];
          const { message, isInUse = false } = refusalOf(named, error as Error, own);
          problems.push(problemAt(origin, { key: "server-service", message }));
          if (isInUse) inUse.push(endpoint);
        }
      }
    }
    return {
      problems,
      inUse,
      commit: () => {
        for (const [key, entry] of prepared) {
          const isNew = !this.#open.has(key), more = added.get(key)!;
          entry.slots.push(...more);
          entry.order.push(...more);
          this.#open.set(key, entry);
          for (const listener of more) this.#watch(listener, key);
          if (!isNew) { for (const listener of more) this.#idle.add(listener); }
        }
      },
      undo: () => {
        for (const more of added.values()) {
          more.toReversed().forEach((listener) => this.port.discard(listener));
        }
      },
    };
  }

  #replace(old: OpenedListener, successor: OpenedListener): void {
    this.watches.replace(old, successor);
    if (this.#idle.has(old)) this.#idle.add(successor);
    // Whoever stops serving it accepts what is in its queue first.
    this.#idle.add(old);
  }

  #watch(listener: OpenedListener, key: string): void {
    this.#keys.set(listener, key);
    this.watches.add(listener);
  }

  #extend({ order }: Entry, wanted: number): readonly OpenedListener[] {
    const count = wanted - order.length;
    return count > 0 ? this.port.extend(order, count) : [];
  }

  /**
   * Says that a service is in force: its listeners are no longer on trial, and their files have the
   * mode and owner that it asks for.
   *
   * @param service The service.
   */
  keep(service: ServiceConfig): void {
    const access = socketAccessOf(service);
    for (const { endpoint } of service.endpoints) {
      const entry = this.#open.get(endpoint.key);
      if (entry === undefined) continue;
      entry.inForce = entry.wanted = slotsOf(service, endpoint) ?? 1;
      entry.access = access;
      if (access !== undefined) entry.slots.forEach((one) => this.port.protect(one, access));
    }
  }

  /**
   * Whether a service has an address with several sockets.
   *
   * @param service The service.
   */
  hasSlots(service: ServiceConfig): boolean {
    return keysOf(service).some((key) => (this.#open.get(key)?.slots.length ?? 0) > 1);
  }

  /**
   * Has new connections come where somebody accepts them: to those slots of a service in force that
   * are served, or to all of them where none is.
   *
   * @param service The service, which is in force.
   * @param served The listeners on which its processes accept and go on to do so.
   */
  steer(service: ServiceConfig, served: ReadonlySet<OpenedListener>): void {
    for (const key of keysOf(service)) {
      const entry = this.#open.get(key);
      if (entry === undefined || entry.slots.length < 2) continue;
      const { slots, order, inForce = 0, isSteered } = entry;
      const own = [...slots.keys()].slice(0, inForce);
      const ready = own.filter((place) => served.has(slots[place]));
      const chosen = ready.length > 0 ? ready : own;
      const before = [...slots.keys()].filter((place) => !this.#idle.has(slots[place]));
      if (isSteered && chosen.join() === before.join()) continue;
      entry.isSteered = true;
      const places = chosen.map((slot) => order.indexOf(slots[slot])).sort((a, b) => a - b);
      this.port.steer(order, places);
      for (const listener of slots) this.#idle.add(listener);
      for (const place of chosen) this.#idle.delete(slots[place]);
    }
  }

  /**
   * Closes the slots that neither a version in force nor one on trial has, as far as nobody holds them
   * any more.
   *
   * @param isHeld Whether a process may have a listener open; asked for these alone.
   */
  closeUnused(isHeld: (listener: OpenedListener) => boolean): void {
    for (const { slots, order, inForce = 0, wanted } of this.#open.values()) {
      while (slots.length > Math.max(1, inForce, wanted)) {
        const last = slots[slots.length - 1];
        if (this.port.isHeldElsewhere(last) || isHeld(last)) break;
        slots.pop();
        leave(order, last);
        this.#close(last, false);
      }
    }
  }

  /**
   * Takes the listeners of services that are gone out of the table. No new connection gets into their
   * queues; {@linkcode closeReleased} closes them, once those that serve them know it. Of an address
   * that stays, the slots beyond those of the version in force are {@linkcode closeUnused}'s.
   *
   * @param gone These services.
   * @param needed Services that may have the same addresses, and keep them.
   */
  release(gone: readonly ServiceConfig[], needed: readonly ServiceConfig[]): void {
    const keys = new Set(needed.flatMap(keysOf));
    for (const key of gone.flatMap(keysOf)) {
      const entry = this.#open.get(key);
      if (!keys.has(key)) this.releaseKey(key);
      else if (entry !== undefined) entry.wanted = entry.inForce ?? entry.wanted;
    }
  }

  /** As {@linkcode release}, for all. */
  releaseAll(): void {
    for (const key of [...this.#open.keys()]) this.releaseKey(key);
  }

  /**
   * As {@linkcode release}, for one address.
   *
   * @param key Its key; nothing is done where it is not open.
   */
  releaseKey(key: string): void {
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    const { slots, endpoint, inForce } = entry;
    this.#open.delete(key);
    const inRollout = inForce === undefined;
    for (const listener of slots) {
      this.watches.remove(listener);
      if (this.port.refuse(listener, endpoint.kind)) {
        this.#closing.add({ listener, inRollout });
        this.#idle.add(listener);
      } else this.#close(listener, inRollout);
    }
  }

  /**
   * Closes what was released. Of those that were on trial nothing is left behind.
   *
   * @param isHeld Whether a process may still have a listener open: such a one is kept for
   * {@linkcode surrender}, until the next call. Default: none is.
   */
  closeReleased(isHeld: (listener: OpenedListener) => boolean = () => false): void {
    for (const closing of this.#closing) {
      if (isHeld(closing.listener)) continue;
      this.#closing.delete(closing);
      this.#close(closing.listener, closing.inRollout);
    }
  }

  /** Gives the addresses up that {@linkcode closeReleased} has kept, whoever holds their listeners. */
  async surrender(): Promise<void> {
    const closing = [...this.#closing];
    // First, so that none is closed meanwhile: its number could be another one's.
    this.#closing.clear();
    await Promise.all(closing.map(async ({ listener, inRollout }) => {
      try {
        await this.port.surrender(listener);
      } finally {
        this.#close(listener, inRollout);
      }
    }));
  }

  #close(listener: OpenedListener, inRollout: boolean): void {
    this.#idle.delete(listener);
    this.watches.remove(listener);
    if (inRollout) this.port.discard(listener);
    else this.port.close(listener);
  }

  /**
   * Says that another process has all listeners, and has connections come to the slots as it thinks
   * best: whoever stops serving one here should accept what is in its queue first.
   */
  handOver(): void {
    for (const { slots } of this.#open.values()) {
      if (slots.length > 1) slots.forEach((listener) => this.#idle.add(listener));
    }
  }

  /**
   * Leaves all to another process.
   *
   * @returns What was open, by the keys of the addresses, in the order of {@linkcode entries}; the
   * caller's from now on.
   */
  takeAll(): ReadonlyMap<string, readonly OpenedListener[]> {
    const all = new Map([...this.#open].map(([key, { order }]) => [key, order]));
    for (const [, listener] of this.entries()) {
      this.watches.remove(listener);
      this.#idle.delete(listener);
    }
    this.#open.clear();
    return all;
  }
}

/** Takes a listener out of the order of a group, as the kernel does: the last one has its place then. */
function leave(order: OpenedListener[], listener: OpenedListener): void {
  const place = order.indexOf(listener), last = order.pop()!;
  if (last !== listener) order[place] = last;
}
