/**
 * The queue of pending connections of a listening socket: closing it to new ones, and waiting until it is
 * empty.
 *
 * When the last process closes a listener, the kernel resets the connections in its queue. So before a
 * final close, the listener is closed to new connections and accepted from until the queue is empty.
 *
 * @module
 */
import { type Clock, delay, systemClock } from "../clock/clock.ts";
import { IPPROTO_TCP } from "../ffi/constants.ts";
import { attachFilter } from "./bpf.ts";
import type { FilterInstruction } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { isReadable } from "../fd/poller.ts";
import { describeListener } from "./socket.ts";

const SO_ATTACH_FILTER = 26, TCP_INFO = 11, TCP_LISTEN = 10;

/** The offsets in `struct tcp_info` (linux/tcp.h) of the fields that describe a listener's queue. */
const LISTENER_QUEUE = 24, LISTENER_BACKLOG = 28, TCP_INFO_BYTES = 32;

/** With this backlog a queue takes one connection at most. */
const SMALLEST_BACKLOG = 0;

/** The interval of the tests in {@linkcode queueEmpties}. */
const LOOK_MS = 5;

/**
 * Drops segments with SYN and without ACK, and accepts all others, so that handshakes under way can finish.
 * A segment begins with its TCP header, whose flags are in byte 13. An accepted connection inherits the
 * filter, but receives no such segment.
 */
const DROP_SYN: readonly FilterInstruction[] = [
  [0x30, 0, 0, 13], // load the flags
  [0x54, 0, 0, 0x12], // of these SYN and ACK
  [0x15, 0, 1, 0x02], // SYN alone?
  [0x06, 0, 0, 0], // take nothing of it
  [0x06, 0, 0, 0xffff_ffff], // take all of it
];

/**
 * Closes the queue of a listener to new connections, for every process that holds it. Pending connections
 * and handshakes under way stay.
 *
 * A later TCP client gets no answer. It retries after a second, and is then refused, or served by the next
 * listener of the address. Nothing is done for a unix socket: the removal of its path keeps clients away.
 *
 * Some kernels need CAP_NET_ADMIN for it. Without that the queue is made as short as possible: it still takes
 * one connection whenever it is empty.
 *
 * @param fd A listening stream socket before its final close. Borrowed.
 * @returns Whether no TCP connection can arrive any more; always false for a unix socket.
 * @throws {TypeError} When `fd` is no listening stream socket.
 * @throws {SysError} When the kernel refuses for another reason.
 */
export function refuseConnections(fd: number): boolean {
  const { kind } = describeListener(fd);
  if (kind === "fifo") {
    throw new TypeError(
      `Cannot refuse connections on descriptor ${fd}: a named pipe, expected a listening socket`,
    );
  }
  if (kind === "unix") return false;
  if (attachFilter(fd, { option: SO_ATTACH_FILTER, instructions: DROP_SYN })) return true;
  unwrap({ syscall: "listen", subject: fd }, () => libc().listen(fd, SMALLEST_BACKLOG));
  return false;
}

/** The queue of a listener. */
export interface QueueStatus {
  /** How many connections wait to be accepted. */
  readonly length: number;
  /** How many can wait. */
  readonly limit: number;
}

/**
 * The queue of a TCP listener (tcp(7), TCP_INFO).
 *
 * @returns The queue; undefined for another kind of descriptor, of which the kernel does not tell it this way.
 */
export function queueOf(fd: number): QueueStatus | undefined {
  const info = new DataView(new ArrayBuffer(TCP_INFO_BYTES));
  const length = new Uint32Array([TCP_INFO_BYTES]);
  const result = libc().getsockopt(
    fd,
    IPPROTO_TCP,
    TCP_INFO,
    new Uint8Array(info.buffer),
    length,
  );
  if (result !== 0 || info.getUint8(0) !== TCP_LISTEN) return undefined;
  return {
    length: info.getUint32(LISTENER_QUEUE, true),
    limit: info.getUint32(LISTENER_BACKLOG, true),
  };
}

/**
 * Waits until the queue of a listener is empty, while another part of the process accepts from it.
 *
 * @param fd The listener, which must stay open until this is fulfilled. Borrowed.
 * @param options `settleMs`: the least time to wait, for handshakes under way. `withinMs`: the time limit.
 * `clock`: the source of time.
 * @returns Whether it is empty; false at the time limit.
 */
export async function queueEmpties(
  fd: number,
  { settleMs, withinMs, clock = systemClock }: {
    readonly settleMs: number;
    readonly withinMs: number;
    readonly clock?: Clock;
  },
): Promise<boolean> {
  const startMs = clock.nowMs();
  for (;;) {
    const passedMs = clock.nowMs() - startMs;
    const empty = !isReadable(fd);
    if (empty && passedMs >= settleMs) return true;
    if (passedMs >= withinMs) return empty;
    await delay(LOOK_MS, clock);
  }
}
