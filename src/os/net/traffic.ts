/**
 * How much has gone over a connection in each direction, as the kernel has counted it: what tells an
 * idle connection from one on which something has begun, whatever its owner knows.
 *
 * @module
 */
import { unreadBytes } from "./connections.ts";
import { libc } from "../ffi/libc.ts";
import type { ListenAddress } from "./socket.ts";

const IPPROTO_TCP = 6, TCP_INFO = 11;
const SOL_SOCKET = 1, SO_PEEK_OFF = 42, SO_COOKIE = 57;

/** Where `struct tcp_info` has what is asked for (linux/tcp.h). */
const LAST_DATA_SENT = 44, LAST_DATA_RECEIVED = 52, BYTES_RECEIVED = 128, BYTES_SENT = 200;
const TCP_INFO_BYTES = 208;

/** The largest value of SO_PEEK_OFF, from which the kernel counts down. */
const PEEK_OFFSET = 0x7fff_ffff;

/**
 * What tells a socket from all others, also from a later one with the same descriptor (SO_COOKIE).
 *
 * @param fd Any number. Borrowed.
 * @returns Undefined when it is no open socket.
 */
export function socketId(fd: number): bigint | undefined {
  const cookie = new BigUint64Array(1), length = new Uint32Array([cookie.byteLength]);
  return libc().getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, length) === 0 ? cookie[0] : undefined;
}

/** What has gone over a connection so far. */
export interface Traffic {
  /** Bytes that have arrived, read or not; of a unix socket since {@linkcode startCounting}. */
  readonly received: number;
  /** Bytes that were sent; undefined for a unix socket, whose kernel does not count them. */
  readonly sent: number | undefined;
  /** Bytes that have arrived and were not read yet. */
  readonly unread: number;
  /**
   * What was last: data that came or data that went. `unknown` when both were within one tick of the
   * kernel, which is up to 10 ms, and for unix sockets.
   */
  readonly last: "received" | "sent" | "unknown";
  /** How long ago the last data came or went, in milliseconds; undefined for a unix socket. */
  readonly quietMs: number | undefined;
}

/**
 * Has the kernel count what is read from a unix socket. It counts a connection of TCP from the
 * beginning by itself.
 *
 * The counter is where a peek would begin (SO_PEEK_OFF, socket(7)): each read of the owner moves it
 * towards 0. It changes nothing for an owner that does not peek, and the runtime does not.
 *
 * @param fd A connected socket. Borrowed.
 * @param kind Of which kind it is.
 */
export function startCounting(fd: number, kind: ListenAddress["kind"]): void {
  if (kind !== "unix") return;
  libc().setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, new Int32Array([PEEK_OFFSET]), 4);
}

/**
 * Reads the counters of a connection.
 *
 * @param fd A connected socket. Borrowed.
 * @param kind Of which kind it is.
 * @returns The counters; undefined when it is closed.
 */
export function trafficOf(fd: number, kind: ListenAddress["kind"]): Traffic | undefined {
  return kind === "unix" ? unixTraffic(fd) : tcpTraffic(fd);
}

function unixTraffic(fd: number): Traffic | undefined {
  const offset = new Int32Array(1);
  if (libc().getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, offset, new Uint32Array([4])) !== 0) {
    return undefined;
  }
  const unread = unreadBytes(fd);
  const received = PEEK_OFFSET - offset[0] + unread;
  return { received, sent: undefined, unread, last: "unknown", quietMs: undefined };
}

function tcpTraffic(fd: number): Traffic | undefined {
  const info = new DataView(new ArrayBuffer(TCP_INFO_BYTES));
  const length = new Uint32Array([TCP_INFO_BYTES]);
  if (libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, new Uint8Array(info.buffer), length) !== 0) {
    return undefined;
  }
  const sent = Number(info.getBigUint64(BYTES_SENT, true));
  const sentAgoMs = info.getUint32(LAST_DATA_SENT, true);
  const receivedAgoMs = info.getUint32(LAST_DATA_RECEIVED, true);
  return {
    received: Number(info.getBigUint64(BYTES_RECEIVED, true)),
    sent,
    unread: unreadBytes(fd),
    last: sent === 0 || receivedAgoMs < sentAgoMs
      ? "received"
      : sentAgoMs < receivedAgoMs
      ? "sent"
      : "unknown",
    quietMs: Math.min(sentAgoMs, receivedAgoMs),
  };
}
