/**
 * A {@linkcode ListenerPort} that returns activated listeners, which this process was started with,
 * and opens all others.
 *
 * The process that started this one holds the same sockets. So their addresses can't be bound here,
 * an unused activated listener is kept for a later reload, and its socket file is never removed.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import type { ActivatedListener } from "./socket_activation.ts";
import type { Mended } from "./system_repair.ts";
import type { ListenerPort, OpenOptions, PortMendOptions } from "./system.ts";
import type { SocketAccess } from "../services/socket_owner.ts";

/** Whether an activated listener fits an address. */
type Fit = (activated: ActivatedListener, wanted: Endpoint) => boolean;

/** Best fit first: the name counts only for listeners that match no address. */
const FITS: readonly Fit[] = [
  (activated, { key }) => activated.key === key,
  (activated, { key }) => activated.ipv4Key === key,
  (activated, { kind, service }) => activated.name === service && activated.kind === kind,
];

/** A listener that is in use. */
interface Holding {
  /** The key of its address. */
  readonly key: string;
  /** The activated listener; undefined for one that was opened here. */
  readonly activated?: ActivatedListener;
}

/** Returns activated listeners before those of another port. */
export class ActivatedListeners implements ListenerPort {
  /** All activated listeners. */
  readonly given: readonly ActivatedListener[];
  readonly #port: ListenerPort;
  readonly #holdings = new Map<OpenedListener, Holding>();

  /**
   * @param given The activated listeners. They stay open as long as the process runs.
   * @param port Opens all others.
   */
  constructor(given: readonly ActivatedListener[], port: ListenerPort) {
    this.given = given;
    this.#port = port;
  }

  /**
   * Returns the activated listener that fits an address best, or opens the address.
   *
   * @param endpoint The address.
   * @param options What it is opened for.
   * @returns Its listeners; an activated listener is the only one of its address, and has no file
   * of its own.
   */
  open(endpoint: Endpoint, options: OpenOptions): readonly OpenedListener[] {
    const { key } = endpoint;
    const activated = this.given.length > 0 ? this.#assign(options.wanted).get(key) : undefined;
    const listeners = activated === undefined
      ? this.#port.open(endpoint, options)
      : [{ fd: activated.fd, admission: activated.admission }];
    for (const one of listeners) this.#holdings.set(one, { key, ...(activated && { activated }) });
    return listeners;
  }

  /**
   * Opens further slots of an address that was opened here. An activated address keeps its single
   * listener, since only its activator could add more.
   *
   * @param slots What `open` returned.
   * @param count How many more.
   */
  extend(slots: readonly OpenedListener[], count: number): readonly OpenedListener[] {
    if (this.isGiven(slots[0])) return [];
    const { key } = this.#holdings.get(slots[0])!;
    const added = this.#port.extend(slots, count);
    for (const listener of added) this.#holdings.set(listener, { key });
    return added;
  }

  /**
   * See {@linkcode ListenerPort}; only addresses that were opened here have several slots.
   *
   * @param slots What `open` returned.
   * @param chosen The indexes of the slots that receive connections.
   */
  steer(slots: readonly OpenedListener[], chosen: readonly number[]): void {
    this.#port.steer(slots, chosen);
  }

  /**
   * See {@linkcode ListenerPort}.
   *
   * @param listener What `open` returned.
   */
  isSound(listener: OpenedListener): boolean {
    return this.#port.isSound(listener);
  }

  /**
   * See {@linkcode ListenerPort}. An activated listener is not replaced: its activator would go on
   * with the old one, and the names and modes that it has set would be lost.
   *
   * @param slots What `open` returned.
   * @param options What to repair.
   */
  mend(slots: readonly OpenedListener[], options: PortMendOptions): Mended {
    if (this.isGiven(slots[0])) {
      const { problem, ...mended } = this.#port.mend(slots, { ...options, mayReplace: false });
      if (problem === undefined) return mended;
      return { ...mended, problem: `${problem}; only its giver can open it anew` };
    }
    const mended = this.#port.mend(slots, options);
    for (const [index, listener] of mended.slots.entries()) {
      const holding = this.#holdings.get(slots[index])!;
      this.#holdings.delete(slots[index]);
      this.#holdings.set(listener, holding);
    }
    return mended;
  }

  /**
   * See {@linkcode ListenerPort}.
   *
   * @param listener What `open` returned.
   */
  isHeldElsewhere(listener: OpenedListener): boolean {
    return this.isGiven(listener) || this.#port.isHeldElsewhere(listener);
  }

  /**
   * See {@linkcode ListenerPort}. An activated listener keeps receiving connections as long as its
   * activator wants.
   *
   * @param listener What `open` returned.
   * @param kind Its kind of address.
   */
  refuse(listener: OpenedListener, kind: Endpoint["kind"]): boolean {
    return !this.isGiven(listener) && this.#port.refuse(listener, kind);
  }

  /**
   * See {@linkcode ListenerPort}. The file of an activated listener belongs to its activator.
   *
   * @param listener What `open` returned.
   * @param access Mode and owner of its file.
   */
  protect(listener: OpenedListener, access: SocketAccess): void {
    if (!this.isGiven(listener)) this.#port.protect(listener, access);
  }

  /**
   * Closes a listener, or returns an activated one to the pool.
   *
   * @param listener What `open` returned.
   */
  close(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.close(listener);
  }

  /**
   * The same as {@linkcode close}, for a listener that was never used.
   *
   * @param listener What `open` returned.
   */
  discard(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.discard(listener);
  }

  /**
   * Closes a listener that another process keeps; an activated one is closed when this process
   * ends.
   *
   * @param listener What `open` returned.
   */
  leave(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.leave(listener);
  }

  /**
   * See {@linkcode ListenerPort}; never called for an activated listener, whose {@linkcode refuse}
   * returns false.
   *
   * @param listener What `open` returned.
   */
  async surrender(listener: OpenedListener): Promise<void> {
    await this.#port.surrender(listener);
  }

  /** See {@linkcode ListenerPort}. */
  atHand(): Iterable<string> {
    return this.#port.atHand?.() ?? [];
  }

  /**
   * Keeps listeners that another master serves now, in case that they are opened here again.
   *
   * @param key The key of the address.
   * @param slots Its listeners; owned by the port from now on.
   */
  keep(key: string, slots: readonly OpenedListener[]): void {
    // An activated listener is the only one of its address, and stays open in any case.
    if (!slots.map((listener) => this.#takeBack(listener)).includes(true)) {
      this.#port.keep?.(key, slots);
    }
  }

  /**
   * Whether a listener is an activated one.
   *
   * @param listener What `open` returned.
   */
  isGiven(listener: OpenedListener): boolean {
    return this.#holdings.get(listener)?.activated !== undefined;
  }

  /**
   * Log lines about the use of the activated listeners; none if there are no such listeners.
   *
   * @param wanted All addresses of the configuration.
   * @returns One line for those that are used, and a warning for each unused one.
   */
  describe(wanted: readonly Endpoint[]): string[] {
    const keys = new Set(wanted.map(({ key }) => key));
    const served = new Map<ActivatedListener, string>();
    for (const { key, activated } of this.#holdings.values()) {
      if (activated && keys.has(key)) served.set(activated, key);
    }
    const names = [...served].map(([activated, key]) =>
      activated.key === key ? key : `${activated.key} as ${key}`
    );
    const idle = this.given.filter((activated) => !served.has(activated));
    return [
      ...(names.length === 0 ? [] : [`not opened but given at the start: ${names.join(" ")}`]),
      ...idle.map(({ fd, name, key }) =>
        `warning: nobody serves ${key}, given at the start as descriptor ${fd}` +
        `${name === undefined ? "" : ` with the name ${name}`}: no server-service fits it`
      ),
    ];
  }

  #takeBack(listener: OpenedListener): boolean {
    const holding = this.#holdings.get(listener);
    this.#holdings.delete(listener);
    return holding?.activated !== undefined;
  }

  /**
   * Assigns activated listeners to addresses. An address keeps the listener that it has; the
   * listener of an address that is being closed is free.
   */
  #assign(wanted: readonly Endpoint[]): Map<string, ActivatedListener | undefined> {
    const keys = new Set(wanted.map(({ key }) => key));
    const assigned = new Map<string, ActivatedListener | undefined>();
    for (const { key, activated } of this.#holdings.values()) {
      if (keys.has(key)) assigned.set(key, activated);
    }
    const free = new Set(this.given).difference(new Set(assigned.values()));
    for (const fits of FITS) {
      for (const named of wanted) {
        const { key } = named;
        const activated = assigned.has(key)
          ? undefined
          : free.values().find((one) => fits(one, named));
        if (activated === undefined) continue;
        assigned.set(key, activated);
        free.delete(activated);
      }
    }
    return assigned;
  }
}
