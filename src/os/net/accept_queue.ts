/**
 * The queue of a listening socket: connections that the kernel has made and nobody has accepted.
 *
 * When the last process closes a listener, the kernel resets all that are in its queue. So one that
 * is closed for good is first closed to new connections, then accepted from until the queue is
 * empty, and only then closed.
 *
 * @module
 */
import { type Clock, systemClock } from "../clock/clock.ts";
import { attachFilter } from "./bpf.ts";
import type { FilterInstruction } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { isReadable } from "../fd/poller.ts";
import { describeListener } from "./socket.ts";

const SO_ATTACH_FILTER = 26;

/** With it a queue takes a connection when it is empty, and no other. */
const SMALLEST_BACKLOG = 0;

/** How often {@linkcode queueEmpties} looks. */
const LOOK_MS = 5;

/**
 * Drops a segment with SYN and without ACK, and takes all others: what belongs to a handshake under
 * way must come through. A segment begins with its TCP header, whose flags are in its byte 13. An
 * accepted connection inherits the filter, and no such segment is for it.
 */
const DROP_SYN: readonly FilterInstruction[] = [
  [0x30, 0, 0, 13], // load the flags
  [0x54, 0, 0, 0x12], // of these SYN and ACK
  [0x15, 0, 1, 0x02], // SYN alone?
  [0x06, 0, 0, 0], // take nothing of it
  [0x06, 0, 0, 0xffff_ffff], // take all of it
];

/**
 * Closes the queue of a listener to new connections, for every process that holds it; what is in it,
 * and every handshake under way, is left alone.
 *
 * A client of TCP that comes after that gets no answer. It asks again after a second, and then it is
 * refused, or served by whoever listens there by then. Nothing is done for a unix socket: the removal
 * of its path keeps clients away.
 *
 * Some kernels want CAP_NET_ADMIN for it. Without that the queue is made as short as it can be: one
 * connection may still come into it whenever it is empty.
 *
 * @param fd A listening stream socket that is about to be closed for good. Borrowed.
 * @returns Whether no connection of TCP can come any more; always false for a unix socket.
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

/**
 * Whether no connection waits to be accepted.
 *
 * @param fd A listening stream socket, or one that was shut down. Borrowed.
 */
export function isQueueEmpty(fd: number): boolean {
  return !isReadable(fd);
}

/**
 * Waits until the queue of a listener is empty, while somebody else accepts from it.
 *
 * @param fd The listener, to be kept open until this is fulfilled. Borrowed.
 * @param options `settleMs`: how long to wait at least, for handshakes that were under way.
 * `withinMs`: how long at most. `clock`: where time comes from.
 * @returns Whether it is empty; false when the time is over.
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
    const empty = isQueueEmpty(fd);
    if (empty && passedMs >= settleMs) return true;
    if (passedMs >= withinMs) return empty;
    await new Promise<void>((resolve) => clock.setTimer(LOOK_MS, resolve));
  }
}
