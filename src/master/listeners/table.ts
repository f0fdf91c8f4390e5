/**
 * The table of open listeners. An address identifies a listener: if the next configuration names
 * the address again, the socket stays open with its queue.
 *
 * An address has one socket, or several slots: sockets with a queue each, one per process. They are
 * kept in the kernel's order, in which they were opened, and only the last one is closed while
 * others stay (docs/design/12_balance.md).
 *
 * A configuration is prepared first, which opens new listeners and can be undone, and then
 * committed, which can't fail. Listeners that are no longer needed are closed separately.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { type Problem, problemAt } from "../../config/errors.ts";
import { keysOf, settingOfAddress } from "../../config/endpoints.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { Listener } from "../policy/listener.ts";
import type { Repaired, RepairOptions } from "./system_repair.ts";
import type { ListenerPort } from "./system.ts";
import { ListenerWatches } from "./watches.ts";
import { refusalOf } from "./open_error.ts";
import { ReleasedListeners } from "./released.ts";
import { slotsOf } from "../policy/slots.ts";
import { type SocketAccess, socketAccessOf } from "../services/socket_owner.ts";

/** A prepared change of the table. Exactly one of its functions must be called. */
export interface ListenerChange {
  /**
   * The addresses that could not be opened; if there are any, only {@linkcode undo} makes sense.
   */
  readonly problems: readonly Problem[];
  /** Those of them on which another program listens. */
  readonly inUse: readonly Endpoint[];
  /**
   * Adds the opened listeners to the table; they are provisional until {@linkcode
   * ListenerTable.keep}.
   */
  commit(): void;
  /** Closes the opened listeners. */
  undo(): void;
}

/** An open address. */
interface Entry {
  readonly endpoint: Endpoint;
  /** Its listeners, by their slots. */
  readonly slots: Listener[];
  /** The same in the kernel's order, which is that of the slots until one is replaced. */
  order: Listener[];
  /** Mode and owner of its file, and what its clients may do, as the current version says. */
  access?: SocketAccess;
  /** How many slots the current version has; undefined while only a candidate has the address. */
  inForce?: number;
  /** How many slots the last prepared version has. */
  wanted: number;
  /**
   * Whether this master has chosen the slots that receive connections; another master may have done
   * so before.
   */
  isSteered?: boolean;
}

/** The result of a repair, and which listeners were replaced. */
export interface RepairedAddress extends Pick<Repaired, "told" | "problem"> {
  /** The closed listeners: the processes that hold one must be replaced, too. */
  readonly replaced: readonly Listener[];
}

/** All open listeners, by the keys of their addresses. */
export class ListenerTable {
  readonly #open = new Map<string, Entry>();
  readonly #released: ReleasedListeners;
  /** The slots, of open and of closed addresses, that receive no new connections. */
  readonly #idle = new WeakSet<Listener>();

  /**
   * @param port The system calls.
   * @param watches Watch the open listeners.
   */
  constructor(
    private readonly port: ListenerPort,
    private readonly watches: ListenerWatches = new ListenerWatches(),
  ) {
    this.#released = new ReleasedListeners(port, (listener) => {
      this.#idle.delete(listener);
      watches.remove(listener);
    });
  }

  /** Whether an address is open. */
  has(key: string): boolean {
    return this.#open.has(key);
  }

  /** The keys of all open addresses. */
  openKeys(): string[] {
    return [...this.#open.keys()];
  }

  /** The key of the address of a listener; undefined if it is not open any more. */
  keyOf(listener: Listener): string | undefined {
    const { key } = listener;
    return this.#open.get(key)?.slots.includes(listener) ? key : undefined;
  }

  /** The listeners of an address. */
  listenersOf(key: string): readonly Listener[] {
    return this.#open.get(key)?.slots ?? [];
  }

  /** Whether a listener is unchanged since it was opened. */
  isSound(listener: Listener): boolean {
    return this.port.isSound(listener);
  }

  /** Restores the length of a listener's queue. */
  restoreQueue(listener: Listener): void {
    this.port.restoreQueue(listener);
  }

  /**
   * Repairs what processes have done to the listeners of an address.
   *
   * @param key Its key.
   * @param options What may be done.
   */
  repair(key: string, options: Pick<RepairOptions, "mayReplace" | "mayRevive">): RepairedAddress {
    const entry = this.#open.get(key);
    if (entry === undefined) return { told: [], replaced: [] };
    const { endpoint, access } = entry, before = [...entry.slots];
    // The watch of a listener could not be ended after the listener is closed.
    for (const listener of before) this.watches.pause(listener);
    const { slots, told, problem, haveAllLeft } = this.port.repair(before, {
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
    // A listener that has left and could not join again has no position: it comes last.
    entry.order = haveAllLeft ? [...new Set([...added, ...slots])] : [...entry.order, ...added];
    for (const listener of slots) this.watches.add(listener);
    // The repair may have changed which slots receive connections.
    entry.isSteered = false;
    return { told, replaced, ...(problem !== undefined && { problem }) };
  }

  /**
   * Whether a listener receives no new connections. Then a process that stops serving it should
   * first accept those in its queue.
   */
  isIdle(listener: Listener): boolean {
    return this.#idle.has(listener);
  }

  /** All listeners, borrowed; those of one address in the kernel's order. */
  all(): Listener[] {
    return [...this.#open.values()].flatMap(({ order }) => order);
  }

  /** The keys of all open addresses, including those that the port keeps for later use. */
  keys(): ReadonlySet<string> {
    return new Set([...this.#open.keys(), ...this.port.atHand?.() ?? []]);
  }

  /**
   * The listeners of a process, in the order of its service's addresses. Borrowed.
   *
   * @param service The service.
   * @param slot The slot of the process.
   * @throws {Error} When one of the addresses is not open.
   */
  listeners(service: ServiceConfig, slot: number): Listener[] {
    return service.endpoints.map((endpoint) => {
      const entry = this.#open.get(endpoint.key);
      if (entry === undefined) throw new Error(`Cannot pass "${endpoint.key}": it is not open`);
      const { slots } = entry;
      return slots[slot % Math.min(slotsOf(service, endpoint) ?? 1, slots.length)];
    });
  }

  /**
   * The listeners of all slots of a service's current version. Borrowed; the table closes none of
   * them before the version is replaced or removed.
   */
  allListeners(service: ServiceConfig): Listener[] {
    return keysOf(service).flatMap((key) => {
      const { slots, inForce } = this.#open.get(key)!;
      return slots.slice(0, inForce);
    });
  }

  /**
   * The slot of a listener in a service.
   *
   * @param service The service.
   * @param listener The listener, one of {@linkcode allListeners}.
   */
  slotOf(service: ServiceConfig, listener: Listener): number {
    return Math.max(...keysOf(service).map((key) => this.#open.get(key)!.slots.indexOf(listener)));
  }

  /**
   * Opens the addresses of services that are not open yet.
   *
   * @param services All services of the next configuration.
   * @returns The prepared change.
   */
  prepare(services: readonly ServiceConfig[]): ListenerChange {
    const prepared = new Map<string, Entry>();
    const added = new Map<string, readonly Listener[]>();
    const problems: Problem[] = [], inUse: Endpoint[] = [];
    const all = services.flatMap((service) => service.endpoints);
    for (const service of services) {
      const access = socketAccessOf(service);
      for (const endpoint of service.endpoints) {
        const { key, origin } = endpoint;
        // An address that is named twice is reported as a problem of the configuration.
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
          const { message, isInUse = false } = refusalOf(endpoint, error as Error, own);
          problems.push(problemAt(origin, { key: settingOfAddress(endpoint), message }));
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
          for (const listener of more) this.watches.add(listener);
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

  #replace(old: Listener, replacement: Listener): void {
    this.watches.replace(old, replacement);
    if (this.#idle.has(old)) this.#idle.add(replacement);
    // Processes that stop serving it should first accept the connections in its queue.
    this.#idle.add(old);
  }

  #extend({ order }: Entry, wanted: number): readonly Listener[] {
    const count = wanted - order.length;
    return count > 0 ? this.port.extend(order, count) : [];
  }

  /**
   * Makes the listeners of a service permanent, and applies mode and owner of their files.
   *
   * @param service The service, which is current now.
   */
  keep(service: ServiceConfig): void {
    const access = socketAccessOf(service);
    for (const endpoint of service.endpoints) {
      const entry = this.#open.get(endpoint.key);
      if (entry === undefined) continue;
      entry.inForce = entry.wanted = slotsOf(service, endpoint) ?? 1;
      const hasTaken = entry.access?.takesDescriptors ?? false;
      entry.access = access;
      if (access === undefined && !hasTaken) continue;
      entry.slots.forEach((one) => this.port.protect(one, access ?? {}));
    }
  }

  /** Whether a service has an address with several sockets. */
  hasSlots(service: ServiceConfig): boolean {
    return keysOf(service).some((key) => (this.#open.get(key)?.slots.length ?? 0) > 1);
  }

  /**
   * Steers new connections to the slots that are served, or to all slots of the current version if
   * none is.
   *
   * @param service The service, which is current.
   * @param served The listeners on which its processes continue to accept.
   */
  steer(service: ServiceConfig, served: ReadonlySet<Listener>): void {
    for (const key of keysOf(service)) {
      const entry = this.#open.get(key);
      if (entry === undefined || entry.slots.length < 2) continue;
      const { slots, order, inForce = 0, isSteered } = entry;
      const own = [...slots.keys()].slice(0, inForce);
      const ready = own.filter((index) => served.has(slots[index]));
      const chosen = ready.length > 0 ? ready : own;
      const before = [...slots.keys()].filter((index) => !this.#idle.has(slots[index]));
      if (isSteered && chosen.join() === before.join()) continue;
      entry.isSteered = true;
      const indexes = chosen.map((slot) => order.indexOf(slots[slot])).sort((a, b) => a - b);
      this.port.steer(order, indexes);
      for (const listener of slots) this.#idle.add(listener);
      for (const index of chosen) this.#idle.delete(slots[index]);
    }
  }

  /**
   * Closes the slots beyond those of the current version and the candidate, unless a process holds
   * them.
   *
   * @param isHeld Whether a process may hold a listener; asked only for these slots.
   */
  closeUnused(isHeld: (listener: Listener) => boolean): void {
    for (const { slots, order, inForce = 0, wanted } of this.#open.values()) {
      while (slots.length > Math.max(1, inForce, wanted)) {
        const last = slots[slots.length - 1];
        if (this.port.isHeldElsewhere(last) || isHeld(last)) break;
        slots.pop();
        leave(order, last);
        this.#released.close(last, { inRollout: false });
      }
    }
  }

  /**
   * Removes the listeners of gone services from the table. Their queues receive no more
   * connections; {@linkcode closeReleased} closes them once their processes have been told. The
   * surplus slots of an address that stays are left to {@linkcode closeUnused}.
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

  /** The same as {@linkcode release}, for all addresses. */
  releaseAll(): void {
    for (const key of [...this.#open.keys()]) this.releaseKey(key);
  }

  /**
   * The same as {@linkcode release}, for one address.
   *
   * @param key Its key; nothing is done if it is not open.
   */
  releaseKey(key: string): void {
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    const { slots, inForce } = entry;
    this.#open.delete(key);
    const inRollout = inForce === undefined;
    for (const listener of slots) {
      this.watches.remove(listener);
      if (this.#released.add(listener, { inRollout })) this.#idle.add(listener);
    }
  }

  /**
   * Closes the released listeners. Provisional ones are closed without a trace.
   *
   * @param isHeld Whether a process may still hold a listener: such a listener is kept for
   * {@linkcode surrender}, until the next call. By default none is held.
   */
  closeReleased(isHeld: (listener: Listener) => boolean = () => false): void {
    this.#released.closeUnheld(isHeld);
  }

  /**
   * Gives up the addresses that {@linkcode closeReleased} has kept, although processes hold their
   * listeners.
   */
  surrender(): Promise<void> {
    return this.#released.surrender();
  }

  /**
   * Records that another process has all listeners and chooses the slots that receive connections:
   * processes that stop here should first accept what is in their queues.
   */
  handOver(): void {
    for (const { slots } of this.#open.values()) {
      if (slots.length > 1) slots.forEach((listener) => this.#idle.add(listener));
    }
  }

  /**
   * Leaves all listeners to another process.
   *
   * @returns The listeners by the keys of their addresses, in the order of {@linkcode all}; the
   * caller owns them.
   */
  takeAll(): ReadonlyMap<string, readonly Listener[]> {
    const all = new Map([...this.#open].map(([key, { order }]) => [key, order]));
    for (const listener of this.all()) {
      this.watches.remove(listener);
      this.#idle.delete(listener);
    }
    this.#open.clear();
    return all;
  }
}

/**
 * Removes a listener from the order of a group as the kernel does: the last one takes its position.
 */
function leave(order: Listener[], listener: Listener): void {
  const index = order.indexOf(listener), last = order.pop()!;
  if (last !== listener) order[index] = last;
}
