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
import { connectLoopback, endOf, resetConnection, sendAtOnce } from "../net/connections.ts";
import { runtimeFunctions } from "../net/runtime_functions.ts";
import { O_CLOEXEC } from "../ffi/constants.ts";
import { closeFd, duplicateFd } from "../fd/descriptor.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL } from "../fd/poller.ts";
import { listProcSelf } from "../ffi/proc_self.ts";

/** The runtime's property of an accepted connection that holds its descriptor. */
const FD_PROPERTY = "Deno.internal.fd";

/** The time limit of a connection of this process to itself. */
const ACCEPT_MS = 2_000;

/** The number of descriptor numbers to test before a scan of all open ones. */
const NEARBY = 64;

/**
 * With many connections it takes milliseconds to read one registration. From this length of the kernel's
 * text on, as for a thousand connections, one read serves a batch.
 */
const LONG_TEXT = 80_000, LARGE_BATCH = 16;

const NOTHING = { events: 0, data: 0n };

/** A throw-away connection. */
interface Opened {
  /** One end, a raw descriptor. */
  readonly client: number;
  /** The other end, as accepted by the runtime. */
  readonly made: Deno.TlsConn;
  /** The descriptor of that end. */
  readonly target: number;
}

/** A throw-away connection with the runtime's registration of `target`. */
type Throwaway = Opened & Registration;

/** The certificate and the key of a server. */
export interface Certificate {
  /** The certificate and its intermediate certificates, in PEM form. */
  readonly cert: string;
  /** Its private key, in PEM form. */
  readonly key: string;
  /** The protocols on offer, in order of preference (ALPN). */
  readonly alpnProtocols?: readonly string[];
}

/** Starts TLS on connections, one after the other, all with the same certificate. */
export class TlsAdopter {
  readonly #listener: Deno.TlsListener;
  readonly #clock: Clock;
  /** Fulfilled when no accept is under way on the listener. */
  #free: Promise<unknown> = Promise.resolve();
  #closed = false;
  #reserve: Throwaway[] = [];
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
  async adopt(conn: Deno.Conn): Promise<Deno.TlsConn> {
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

  async #adopt(conn: Deno.Conn): Promise<Deno.TlsConn> {
    // First, since it is the likeliest to fail, and the cheapest.
    descriptorOf(conn);
    const throwaway = await this.#throwaway();
    try {
      exchange(conn, throwaway);
    } catch (cause) {
      discard(throwaway);
      throw asAdoptError(cause as Error);
    }
    const { remoteAddr, localAddr } = conn;
    conn.close();
    resetConnection(throwaway.client);
    return Object.defineProperties(throwaway.made, {
      remoteAddr: { value: remoteAddr },
      localAddr: { value: localAddr },
    });
  }

  async #throwaway(): Promise<Throwaway> {
    if (this.#closed) throw new AdoptError("Cannot put TLS on a connection: closed");
    const reserved = this.#reserve.pop();
    if (reserved !== undefined) return reserved;
    const opened: Opened[] = [];
    try {
      while (opened.length < this.#batch) opened.push(await this.#open());
      this.#epoll ??= findRegistration(opened[0].target).epoll;
      const registrations = registrationsIn(this.#epoll);
      this.#batch = registrations.length > LONG_TEXT ? LARGE_BATCH : 1;
      this.#reserve = opened.map((one) => ({ ...one, ...required(registrations, one.target) }));
    } catch (cause) {
      opened.forEach(discard);
      throw asAdoptError(cause as Error);
    }
    return this.#reserve.pop()!;
  }

  async #open(): Promise<Opened> {
    const client = connectLoopback(this.#listener.addr.port);
    let made: Deno.TlsConn | undefined;
    try {
      const lowest = lowestFree(client);
      made = await this.#accept(client);
      return { client, made, target: findAccepted(client, lowest) };
    } catch (error) {
      made?.close();
      resetConnection(client);
      throw error;
    }
  }

  /** Accepts the own connection; any process on this machine may have connected before it. */
  async #accept(client: number): Promise<Deno.TlsConn> {
    const own = endOf(client, "local");
    // An accept can't be cancelled. If the own connection does not arrive now, none ever will.
    const timer = this.#clock.setTimer(ACCEPT_MS, () => this.close());
    try {
      for (;;) {
        const conn = await this.#listener.accept();
        const { hostname, port } = conn.remoteAddr;
        if (`${hostname}:${port}` === own) return conn;
        conn.close();
      }
    } finally {
      timer.cancel();
    }
  }

  /** Closes the listener; connections over TLS stay open. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.#reserve.forEach(discard);
    this.#reserve = [];
  }
}

/** Replaces a throw-away connection by a real one, and the real one by the other end of the throw-away one. */
function exchange(conn: Deno.Conn, { client, target, ...registration }: Throwaway): void {
  // Read again: it may have been closed while the throw-away connection was opened.
  const plain = descriptorOf(conn);
  sendAtOnce(plain);
  move(plain, target);
  control(EPOLL_CTL_ADD, target, registration);
  // The open file lives on under the other number, and would keep its registration.
  const { epoll } = registration;
  control(EPOLL_CTL_DEL, plain, { epoll, ...NOTHING });
  // A close of the runtime also shuts down the output (shutdown(2)), which must not be the client's.
  move(client, plain);
  // The runtime expects a registration when it closes. User data 0 is that of its own wake-ups.
  control(EPOLL_CTL_ADD, plain, { epoll, ...NOTHING });
}

/** Closes both ends of a throw-away connection. */
function discard({ client, made }: Opened): void {
  made.close();
  resetConnection(client);
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

/** The descriptor of a connection, if it still belongs to this connection. */
function descriptorOf(conn: Deno.Conn): number {
  const property = Object.getOwnPropertySymbols(conn)
    .find(({ description }) => description === FD_PROPERTY);
  const fd = property && (conn as unknown as Record<symbol, unknown>)[property];
  if (typeof fd !== "number") {
    throw new AdoptError("Cannot put TLS on a connection: its descriptor is not known");
  }
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

/** The number of the next descriptor, unless another thread is faster. */
function lowestFree(open: number): number {
  const fd = duplicateFd(open);
  closeFd(fd);
  return fd;
}

/** Finds the accepted end of a connection of this process to itself. */
function findAccepted(client: number, lowest: number): number {
  const own = endOf(client, "local");
  for (let fd = lowest; fd < lowest + NEARBY; fd++) if (endOf(fd, "peer") === own) return fd;
  const found = listProcSelf("fd").find((name) => endOf(Number(name), "peer") === own);
  if (found !== undefined) return Number(found);
  throw new AdoptError("Cannot put TLS on a connection: the throw-away one is not open");
}

function required(registrations: Registrations, fd: number): Registration {
  const found = registrations.find(fd);
  if (found !== undefined) return found;
  throw new AdoptError(
    `Cannot put TLS on a connection: descriptor ${fd} is not in the runtime's epoll instance`,
  );
}

/** dup3(2): closes `to`, and makes it a duplicate of `from`. */
function move(from: number, to: number): void {
  unwrap({ syscall: "dup3", subject: to }, () => libc().dup3(from, to, O_CLOEXEC));
}

function control(operation: number, fd: number, { epoll, events, data }: Registration): void {
  unwrap(
    { syscall: "epoll_ctl", subject: fd },
    () => libc().epoll_ctl(epoll, operation, fd, encodeEpollEvent(events, data)),
  );
}
