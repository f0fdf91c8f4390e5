/**
 * The table of open listeners. An address is the identity of a listener: one that the next
 * configuration names again stays the very same socket, its queue included.
 *
 * A change is prepared first, which opens what is new and can fail without a trace, and then
 * committed, which can't fail.
 *
 * @module
 */
import type { Endpoint } from "../config/address.ts";
import { systemReason } from "../config/cf.ts";
import { cannot, type Problem, problemAt } from "../config/errors.ts";
import type { ServiceConfig, ServiceEndpoint } from "../config/service.ts";
import { closeFd } from "../os/descriptor.ts";
import { SysError } from "../os/errors.ts";
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
  /** Closes a listener and removes the socket file that it made. */
  close(listener: OpenedListener): void;
  /** Closes a listener that nobody has used, and removes whatever it made. */
  discard(listener: OpenedListener): void;
}

/** The real system calls. */
export const systemListeners: ListenerPort = {
  open: openListener,
  close({ fd, socketFile }) {
    if (socketFile !== undefined) removeSocketFile(socketFile);
    closeFd(fd);
  },
  discard(listener) {
    if (listener.madeFifo !== undefined) removeSocketFile(listener.madeFifo);
    systemListeners.close(listener);
  },
};

/** A change of the table that has been prepared. Exactly one of its functions is to be called. */
export interface ListenerChange {
  /** What could not be opened; if there is any, only {@linkcode undo} makes sense. */
  readonly problems: readonly Problem[];
  /** Makes it so: closes what is named no longer. */
  commit(): void;
  /** Closes what was opened for it. */
  undo(): void;
}

/** All open listeners, by the key of their address. */
export class ListenerTable {
  #open = new Map<string, OpenedListener>();

  /** @param port The system calls. */
  constructor(private readonly port: ListenerPort) {}

  /** The keys of all open listeners. */
  keys(): ReadonlySet<string> {
    return new Set(this.#open.keys());
  }

  /**
   * The descriptors of a service, in the order of its addresses; they stay the table's.
   *
   * @param service The service.
   * @throws {Error} When one of its addresses is not open.
   */
  descriptors(service: ServiceConfig): number[] {
    return service.endpoints.map(({ endpoint }) => {
      const listener = this.#open.get(endpoint.key);
      if (listener === undefined) throw new Error(`Cannot pass "${endpoint.key}": it is not open`);
      return listener.fd;
    });
  }

  /**
   * Opens what the services name and is not open yet.
   *
   * @param services All services of the next configuration.
   * @returns The prepared change.
   */
  prepare(services: readonly ServiceConfig[]): ListenerChange {
    const next = new Map<string, OpenedListener>();
    const opened: OpenedListener[] = [];
    const problems: Problem[] = [];
    const wanted = services.flatMap((service) => service.endpoints);
    for (const named of wanted) {
      const { endpoint, origin } = named;
      try {
        // One that is named twice is a problem of the configuration, and told as such.
        let listener = this.#open.get(endpoint.key) ?? next.get(endpoint.key);
        if (listener === undefined) opened.push(listener = this.port.open(endpoint, wanted));
        next.set(endpoint.key, listener);
      } catch (error) {
        const message = refusalOf(named, error as Error, this.#open.keys());
        problems.push(problemAt(origin, { key: "server-service", message }));
      }
    }
    return {
      problems,
      commit: () => {
        for (const [key, listener] of this.#open) {
          if (!next.has(key)) this.port.close(listener);
        }
        this.#open = next;
      },
      undo: () => opened.forEach((listener) => this.port.discard(listener)),
    };
  }

  /** Closes all. */
  closeAll(): void {
    for (const listener of this.#open.values()) this.port.close(listener);
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
