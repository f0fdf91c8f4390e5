/**
 * Server-side TLS over an open connection, which the runtime offers only to clients.
 *
 * The runtime creates such a stream only when it accepts on a TLS listener, and then does not wait for the
 * handshake. So it accepts a throw-away connection of this process to itself, and before any data the real
 * connection replaces its socket: same descriptor number, same registration with the runtime's epoll
 * instance, as `listener.ts` does for listeners. The plain connection gets the other end of the throw-away
 * one, and is closed. Every step is checked, and {@linkcode AdoptError} tells the caller to use another way.
 * See docs/design/09_tls.md.
 *
 * @module
 */
import {
  AdoptError,
  createIfPermitted,
  findRegistration,
  type Registration,
  type Registrations,
  registrationsIn,
} from "./listener.ts";
import { type Clock, systemClock } from "../clock/clock.ts";
import { endOf, resetConnection, sendAtOnce } from "../net/connections.ts";
import { runtimeFunctions } from "../net/runtime_functions.ts";
import { discardThrowaway, move, openThrowaway, type Throwaway } from "./throwaway.ts";
import { closeFd } from "../fd/descriptor.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL } from "../fd/poller.ts";

/** The runtime's property of an accepted connection that holds its descriptor. */
const FD_PROPERTY = "Deno.internal.fd";

/**
 * With many connections it takes milliseconds to read one registration. From this length of the kernel's
 * text on, as for a thousand connections, one read serves a batch.
 */
const LONG_TEXT = 80_000, LARGE_BATCH = 16;

const NOTHING = { events: 0, data: 0n };

/** A throw-away connection with the runtime's registration of `target`. */
type Registered = Throwaway<Deno.TlsConn> & Registration;

/** The certificate and the key of a server. */
export interface Certificate {
  /** The certificate and its intermediate certificates, in PEM form. */
  readonly cert: string;
  /** Its private key, in PEM form. */
  readonly key: string;
  /** The protocols on offer, in order of preference (ALPN). */
  readonly alpnProtocols?: readonly string[];
}

/** A connection over a descriptor that is none of the runtime's. */
export interface RawConn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  /** The descriptor. Borrowed; -1 once the connection is closed. */
  readonly rawFd: number;
  /** Gives up the descriptor, which the caller owns then, and closes the connection without it. */
  takeFd(): number;
}

/** Starts TLS on connections, one after the other, all with the same certificate. */
export class TlsAdopter {
  readonly #listener: Deno.TlsListener;
  readonly #clock: Clock;
  /** Fulfilled when no accept is under way on the listener. */
  #free: Promise<unknown> = Promise.resolve();
  #closed = false;
  #reserve: Registered[] = [];
  #batch = 1;
  /** The runtime's epoll instance, once it is known. */
  #epoll: number | undefined;

  /**
   * Opens the listener of the throw-away connections, on a port of 127.0.0.1 that the system chooses.
   *
   * @param certificate Certificate and key.
   * @param clock The source of time.
   * @throws {Error} When certificate and key are unusable.
   * @throws {AdoptError} Without the permission to listen there.
   */
  constructor(certificate: Certificate, clock: Clock = systemClock) {
    this.#listener = listenThrowaway(certificate);
    this.#clock = clock;
  }

  /**
   * Starts TLS on a connection. The handshake begins with the client's first message.
   *
   * @param conn An accepted TCP connection, with no read or write under way. It is closed from now on,
   * invisibly to the client.
   * @returns The same connection over TLS, with the addresses of `conn`.
   * @throws {AdoptError} When a step fails; `conn` is unchanged.
   * @throws {Deno.errors.NotConnected} When it is closed, or the client has disconnected.
   */
  async adopt(conn: Deno.Conn | RawConn): Promise<Deno.TlsConn> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    try {
      return await this.#adopt(conn);
    } finally {
      resolve();
    }
  }

  async #adopt(conn: Deno.Conn | RawConn): Promise<Deno.TlsConn> {
    // First, since it is the likeliest to fail, and the cheapest.
    descriptorOf(conn);
    const throwaway = await this.#throwaway();
    try {
      exchange(conn, throwaway);
    } catch (cause) {
      discardThrowaway(throwaway);
      throw asAdoptError(cause as Error);
    }
    const { remoteAddr, localAddr } = conn;
    if (isRaw(conn)) closeFd(conn.takeFd());
    else conn.close();
    resetConnection(throwaway.client);
    return Object.defineProperties(throwaway.made, {
      remoteAddr: { value: remoteAddr },
      localAddr: { value: localAddr },
    });
  }

  async #throwaway(): Promise<Registered> {
    if (this.#closed) throw new AdoptError("Cannot put TLS on a connection: closed");
    const reserved = this.#reserve.pop();
    if (reserved !== undefined) return reserved;
    const opened: Throwaway<Deno.TlsConn>[] = [];
    try {
      const options = { clock: this.#clock, late: () => this.close() };
      while (opened.length < this.#batch) {
        opened.push(await openThrowaway(this.#listener, options));
      }
      this.#epoll ??= findRegistration(opened[0].target).epoll;
      const registrations = registrationsIn(this.#epoll);
      this.#batch = registrations.length > LONG_TEXT ? LARGE_BATCH : 1;
      this.#reserve = opened.map((one) => ({ ...one, ...required(registrations, one.target) }));
    } catch (cause) {
      opened.forEach(discardThrowaway);
      throw asAdoptError(cause as Error);
    }
    return this.#reserve.pop()!;
  }

  /** Closes the listener; connections over TLS stay open. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.#reserve.forEach(discardThrowaway);
    this.#reserve = [];
  }
}

/** Replaces a throw-away connection by a real one, and the real one by the other end of the throw-away one. */
function exchange(
  conn: Deno.Conn | RawConn,
  { client, target, ...registration }: Registered,
): void {
  // Read again: it may have been closed while the throw-away connection was opened.
  const plain = descriptorOf(conn);
  sendAtOnce(plain);
  move(plain, target);
  control(EPOLL_CTL_ADD, target, registration);
  if (isRaw(conn)) return;
  // The open file lives on under the other number, and would keep its registration.
  const { epoll } = registration;
  control(EPOLL_CTL_DEL, plain, { epoll, ...NOTHING });
  // A close of the runtime also shuts down the output (shutdown(2)), which must not be the client's.
  move(client, plain);
  // The runtime expects a registration when it closes. User data 0 is that of its own wake-ups.
  control(EPOLL_CTL_ADD, plain, { epoll, ...NOTHING });
}

function asAdoptError(cause: Error): Error {
  if (cause instanceof AdoptError || cause instanceof Deno.errors.NotConnected) return cause;
  return new AdoptError(`Cannot put TLS on a connection: ${cause.message}`, { cause });
}

/**
 * Opens a TLS listener on a port of 127.0.0.1 that the system chooses, whose socket is replaced later.
 *
 * @throws {Error} When certificate and key are unusable.
 * @throws {AdoptError} Without the permission to listen there.
 */
export function listenThrowaway({ cert, key, alpnProtocols }: Certificate): Deno.TlsListener {
  const protocols = alpnProtocols && [...alpnProtocols];
  const options = { hostname: "127.0.0.1", port: 0, cert, key, alpnProtocols: protocols };
  return createIfPermitted(() => runtimeFunctions.listenTls(options));
}

function isRaw(conn: Deno.Conn | RawConn): conn is RawConn {
  return "takeFd" in conn;
}

function rawFd({ localAddr, rawFd }: RawConn): number {
  // The runtime's TLS is for TCP only.
  if (localAddr.transport === "tcp") return rawFd;
  throw new AdoptError("Cannot put TLS on a connection: a unix socket, expected TCP");
}

/** The number by which the runtime knows a connection. */
function runtimeFd(conn: Deno.Conn): number {
  const property = Object.getOwnPropertySymbols(conn)
    .find(({ description }) => description === FD_PROPERTY);
  const fd = property && (conn as unknown as Record<symbol, unknown>)[property];
  if (typeof fd === "number") return fd;
  throw new AdoptError("Cannot put TLS on a connection: its descriptor is not known");
}

/** The descriptor of a connection, if it still belongs to this connection. */
function descriptorOf(conn: Deno.Conn | RawConn): number {
  const fd = isRaw(conn) ? rawFd(conn) : runtimeFd(conn);
  const found = [endOf(fd, "local"), endOf(fd, "peer")];
  const expected = [textOf(conn.localAddr), textOf(conn.remoteAddr)];
  // The number of a closed connection may be in use again.
  if (found.some((end, index) => portOf(end) !== portOf(expected[index]))) {
    throw new Deno.errors.NotConnected("Cannot put TLS on a connection: it is closed");
  }
  if (found.join() !== expected.join()) {
    throw new AdoptError(
      `Cannot put TLS on a connection: its ends are ${found}, expected ${expected}`,
    );
  }
  return fd;
}

function portOf(end: string | undefined): string | undefined {
  return end?.slice(end.lastIndexOf(":"));
}

function textOf(addr: Deno.Addr): string | undefined {
  return addr.transport === "tcp" ? `${addr.hostname}:${addr.port}` : undefined;
}

function required(registrations: Registrations, fd: number): Registration {
  const found = registrations.find(fd);
  if (found !== undefined) return found;
  throw new AdoptError(
    `Cannot put TLS on a connection: descriptor ${fd} is not in the runtime's epoll instance`,
  );
}

function control(operation: number, fd: number, { epoll, events, data }: Registration): void {
  unwrap(
    { syscall: "epoll_ctl", subject: fd },
    () => libc().epoll_ctl(epoll, operation, fd, encodeEpollEvent(events, data)),
  );
}
