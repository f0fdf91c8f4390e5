/**
 * Messages to systemd's notification socket (sd_notify(3)).
 *
 * @module
 */
import { DatagramSender } from "./datagram.ts";
import { libc, unwrap } from "../ffi/libc.ts";

const CLOCK_MONOTONIC = 1;

/**
 * Sends one message to the socket that NOTIFY_SOCKET names.
 *
 * @param address Its path, or `@` and a name in the abstract namespace.
 * @param lines The assignments of the message, such as `READY=1`.
 * @throws {SysError} Without a receiver, or when the queue is full.
 * @throws {RangeError} When the path is too long.
 * @throws {TypeError} When it is the address of another kind of socket.
 */
export function sendNotification(address: string, lines: readonly string[]): void {
  if (!/^[/@]./.test(address)) {
    throw new TypeError(
      `Cannot notify "${address}": not a unix socket, expected an absolute path, or "@" and a name`,
    );
  }
  const sender = DatagramSender.connect(address.replace(/^@/, "\0"));
  try {
    const sent = sender.send(new TextEncoder().encode(lines.join("\n")));
    if (sent === undefined) {
      throw new TypeError(`Cannot notify "${address}": its queue is full, expected a free place`);
    }
  } finally {
    sender.close();
  }
}

/** The clock that service managers compare: CLOCK_MONOTONIC, in microseconds. */
export function monotonicMicroseconds(): bigint {
  // struct timespec: seconds and nanoseconds.
  const time = new BigInt64Array(2);
  unwrap({ syscall: "clock_gettime" }, () => libc().clock_gettime(CLOCK_MONOTONIC, time));
  return time[0] * 1_000_000n + time[1] / 1_000n;
}
