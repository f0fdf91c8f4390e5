/**
 * The kernel's byte counters of a connection, which tell an idle connection from a busy one.
 *
 * @module
 */
import { IPPROTO_TCP, SOL_SOCKET } from "../ffi/constants.ts";
import { unreadBytes } from "./connections.ts";
import { libc } from "../ffi/libc.ts";
import type { ListenAddress } from "./socket.ts";

const TCP_INFO = 11;
const SO_PEEK_OFF = 42, SO_COOKIE = 57;

/** The offsets in `struct tcp_info` (linux/tcp.h). */
const LAST_DATA_SENT = 44, LAST_DATA_RECEIVED = 52, BYTES_RECEIVED = 128, BYTES_SENT = 200;
const TCP_INFO_BYTES = 208;

/** The largest value of SO_PEEK_OFF, from which the kernel counts down. */
const PEEK_OFFSET = 0x7fff_ffff;

/**
 * The id of a socket, which no other socket ever has, not even a later one with the same descriptor
 * (SO_COOKIE); undefined when the number is no open socket.
 */
export function socketId(fd: number): bigint | undefined {
  const cookie = new BigUint64Array(1), length = new Uint32Array([cookie.byteLength]);
  return libc().getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, length) === 0 ? cookie[0] : undefined;
}

/** The counters of a connection. */
export interface Traffic {
  /** Received bytes, read or not; for a unix socket since {@linkcode startCounting}. */
  readonly received: number;
  /** Sent bytes; undefined for a unix socket, for which the kernel does not count them. */
  readonly sent: number | undefined;
  /** Received bytes that were not read yet. */
  readonly unread: number;
  /**
   * The direction of the last data. `unknown` when both directions were within one kernel tick, which is up to
   * 10 ms, and for unix sockets.
   */
  readonly last: "received" | "sent" | "unknown";
  /** The time since the last data in either direction, in milliseconds; undefined for a unix socket. */
  readonly quietMs: number | undefined;
}

/**
 * Makes the kernel count the bytes read from a unix socket; TCP connections are counted from the beginning.
 *
 * The counter is the peek offset (SO_PEEK_OFF, socket(7)): each read of the owner moves it towards 0. It
 * has no effect on an owner that does not peek, and the runtime does not.
 */
export function startCounting(fd: number, kind: ListenAddress["kind"]): void {
  if (kind !== "unix") return;
  libc().setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, new Int32Array([PEEK_OFFSET]), 4);
}

/** Reads the counters of a connection; undefined when it is closed. */
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
