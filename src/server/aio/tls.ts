/**
 * STARTTLS of the aio mode.
 *
 * @module
 */
import type { AioHandle } from "./base.ts";
import type { AioConn } from "./conn.ts";
import type { AioInput } from "./input.ts";
import { type AioOperation, DONE, FAILED, TIMED_OUT } from "./operation.ts";
import type { AioOutput } from "./output.ts";
import type { HandshakeError } from "../tls/errors.ts";
import { handshake, injected, TlsContext, type TlsOptions } from "../tls/context.ts";

/** The parts of an `Aio` that a start of TLS concerns. */
export interface AioTlsStart<Owner extends AioHandle> {
  readonly operation: AioOperation<Owner>;
  readonly input: AioInput<Owner>;
  readonly output: AioOutput<Owner>;
  readonly tls: TlsOptions | TlsContext;
  readonly callback: (owner: Owner) => void;
  /** Gives up both sides of the plain connection, and returns it. */
  readonly suspend: () => AioConn;
  /** Takes the connection that is there now: over TLS, or, after a failure, closed. */
  readonly resume: (conn: AioConn) => void;
}

/**
 * Begins the operation.
 *
 * @param start What it concerns.
 * @throws {ConfigError} When certificate or key are unusable.
 * @throws {Deno.errors.Busy} When an operation, a read or a write is under way, or something is
 * cached that was not flushed.
 */
export function startAioTls<Owner extends AioHandle>(start: AioTlsStart<Owner>): void {
  const { operation, input, output } = start;
  const busy = input.isReading
    ? "a read is under way"
    : output.isWriting || output.cache.size > 0
    ? "something is not flushed"
    : undefined;
  if (busy !== undefined) {
    throw new Deno.errors.Busy(`Cannot start "startTls": ${busy}, expected a quiet connection`);
  }
  const context = TlsContext.of(start.tls);
  operation.begin("startTls", start.callback);
  if (input.cache.size > 0) {
    return operation.finishLater(FAILED, injected(input.cache.size));
  }
  const conn = start.suspend();
  const finish = (result: number, error?: Error) => {
    if (operation.name === "startTls" && operation.isWaiting) operation.finish(result, error);
  };
  secure(conn as Deno.Conn, context).then((conn) => {
    start.resume(conn);
    finish(DONE);
  }, (error) => {
    start.resume(conn);
    finish((error as HandshakeError).reason === "late" ? TIMED_OUT : FAILED, error);
  });
}

async function secure(conn: Deno.Conn, context: TlsContext): Promise<Deno.TlsConn> {
  const secure = await context.upgrade(conn);
  await handshake(secure, context.handshakeSeconds);
  return secure;
}
