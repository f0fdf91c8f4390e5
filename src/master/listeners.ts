/**
 * The table of open listeners. An address is the identity of a listener: one that the next
 * configuration names again stays the very same socket, its queue included.
 *
 * What a configuration needs is prepared first, which opens what is new and can fail without a
 * trace, and then committed, which can't fail. What nobody needs any more is closed by itself.
 *
 * @module
 */
import type { Endpoint } from "../config/address.ts";
import { systemReason } from "../config/cf.ts";
import { cannot, type Problem, problemAt } from "../config/errors.ts";
import { keysOf, type ServiceConfig, type ServiceEndpoint } from "../config/service.ts";
import { closeFd } from "../os/descriptor.ts";
import { SysError } from "../os/errors.ts";
import { refuseConnections } from "../os/listen_queue.ts";
import { type OpenedListener, openListener, removeSocketFile } from "../os/socket.ts";

/** The system calls that this table makes, as a port that tests replace. */
export interface ListenerPort {
  /**
   * See {@linkcode openListener}.
   *
   * @param endpoint What to open.
   * @param wanted All addresses of the next configuration, this one among them: what this process
   * was given goes to the one that it fits best.
   */
  open(endpoint: Endpoint, wanted: readonly ServiceEndpoint[]): OpenedListener;
  /**
   * Keeps new connections out of the queue of a listener that is about to be closed for good, so that
   * those who serve it can accept what is in it.
   *
   * @param listener The listener.
   * @param kind Its sort.
   * @returns Whether that makes sense; not so where somebody else goes on with it.
   */
  refuse(listener: OpenedListener, kind: Endpoint["kind"]): boolean;
  /** Closes a listener and removes the socket file that it made. */
  close(listener: OpenedListener): void;
  /** Closes a listener that nobody has used, and removes whatever it made. */
  discard(listener: OpenedListener): void;
  /** Closes this process's end of a listener that another process goes on with. */
  leave(listener: OpenedListener): void;
  /** The keys of the addresses that are open already, though nobody has asked for them yet. */
  atHand?(): Iterable<string>;
}

/** The real system calls. */
export const systemListeners: ListenerPort = {
  open: openListener,
  refuse({ fd, socketFile }, kind) {
    if (kind === "fifo") return false;
    if (socketFile !== undefined) removeSocketFile(socketFile);
    refuseConnections(fd);
    return true;
  },
  close({ fd, socketFile }) {
    if (socketFile !== undefined) removeSocketFile(socketFile);
    closeFd(fd);
  },
  discard(listener) {
    if (listener.madeFifo !== undefined) removeSocketFile(listener.madeFifo);
    systemListeners.close(listener);
  },
  leave: ({ fd }) => closeFd(fd),
};

/** A change of the table that has been prepared. Exactly one of its functions is to be called. */
export interface ListenerChange {
  /** What could not be opened; if there is any, only {@linkcode undo} makes sense. */
  readonly problems: readonly Problem[];
  /** Adds what was opened to the table, on trial until {@linkcode ListenerTable.keep}. */
  commit(): void;
  /** Closes what was opened for it. */
  undo(): void;
}

/** An open listener. */
interface Entry {
  readonly listener: OpenedListener;
  readonly kind: Endpoint["kind"];
  /** Whether nobody has taken it into use for good. */
  onTrial: boolean;
}

/** All open listeners, by the key of their address. */
export class ListenerTable {
  readonly #open = new Map<string, Entry>();
  /** Those that are to be closed for good, and whose queues take no more connections. */
  readonly #closing = new Map<string, Entry>();

  /** @param port The system calls. */
  constructor(private readonly port: ListenerPort) {}

  /**
   * Whether an address is open.
   *
   * @param key Its key.
   */
  has(key: string): boolean {
    return this.#open.has(key);
  }

  /**
   * Whether an address is about to be closed for good, and what waits in its queue should be accepted.
   *
   * @param key Its key.
   */
  isClosing(key: string): boolean {
    return this.#closing.has(key);
  }

  /** All of them, which stay the table's. */
  entries(): [key: string, listener: OpenedListener][] {
    return [...this.#open].map(([key, { listener }]) => [key, listener]);
  }

  /** The keys of all open listeners, those that the port has at hand included. */
  keys(): ReadonlySet<string> {
    return new Set([...this.#open.keys(), ...this.port.atHand?.() ?? []]);
  }

  /**
   * The descriptors of a service, in the order of its addresses; they stay the table's.
   *
   * @param service The service.
   * @throws {Error} When one of its addresses is not open.
   */
  descriptors(service: ServiceConfig): number[] {
    return service.endpoints.map(({ endpoint }) => {
      const entry = this.#open.get(endpoint.key);
      if (entry === undefined) throw new Error(`Cannot pass "${endpoint.key}": it is not open`);
      return entry.listener.fd;
    });
  }

  /**
   * Opens what the services name and is not open yet.
   *
   * @param services All services of the next configuration.
   * @returns The prepared change.
   */
  prepare(services: readonly ServiceConfig[]): ListenerChange {
    const opened = new Map<string, Omit<Entry, "onTrial">>();
    const problems: Problem[] = [];
    const wanted = services.flatMap((service) => service.endpoints);
    for (const named of wanted) {
      const { endpoint, origin } = named;
      // One that is named twice is a problem of the configuration, and told as such.
      if (this.#open.has(endpoint.key) || opened.has(endpoint.key)) continue;
      try {
        const listener = this.port.open(endpoint, wanted);
        opened.set(endpoint.key, { listener, kind: endpoint.kind });
      } catch (error) {
        const message = refusalOf(named, error as Error, this.#open.keys());
        problems.push(problemAt(origin, { key: "server-service", message }));
      }
    }
    return {
      problems,
      commit: () => {
        for (const [key, entry] of opened) this.#open.set(key, { ...entry, onTrial: true });
      },
      undo: () => opened.values().forEach(({ listener }) => this.port.discard(listener)),
    };
  }

  /**
   * Says that a service is in force: its listeners are no longer on trial.
   *
   * @param service The service.
   */
  keep(service: ServiceConfig): void {
    for (const { endpoint } of service.endpoints) {
      const entry = this.#open.get(endpoint.key);
      if (entry !== undefined) entry.onTrial = false;
    }
  }

  /**
   * Takes the listeners of services that are gone out of the table. No new connection gets into their
   * queues; {@linkcode closeReleased} closes them, once those that serve them know it.
   *
   * @param gone These services.
   * @param needed Services that may have the same addresses, and keep them.
   */
  release(gone: readonly ServiceConfig[], needed: readonly ServiceConfig[]): void {
    const keys = new Set(needed.flatMap(keysOf));
    for (const key of gone.flatMap(keysOf)) {
      if (!keys.has(key)) this.releaseKey(key);
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
    this.#open.delete(key);
    if (this.port.refuse(entry.listener, entry.kind)) this.#closing.set(key, entry);
    else this.#close(entry);
  }

  /** Closes what was released. Of those that were on trial nothing is left behind. */
  closeReleased(): void {
    this.#closing.values().forEach((entry) => this.#close(entry));
    this.#closing.clear();
  }

  #close({ listener, onTrial }: Entry): void {
    if (onTrial) this.port.discard(listener);
    else this.port.close(listener);
  }

  /** Leaves all to another process. */
  leaveAll(): void {
    for (const { listener } of this.#open.values()) this.port.leave(listener);
    this.#open.clear();
  }
}

/** Says why an address could not be opened, and what would help. */
function refusalOf(
  { endpoint, address }: ServiceEndpoint,
  error: Error,
  own: Iterable<string>,
): string {
  // An error of the system, from libc or from the runtime's calls for files.
  if (!("code" in error)) return error.message;
  const rival = endpoint.kind === "inet" && error.code === "EADDRINUSE"
    ? [...own].find((key) => key.endsWith(`:${endpoint.port}`))
    : undefined;
  if (rival !== undefined) {
    return cannot("listen on", address, {
      found: `this master itself listens on ${rival}`,
      expected: "that address to be closed by one reload, and this one to be opened by the next",
    });
  }
  // A relative path alone would not tell where it was looked for.
  return cannot("listen on", endpoint.kind === "inet" ? address : endpoint.path, {
    found: error instanceof SysError ? error.found : `${systemReason(error)} (${error.code})`,
    expected: remedyFor(String(error.code), endpoint.kind),
  });
}

function remedyFor(code: string, kind: Endpoint["kind"]): string {
  switch (code) {
    case "EADDRINUSE":
      return "an address that no other program listens on";
    case "EADDRNOTAVAIL":
      return "an address of this machine";
    case "EACCES":
    case "EPERM":
      return kind === "inet"
        ? "a port that this user may listen on"
        : "a path that this user may make and use";
    case "ENOENT":
    case "ENOTDIR":
      return "a path in a directory that exists";
    default:
      return "a listener that the system can open";
  }
}
