/**
 * Server-side TLS: the context with certificate and key, the handshake with its time limit, and the close.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { systemClock, type Timer } from "../../os/clock/clock.ts";
import { backend, chooseBackend } from "../backend/chosen.ts";
import { closeQuietly } from "../lifecycle/connection_set.ts";
import { UNSURE_MS } from "../lifecycle/quiet.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { HandshakeError } from "./errors.ts";
import { readCertificate, type TlsOptions } from "./files.ts";

export type { TlsOptions };

/** The default time limit of a handshake, in seconds. */
const HANDSHAKE_SECONDS = 10;

/**
 * A certificate and its key, ready for use. The files are read once, by the constructor. One context for
 * all connections of a service saves reading them each time, and lets clients resume their sessions.
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
  /** The time limit of a handshake, in seconds. */
  readonly handshakeSeconds: number;
  /** The certificate and its intermediate certificates, in PEM form. */
  readonly cert: string;
  /** Its private key, in PEM form. */
  readonly key: string;
  /** The protocols on offer, in order of preference (ALPN). */
  readonly alpnProtocols: readonly string[] | undefined;

  /**
   * Reads and checks the files, or takes certificate and key as they are.
   *
   * @param options The paths of the files and the other options; or the texts of certificate and key.
   * @throws {ConfigError} When a file can't be read or is of another kind, or when certificate and key do
   * not match; it names the file.
   */
  constructor(
    options: TlsOptions | Deno.TlsCertifiedKeyPem & Omit<TlsOptions, "certFile" | "keyFile">,
  ) {
    const { cert, key } = "cert" in options ? options : readCertificate(options);
    this.cert = cert;
    this.key = key;
    this.alpnProtocols = options.alpnProtocols;
    this.handshakeSeconds = options.handshakeSeconds ?? HANDSHAKE_SECONDS;
  }

  /**
   * Makes a context of options, or returns a context as it is.
   *
   * @param tls Either.
   * @throws {ConfigError} As the constructor.
   */
  static of(tls: TlsOptions | TlsContext): TlsContext {
    return tls instanceof TlsContext ? tls : new TlsContext(tls);
  }

  /**
   * Starts TLS on a connection that was accepted without it, before the handshake.
   *
   * @param conn The connection, with no read or write under way. From now on its `close` closes the TLS
   * connection.
   * @returns The same connection over TLS.
   * @throws {HandshakeError} When the client has disconnected; the connection is closed then.
   */
  async upgrade(conn: Deno.Conn): Promise<Deno.TlsConn> {
    let secure: Deno.TlsConn;
    try {
      // A program that runs no server may start TLS too.
      secure = closingGently(await (await chooseBackend()).startTls(conn, this));
    } catch (error) {
      closeQuietly(conn);
      throw failed(error as Error);
    }
    conn.close = conn[Symbol.dispose] = () => secure.close();
    return secure;
  }
}

/**
 * Waits for the handshake of a connection, and closes the connection when it fails. A failed handshake is
 * no fault of the server, so it is logged at the level of `zdebug`. A server that is told to stop waits
 * for a shorter time.
 *
 * @param conn The connection over TLS.
 * @param seconds The time limit.
 * @returns The negotiated parameters.
 * @throws {HandshakeError} When the client took too long, speaks no TLS, or has disconnected.
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

/** Limits the handshakes under way when the server is told to stop; ignores connections without TLS. */
export function boundHandshakes(connections: Iterable<Deno.Conn>): void {
  for (const conn of connections) {
    if (!("handshake" in conn) || handshakes.has(conn)) continue;
    handshake(conn as Deno.TlsConn, UNSURE_MS / 1000).catch(() => {
      // The connection is closed, which its user finds out.
    });
  }
}

const handshakes = new WeakMap<object, Deno.TlsHandshakeInfo>();

/** Returns the negotiated parameters of a connection; undefined without a handshake. */
export function handshakeOf(conn: object): Deno.TlsHandshakeInfo | undefined {
  return handshakes.get(conn);
}

/**
 * Makes the end of the server wait until the close of a connection is sent: the runtime sends the last
 * message of TLS (close_notify) a moment after `close` has returned. A connection that is closed before its
 * handshake has ended is cut if necessary.
 *
 * @returns The same object.
 */
export function closingGently(conn: Deno.TlsConn): Deno.TlsConn {
  const close = conn.close.bind(conn);
  conn.close = conn[Symbol.dispose] = () => {
    const finished = serverLifecycle.activity.begin();
    systemClock.setTimer(0, finished);
    close();
    if (!handshakes.has(conn)) backend().endSoon(conn);
  };
  return conn;
}

/** Returns the error for plain text after a STARTTLS request. */
export function injected(bytes: number): HandshakeError {
  const message =
    `Cannot start TLS: ${bytes} bytes came in plain text behind the request, expected none`;
  zdebug(message);
  return new HandshakeError("plain text", message);
}

function failed(cause: Error): HandshakeError {
  return new HandshakeError("failed", `Cannot finish a TLS handshake: ${cause.message}`, { cause });
}
