/**
 * The {@linkcode ListenerPort} of a master: it returns the listeners that this process was started
 * with (socket activation), then those of another master, with their queues, and opens all others.
 *
 * The owner of a listener decides what may be done with it. The activator holds the same socket: so
 * its address can't be bound here, it is kept for a later reload when it is unused, and its socket
 * file is never removed. Listeners of another master are only borrowed until the takeover: nothing
 * is closed and no socket file is removed.
 *
 * @module
 */
import type { LogMessage } from "../../log/record.ts";
import type { Endpoint } from "../../config/address.ts";
import type { Listener } from "../policy/listener.ts";
import type { SocketAccess } from "../services/socket_owner.ts";
import type { ListenerPort, ListenerSystem, OpenOptions, PortRepairOptions } from "./system.ts";
import type { Repaired } from "./system_repair.ts";

/** Whether an activated listener fits an address. */
type Fit = (activated: Listener, wanted: Endpoint) => boolean;

/** Best fit first: the name counts only for listeners that match no address. */
const FITS: readonly Fit[] = [
  (activated, { key }) => activated.key === key,
  (activated, { key }) => activated.ipv4Key === key,
  (activated, { kind, service }) => activated.name === service && activated.kind === kind,
];

/** The listeners of an address of another master, and what is done once they are this one's own. */
interface BorrowedGroup {
  /** In the order of their slots, with those that were opened beside them. */
  slots: readonly Listener[];
  isUsed: boolean;
  /** The chosen slots: until the takeover the other master makes this choice. */
  chosen?: readonly number[];
  /** What is wanted of each: until the takeover the other master sets it. */
  readonly access: Map<Listener, SocketAccess>;
}

/** Returns activated and inherited listeners, opens others, and heeds the owner of each. */
export class ListenerOwners implements ListenerPort {
  /** All activated listeners. They stay open as long as the process runs. */
  readonly activated: readonly Listener[];
  readonly #system: ListenerSystem;
  /** The listeners in use. */
  readonly #used = new Set<Listener>();
  /** The listeners of another master, by the keys of their addresses. */
  readonly #borrowed = new Map<string, BorrowedGroup>();

  /**
   * @param system Opens listeners.
   * @param options `activated`: the listeners that this process was started with. `inherited`: those
   * of the old master by the keys of their addresses, in the order of their slots.
   */
  constructor(
    system: ListenerSystem,
    { activated = [], inherited = new Map() }: {
      readonly activated?: readonly Listener[];
      readonly inherited?: ReadonlyMap<string, readonly Listener[]>;
    } = {},
  ) {
    this.#system = system;
    this.activated = activated;
    for (const [key, slots] of inherited) this.#borrow(key, slots);
  }

  open(endpoint: Endpoint, options: OpenOptions): readonly Listener[] {
    const { key } = endpoint;
    const activated = this.activated.length > 0 ? this.#assign(options.wanted).get(key) : undefined;
    const listeners = activated === undefined
      ? this.#reuse(key, options) ?? this.#system.open(endpoint, options)
      : [{ ...activated, key }];
    for (const one of listeners) this.#used.add(one);
    return listeners;
  }

  /** Only the activator could add a slot to an activated listener. */
  extend(slots: readonly Listener[], count: number): readonly Listener[] {
    const [{ owner, key }] = slots;
    if (owner === "activation") return [];
    const added = this.#system.extend(slots, count);
    for (const one of added) this.#used.add(one);
    if (owner === "other-master") {
      this.#borrowed.get(key)!.slots = [...slots, ...added.map((one) => withOwner(one, owner))];
    }
    return added;
  }

  steer(slots: readonly Listener[], chosen: readonly number[]): void {
    const [{ owner, key }] = slots;
    if (owner === "other-master") this.#borrowed.get(key)!.chosen = chosen;
    else this.#system.steer(slots, chosen);
  }

  isSound(listener: Listener): boolean {
    return this.#system.isSound(listener);
  }

  /**
   * An activated listener is not replaced: its activator would go on with the old one, and the names
   * and modes that it has set would be lost.
   */
  repair(slots: readonly Listener[], options: PortRepairOptions): Repaired {
    const [{ owner }] = slots;
    const mayReplace = options.mayReplace && owner === "self";
    const repaired = this.#system.repair(slots, { ...options, mayReplace });
    for (const [index, one] of repaired.slots.entries()) {
      this.#used.delete(slots[index]);
      this.#used.add(one);
    }
    const { problem } = repaired;
    if (owner !== "activation" || problem === undefined) return repaired;
    return { ...repaired, problem: `${problem}; only its activator can open it anew` };
  }

  /** The opener of a listener decides about its queue. */
  restoreQueue(listener: Listener): void {
    if (listener.owner === "self") this.#system.restoreQueue(listener);
  }

  isHeldElsewhere({ owner, isShared = false }: Listener): boolean {
    return owner !== "self" || isShared;
  }

  /** The owner of the listener lets it receive connections as long as it wants. */
  refuse(listener: Listener): boolean {
    return listener.owner === "self" && this.#system.refuse(listener);
  }

  /** The file of an activated listener belongs to its activator. */
  protect(listener: Listener, access: SocketAccess): void {
    const { owner, key } = listener;
    if (owner === "self") this.#system.protect(listener, access);
    if (owner === "other-master") this.#borrowed.get(key)!.access.set(listener, access);
  }

  close(listener: Listener): void {
    if (!this.#giveBack(listener)) this.#system.close(listener);
  }

  discard(listener: Listener): void {
    if (!this.#giveBack(listener)) this.#system.discard(listener);
  }

  /** Never called for the listener of another owner, whose {@linkcode refuse} returns false. */
  async surrender(listener: Listener): Promise<void> {
    await this.#system.surrender(listener);
  }

  atHand(): string[] {
    return [...this.#borrowed].flatMap(([key, { isUsed }]) => isUsed ? [] : [key]);
  }

  /**
   * Keeps listeners that another master serves now, in case that they are opened here again.
   *
   * @param key The key of the address.
   * @param slots Its listeners in the order of their slots; owned by the port from now on.
   */
  keep(key: string, slots: readonly Listener[]): void {
    for (const listener of slots) this.#used.delete(listener);
    // An activated listener is the only one of its address, and stays open in any case.
    if (slots[0].owner !== "activation") this.#borrow(key, slots);
  }

  /**
   * Makes the used listeners of the other master this process's own.
   *
   * @param others What happens to the unused ones: `leave` lets the other master close them, `close`
   * closes them here, if the other master is gone.
   */
  own(others: "leave" | "close"): void {
    for (const { slots, isUsed, chosen, access } of this.#borrowed.values()) {
      for (const listener of slots) {
        if (isUsed) withOwner(listener, "self");
        else this.#system[others](listener);
      }
      if (chosen !== undefined) this.#system.steer(slots, chosen);
      for (const [listener, wanted] of access) this.#system.protect(listener, wanted);
    }
    this.#borrowed.clear();
  }

  /**
   * Log lines about the use of the activated listeners; none if there are no such listeners.
   *
   * @param wanted All addresses of the configuration.
   * @returns One line for those that are used, and a warning for each unused one.
   */
  describe(wanted: readonly Endpoint[]): LogMessage[] {
    const keys = new Set(wanted.map(({ key }) => key));
    const served = new Map<number, string>();
    for (const { owner, fd, key } of this.#used) {
      if (owner === "activation" && keys.has(key)) served.set(fd, key);
    }
    const names = [...served].map(([fd, key]) => {
      const bound = this.activated.find((one) => one.fd === fd)!.key;
      return bound === key ? key : `${bound} as ${key}`;
    });
    const idle = this.activated.filter(({ fd }) => !served.has(fd));
    const unused = idle.map(({ fd, name, key }): LogMessage => ({
      level: "warn",
      text: `no service has ${key}, given at the start as descriptor ${fd}` +
        `${name === undefined ? "" : ` with the name ${name}`}: no server-service fits it`,
    }));
    if (names.length === 0) return unused;
    return [
      { level: "info", text: `not opened but given at the start: ${names.join(" ")}` },
      ...unused,
    ];
  }

  #borrow(key: string, slots: readonly Listener[]): void {
    for (const listener of slots) withOwner(listener, "other-master").isShared = true;
    this.#borrowed.set(key, { slots, isUsed: false, access: new Map() });
  }

  /** The listeners of another master for an address, and as many more as the slots need. */
  #reuse(key: string, { slots: wanted = 1, access }: OpenOptions): readonly Listener[] | undefined {
    const group = this.#borrowed.get(key);
    if (group === undefined || group.isUsed) return undefined;
    const missing = wanted - group.slots.length;
    if (missing > 0) this.extend(group.slots, missing);
    group.isUsed = true;
    for (const listener of group.slots) listener.takesDescriptors = access?.takesDescriptors;
    return group.slots;
  }

  /**
   * Returns the listener of another owner to the unused ones.
   *
   * @returns Whether it has another owner.
   */
  #giveBack(listener: Listener): boolean {
    const { owner, key } = listener;
    this.#used.delete(listener);
    if (owner === "other-master") {
      const group = this.#borrowed.get(key)!;
      group.isUsed = false;
      group.chosen = undefined;
      group.access.delete(listener);
    }
    return owner !== "self";
  }

  /**
   * Assigns activated listeners to addresses. An address keeps the listener that it has; the
   * listener of an address that is being closed is free.
   */
  #assign(wanted: readonly Endpoint[]): Map<string, Listener | undefined> {
    const keys = new Set(wanted.map(({ key }) => key));
    const assigned = new Map<string, Listener | undefined>();
    for (const { key, fd, owner } of this.#used) {
      if (!keys.has(key)) continue;
      assigned.set(
        key,
        owner === "activation" ? this.activated.find((one) => one.fd === fd) : undefined,
      );
    }
    const free = new Set(this.activated).difference(new Set(assigned.values()));
    for (const fits of FITS) {
      for (const endpoint of wanted) {
        const { key } = endpoint;
        const activated = assigned.has(key)
          ? undefined
          : free.values().find((one) => fits(one, endpoint));
        if (activated === undefined) continue;
        assigned.set(key, activated);
        free.delete(activated);
      }
    }
    return assigned;
  }
}

function withOwner(listener: Listener, owner: Listener["owner"]): Listener {
  listener.owner = owner;
  return listener;
}
