/**
 * How TLS comes to a connection, from the server's side: the context that holds certificate and key,
 * the handshake with its limit, and the end.
 *
 * @module
 */
import { zdebug, zinfo } from "../../log/log.ts";
import { AdoptError } from "../../os/adopt/listener.ts";
import { TlsAdopter, type TlsIdentity } from "../../os/adopt/tls.ts";
import { systemClock, type Timer } from "../../os/clock/clock.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { UNSURE_MS } from "../lifecycle/drain_limits.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { HandshakeError } from "./errors.ts";
import { readIdentity, type TlsOptions } from "./files.ts";
import { cutSoon } from "./leftovers.ts";

export type { TlsOptions };

/** How long a client has for its handshake where nothing else is said, in seconds. */
const HANDSHAKE_SECONDS = 10;

/**
 * Certificate and key, ready for use. They are read when it is made, and never again: one for all
 * connections of a service saves reading them each time, and lets clients resume their sessions.
 *
 * @example
 * ```ts
 * import { TlsContext } from "@zc/master";
 *
 * try {
 *   new TlsContext({ certFile: "mail.crt", keyFile: "mail.key" });
 * } catch (error) {
 *   console.error((error as Error).message);
 * }
 * ```
 */
export class TlsContext {
  /** How long a client may take for its handshake, in seconds. */
  readonly handshakeSeconds: number;
  /** What was read. */
  readonly identity: TlsIdentity;
  #adopter: TlsAdopter | undefined;

  /**
   * Reads and checks the files.
   *
   * @param options Which files, and what else can be set.
   * @throws {ConfigError} When a file can't be read or is of another kind, or when the two don't
   * belong together; it names the file.
   */
  constructor(options: TlsOptions) {
    this.identity = readIdentity(options);
    this.handshakeSeconds = options.handshakeSeconds ?? HANDSHAKE_SECONDS;
  }

  /**
   * Makes one of options, or takes one as it is.
   *
   * @param tls Either.
   * @throws {ConfigError} As the constructor.
   */
  static of(tls: TlsOptions | TlsContext): TlsContext {
    return tls instanceof TlsContext ? tls : new TlsContext(tls);
  }

  /**
   * Puts TLS on a connection that was accepted without it; the handshake is still to come.
   *
   * @param conn The connection, with no read or write under way. From now on its `close` closes the
   * one over TLS.
   * @returns The same connection over TLS.
   * @throws {HandshakeError} When the client has gone; the connection is closed then.
   */
  async upgrade(conn: Deno.Conn): Promise<Deno.TlsConn> {
    let secure: Deno.TlsConn;
    try {
      secure = closingGently(await this.#upgrade(conn));
    } catch (error) {
      closeQuietly(conn);
      throw failed(error as Error);
    }
    conn.close = conn[Symbol.dispose] = () => secure.close();
    return secure;
  }

  async #upgrade(conn: Deno.Conn): Promise<Deno.TlsConn> {
    try {
      // A server without FFI has told what that means.
      if (mayUseFfi()) return await (this.#adopter ??= new TlsAdopter(this.identity)).adopt(conn);
    } catch (error) {
      if (!(error instanceof AdoptError)) throw error;
      // Its listener has told what is not permitted.
      if (!(error.cause instanceof Deno.errors.NotCapable)) tellOnce(error);
    }
    const { nodeServerTls } = await import("./node.ts");
    return nodeServerTls(conn, this.identity);
  }
}

let told = false;

/** Of unix sockets and of a runtime that works in another way; neither changes from one to the next. */
function tellOnce({ message }: Error): void {
  if (told) return;
  told = true;
  zinfo(`${message}; it is done by node:tls, which is slower`);
}

/**
 * Waits for the handshake of a connection, and closes the connection when it fails. Clients that
 * fail are no fault of the server, and no news: they are told of at the level of `zdebug`. A server that
 * is told to stop waits less.
 *
 * @param conn The connection over TLS.
 * @param seconds How long to wait.
 * @returns What was agreed on.
 * @throws {HandshakeError} When the client took too long, speaks no TLS, or has gone.
 */
export async function handshake(
  conn: Deno.TlsConn,
  seconds: number,
): Promise<Deno.TlsHandshakeInfo> {
  let late = false;
  const closeLate = () => {
    late = true;
    closeQuietly(conn);
  };
  const timer = systemClock.setTimer(seconds * 1000, closeLate);
  let stopTimer: Timer | undefined;
  const { softstopSignal } = serverLifecycle;
  const hurry = () => stopTimer = systemClock.setTimer(UNSURE_MS, closeLate);
  if (softstopSignal.aborted) hurry();
  else softstopSignal.addEventListener("abort", hurry);
  try {
    const info = await conn.handshake();
    handshakes.set(conn, info);
    return info;
  } catch (cause) {
    if (!late) closeQuietly(conn);
    const error = late
      ? new HandshakeError(
        "late",
        `Cannot finish a TLS handshake: it took more than ${seconds} s, expected less`,
      )
      : failed(cause as Error);
    zdebug(error.message);
    throw error;
  } finally {
    timer.cancel();
    stopTimer?.cancel();
    softstopSignal.removeEventListener("abort", hurry);
  }
}

/**
 * Lets no connection hold a server that is told to stop whose handshake does not come to its end.
 *
 * @param connections All connections, those among them that speak no TLS.
 */
export function boundHandshakes(connections: Iterable<Deno.Conn>): void {
  for (const conn of connections) {
    if (!("handshake" in conn) || handshakes.has(conn)) continue;
    handshake(conn as Deno.TlsConn, UNSURE_MS / 1000).catch(() => {
      // It is closed, which its user finds out.
    });
  }
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    // Somebody has given it up meanwhile, which is what made the handshake fail.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

const handshakes = new WeakMap<object, Deno.TlsHandshakeInfo>();

/**
 * What was agreed on in a handshake.
 *
 * @param conn A connection.
 * @returns The outcome; undefined when there was none.
 */
export function handshakeOf(conn: object): Deno.TlsHandshakeInfo | undefined {
  return handshakes.get(conn);
}

/**
 * Makes the end of the server wait until the closing of a connection is told to the client: the
 * runtime sends the last message of TLS (close_notify) a moment after `close` has returned. One that
 * is closed before its handshake is cut, if need be.
 *
 * @param conn A connection over TLS.
 * @returns The same object.
 */
export function closingGently(conn: Deno.TlsConn): Deno.TlsConn {
  const close = conn.close.bind(conn);
  conn.close = conn[Symbol.dispose] = () => {
    const finished = serverLifecycle.activity.begin();
    systemClock.setTimer(0, finished);
    close();
    if (!handshakes.has(conn)) cutSoon(conn);
  };
  return conn;
}

/**
 * The error for what came behind a request for TLS, without TLS.
 *
 * @param bytes How much.
 */
export function injected(bytes: number): HandshakeError {
  const message =
    `Cannot start TLS: ${bytes} bytes came in plain text behind the request, expected none`;
  zdebug(message);
  return new HandshakeError("plain text", message);
}

function failed(cause: Error): HandshakeError {
  return new HandshakeError("failed", `Cannot finish a TLS handshake: ${cause.message}`, { cause });
}
