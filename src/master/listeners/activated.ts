/**
 * A {@linkcode ListenerPort} that gives out the listeners that this process was started with, and
 * opens those that it was not.
 *
 * Whoever started this process holds the same sockets. So their addresses can't be bound here, a
 * listener that nobody wants any more is kept for a reload that names it again, and no socket file of
 * theirs is removed.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import type { ServiceEndpoint } from "../../config/service.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import type { ActivatedListener } from "./socket_activation.ts";
import type { Mended } from "./system_repair.ts";
import type { ListenerPort, OpenOptions, PortMendOptions } from "./system.ts";
import type { SocketAccess } from "../services/socket_owner.ts";

/** Whether a given listener fits an address. */
type Fit = (given: ActivatedListener, wanted: ServiceEndpoint) => boolean;

/** The best comes first: a name counts only for what no address tells. */
const FITS: readonly Fit[] = [
  (given, { endpoint }) => given.key === endpoint.key,
  (given, { endpoint }) => given.ipv4Key === endpoint.key,
  (given, { endpoint, service }) => given.name === service && given.kind === endpoint.kind,
];

/** A listener that has been given out or opened. */
interface Holding {
  /** The key of its address. */
  readonly key: string;
  /** What has been given out; undefined for one that was opened here. */
  readonly given?: ActivatedListener;
}

/** The listeners that this process was started with, before those of another port. */
export class ActivatedListeners implements ListenerPort {
  /** All that this process was started with. */
  readonly given: readonly ActivatedListener[];
  readonly #port: ListenerPort;
  readonly #holdings = new Map<OpenedListener, Holding>();

  /**
   * @param given What this process was started with. It stays open as long as the process runs.
   * @param port Opens everything else.
   */
  constructor(given: readonly ActivatedListener[], port: ListenerPort) {
    this.given = given;
    this.#port = port;
  }

  /**
   * Gives out the listener that fits an address best, or opens it.
   *
   * @param endpoint The address.
   * @param options What it is opened for.
   * @returns Its listeners; one that was given is alone, and has no file of its own.
   */
  open(endpoint: Endpoint, options: OpenOptions): readonly OpenedListener[] {
    const { key } = endpoint;
    const given = this.given.length > 0 ? this.#assign(options.wanted).get(key) : undefined;
    const listeners = given === undefined
      ? this.#port.open(endpoint, options)
      : [{ fd: given.fd, admission: given.admission }];
    for (const one of listeners) this.#holdings.set(one, { key, ...(given && { given }) });
    return listeners;
  }

  /**
   * Opens further slots beside those that were opened here. A given one stays alone: how many there are
   * is for its giver to say.
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
   * See {@linkcode ListenerPort}; there are several only of those that were opened here.
   *
   * @param slots What `open` returned.
   * @param chosen The places to which connections come.
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
   * See {@linkcode ListenerPort}. A given one is not replaced: its giver would go on with the old one, and
   * whatever that one has said of it would be lost.
   *
   * @param slots What `open` returned.
   * @param options What they are put right for.
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
   * See {@linkcode ListenerPort}. To a given one connections come as long as its giver wants.
   *
   * @param listener What `open` returned.
   * @param kind Its sort.
   */
  refuse(listener: OpenedListener, kind: Endpoint["kind"]): boolean {
    return !this.isGiven(listener) && this.#port.refuse(listener, kind);
  }

  /**
   * See {@linkcode ListenerPort}. The file of a given one is its giver's.
   *
   * @param listener What `open` returned.
   * @param access What its file is to have.
   */
  protect(listener: OpenedListener, access: SocketAccess): void {
    if (!this.isGiven(listener)) this.#port.protect(listener, access);
  }

  /**
   * Closes a listener, or takes it back if it was given.
   *
   * @param listener What `open` returned.
   */
  close(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.close(listener);
  }

  /**
   * As {@linkcode close}, for one that nobody has used.
   *
   * @param listener What `open` returned.
   */
  discard(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.discard(listener);
  }

  /**
   * Closes a listener that another process goes on with; a given one is closed with this process.
   *
   * @param listener What `open` returned.
   */
  leave(listener: OpenedListener): void {
    if (!this.#takeBack(listener)) this.#port.leave(listener);
  }

  /**
   * See {@linkcode ListenerPort}; never of a given one, which {@linkcode refuse} is no use for.
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
   * Keeps, for the case that it is opened again, what another master serves by now.
   *
   * @param key The key of the address.
   * @param slots Its listeners; owned by the port from now on.
   */
  keep(key: string, slots: readonly OpenedListener[]): void {
    // A given one is alone, and this process has it in any case.
    if (!slots.map((listener) => this.#takeBack(listener)).includes(true)) {
      this.#port.keep?.(key, slots);
    }
  }

  /**
   * Whether a listener is one of those that this process was started with.
   *
   * @param listener What `open` returned.
   */
  isGiven(listener: OpenedListener): boolean {
    return this.#holdings.get(listener)?.given !== undefined;
  }

  /**
   * What has become of the given listeners, as lines for the log; none if there is none.
   *
   * @param wanted All addresses of the configuration.
   * @returns One line of those that are served, and a warning for each that is not.
   */
  describe(wanted: readonly ServiceEndpoint[]): string[] {
    const keys = new Set(wanted.map(({ endpoint }) => endpoint.key));
    const served = new Map<ActivatedListener, string>();
    for (const { key, given } of this.#holdings.values()) {
      if (given && keys.has(key)) served.set(given, key);
    }
    const names = [...served].map(([given, key]) =>
      given.key === key ? key : `${given.key} as ${key}`
    );
    const idle = this.given.filter((given) => !served.has(given));
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
    return holding?.given !== undefined;
  }

  /**
   * Finds out which given listener is for which address. What an address has already stays with it,
   * and what only a closing one has is free.
   */
  #assign(wanted: readonly ServiceEndpoint[]): Map<string, ActivatedListener | undefined> {
    const keys = new Set(wanted.map(({ endpoint }) => endpoint.key));
    const assigned = new Map<string, ActivatedListener | undefined>();
    for (const { key, given } of this.#holdings.values()) {
      if (keys.has(key)) assigned.set(key, given);
    }
    const free = new Set(this.given).difference(new Set(assigned.values()));
    for (const fits of FITS) {
      for (const named of wanted) {
        const { key } = named.endpoint;
        const given = assigned.has(key) ? undefined : free.values().find((one) => fits(one, named));
        if (given === undefined) continue;
        assigned.set(key, given);
        free.delete(given);
      }
    }
    return assigned;
  }
}
