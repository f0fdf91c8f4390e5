/**
 * Throw-away connections: connections of this process to itself that the runtime has accepted, so that another
 * descriptor can take the place of one.
 *
 * @module
 */
import { AdoptError } from "./listener.ts";
import type { Clock } from "../clock/clock.ts";
import { closeFd, duplicateFd } from "../fd/descriptor.ts";
import { O_CLOEXEC } from "../ffi/constants.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { listProcSelf } from "../ffi/proc_self.ts";
import { connectLoopback, endOf, resetConnection } from "../net/connections.ts";

/** The time limit of a connection of this process to itself. */
const ACCEPT_MS = 2_000;

/** The number of descriptor numbers to test before a scan of all open ones. */
const NEARBY = 64;

/** A throw-away connection. */
export interface Throwaway<C extends Deno.Conn> {
  /** One end, a raw descriptor. */
  readonly client: number;
  /** The other end, as accepted by the runtime. */
  readonly made: C;
  /** The descriptor of that end. */
  readonly target: number;
}

/** The options of {@linkcode openThrowaway}. */
export interface ThrowawayOptions {
  readonly clock: Clock;
  /** Called when the connection does not arrive: it is to close the listener, since an accept can't be cancelled. */
  readonly late: () => void;
}

/**
 * Opens a throw-away connection.
 *
 * @param listener A listener on 127.0.0.1. Borrowed.
 * @param options What to do when it takes long.
 * @throws {AdoptError} When its descriptor is not found.
 */
export async function openThrowaway<C extends Deno.TcpConn | Deno.TlsConn>(
  listener: Deno.Listener<C>,
  { clock, late }: ThrowawayOptions,
): Promise<Throwaway<C>> {
  const client = connectLoopback((listener.addr as Deno.NetAddr).port);
  const timer = clock.setTimer(ACCEPT_MS, late);
  let made: C | undefined;
  try {
    const lowest = lowestFree(client);
    made = await acceptOwn(listener, client);
    return { client, made, target: findAccepted(client, lowest) };
  } catch (error) {
    made?.close();
    resetConnection(client);
    throw error;
  } finally {
    timer.cancel();
  }
}

/** Accepts the own connection; any process on this machine may have connected before it. */
async function acceptOwn<C extends Deno.TcpConn | Deno.TlsConn>(
  listener: Deno.Listener<C>,
  client: number,
): Promise<C> {
  const own = endOf(client, "local");
  for (;;) {
    const conn = await listener.accept();
    const { hostname, port } = conn.remoteAddr;
    if (`${hostname}:${port}` === own) return conn;
    conn.close();
  }
}

/** Closes both ends of a throw-away connection. */
export function discardThrowaway({ client, made }: Throwaway<Deno.Conn>): void {
  made.close();
  resetConnection(client);
}

/** dup3(2): closes `to`, and makes it a duplicate of `from`. */
export function move(from: number, to: number): void {
  unwrap({ syscall: "dup3", subject: to }, () => libc().dup3(from, to, O_CLOEXEC));
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
  throw new AdoptError("Cannot use a throw-away connection: it is not open");
}
