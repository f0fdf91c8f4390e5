/**
 * The options of a listener that its connections inherit (socket(7), ip(7), ipv6(7), tcp(7), unix(7)).
 *
 * A listener should have the values of a new socket of the same family, since many defaults are system
 * settings and change with them; a unix socket takes no descriptors unless its service does. Values are compared as the kernel's bytes.
 *
 * @module
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  SO_PASSRIGHTS,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import { closeFd } from "../fd/descriptor.ts";
import { SysError } from "../ffi/errors.ts";
import { libc } from "../ffi/libc.ts";
import { setTakesDescriptors } from "./fd_passing.ts";
import { setBytesOption, setIntOption } from "./socket_options.ts";
import { newSocket } from "./socket.ts";

const IPPROTO_IP = 0;
const SO_BUF_LOCK = 72;

/** How long the values of a new socket are cached: a check covers all listeners of a service. */
const NEW_FOR_MS = 1_000;

/** One option. */
interface ListenerOption {
  /** The damage by another value, in words for the log. */
  readonly what: string;
  readonly level: number;
  readonly name: number;
  /** The value that restores the system's default, where that is not the value of a new socket. */
  readonly reset?: number;
  /** Whether it is a size, of which a larger value does no harm. */
  readonly isSize?: boolean;
  /** Whether it is the size of a buffer, which the system doubles when it is set. */
  readonly isBuffer?: boolean;
  /** Whether it takes memory, see {@linkcode hasAttachments}. Only with the lock of the socket can it be read. */
  readonly isAttached?: boolean;
}

const INTERFACE = "bound to one interface", DISTANT = "closed to distant hosts";

function changed(name: string): string {
  return `changed in ${name}`;
}

function option(
  [level, name]: readonly [level: number, name: number],
  what: string,
  more: Omit<ListenerOption, "level" | "name" | "what"> = {},
): ListenerOption {
  return { level, name, what, ...more };
}

/**
 * All options of TCP that can harm a client. TCP_NODELAY and SO_KEEPALIVE can't, and programs set them on their
 * listeners. TCP_FASTOPEN is a part of listen(2) on some systems. For keys see {@linkcode hasAttachments}.
 */
const OPTIONS: readonly ListenerOption[] = [
  option([SOL_SOCKET, 62], INTERFACE), // SO_BINDTOIFINDEX
  option([SOL_SOCKET, 5], DISTANT), // SO_DONTROUTE
  option([IPPROTO_IP, 21], DISTANT), // IP_MINTTL
  option([IPPROTO_IP, 2], DISTANT, { reset: -1 }), // IP_TTL
  option([SOL_SOCKET, 7], changed("SO_SNDBUF"), { isSize: true, isBuffer: true }),
  option([SOL_SOCKET, 8], changed("SO_RCVBUF"), { isSize: true, isBuffer: true }),
  option([SOL_SOCKET, 10], changed("SO_OOBINLINE")),
  option([SOL_SOCKET, 13], changed("SO_LINGER")),
  option([SOL_SOCKET, 18], changed("SO_RCVLOWAT")),
  option([SOL_SOCKET, 20], changed("SO_RCVTIMEO")),
  option([SOL_SOCKET, 21], changed("SO_SNDTIMEO")),
  option([SOL_SOCKET, 36], changed("SO_MARK")),
  option([SOL_SOCKET, 37], changed("SO_TIMESTAMPING")),
  option([SOL_SOCKET, 42], changed("SO_PEEK_OFF")),
  option([SOL_SOCKET, 47], changed("SO_MAX_PACING_RATE")),
  option([IPPROTO_IP, 10], changed("IP_MTU_DISCOVER")),
  option([IPPROTO_IP, 11], changed("IP_RECVERR")),
  option([IPPROTO_IP, 1], changed("IP_TOS")),
  // After IP_TOS, which sets it as well.
  option([SOL_SOCKET, 12], changed("SO_PRIORITY")),
  // A socket that was connected reports the size of that time.
  option([IPPROTO_TCP, 2], changed("TCP_MAXSEG"), { isSize: true, reset: 0 }),
  option([IPPROTO_TCP, 3], changed("TCP_CORK")),
  option([IPPROTO_TCP, 4], changed("TCP_KEEPIDLE")),
  option([IPPROTO_TCP, 5], changed("TCP_KEEPINTVL")),
  option([IPPROTO_TCP, 6], changed("TCP_KEEPCNT")),
  option([IPPROTO_TCP, 7], changed("TCP_SYNCNT")),
  option([IPPROTO_TCP, 8], changed("TCP_LINGER2"), { reset: 0 }),
  option([IPPROTO_TCP, 9], changed("TCP_DEFER_ACCEPT")),
  option([IPPROTO_TCP, 10], changed("TCP_WINDOW_CLAMP")),
  option([IPPROTO_TCP, 13], changed("TCP_CONGESTION")),
  option([IPPROTO_TCP, 18], changed("TCP_USER_TIMEOUT")),
  option([IPPROTO_TCP, 25], changed("TCP_NOTSENT_LOWAT")),
  option([IPPROTO_TCP, 37], changed("TCP_TX_DELAY")),
  option([IPPROTO_TCP, 44], changed("TCP_RTO_MAX_MS")),
  option([IPPROTO_TCP, 45], changed("TCP_RTO_MIN_US")),
  option([IPPROTO_TCP, 46], changed("TCP_DELACK_MAX_US")),
  // Those of IPv6 come last: other sockets have none of them.
  option([IPPROTO_IPV6, 73], DISTANT), // IPV6_MINHOPCOUNT
  option([IPPROTO_IPV6, 16], DISTANT, { reset: -1 }), // IPV6_UNICAST_HOPS
  option([IPPROTO_IPV6, 23], changed("IPV6_MTU_DISCOVER")),
  option([IPPROTO_IPV6, 25], changed("IPV6_RECVERR")),
  option([IPPROTO_IPV6, 67], changed("IPV6_TCLASS")),
  option([IPPROTO_IPV6, 54], changed("IPV6_HOPOPTS"), { isAttached: true }),
  option([IPPROTO_IPV6, 55], changed("IPV6_RTHDRDSTOPTS"), { isAttached: true }),
  option([IPPROTO_IPV6, 57], changed("IPV6_RTHDR"), { isAttached: true }),
  option([IPPROTO_IPV6, 59], changed("IPV6_DSTOPTS"), { isAttached: true }),
];

/** By the address family. Connections of a unix socket inherit these since Linux 6.16. */
const OPTIONS_OF: ReadonlyMap<number, readonly ListenerOption[]> = new Map([
  [AF_INET, OPTIONS.filter(({ level }) => level !== IPPROTO_IPV6)],
  [AF_INET6, OPTIONS],
  [AF_UNIX, [
    option([SOL_SOCKET, 16], changed("SO_PASSCRED")),
    option([SOL_SOCKET, 34], changed("SO_PASSSEC")),
    option([SOL_SOCKET, 76], changed("SO_PASSPIDFD")),
    option([SOL_SOCKET, SO_PASSRIGHTS], changed("SO_PASSRIGHTS")),
  ]],
]);

/** The values that differ from a new socket, by table index; "" for the others. */
export type OptionValues = readonly string[];

/** A listener with its address family, one of those that have options here. */
export interface ListenerOfFamily {
  /** The listener. Borrowed. */
  readonly fd: number;
  readonly family: number;
}

const SO_MEMINFO = 55;
/** Which of the numbers of SO_MEMINFO is the memory of options. */
const OPTION_MEMORY = 6;

/** An option of a listener with a wrong value. */
export interface ChangedOption {
  /** The damage, in words for the log. */
  readonly what: string;
  /**
   * Restores it.
   *
   * @throws {SysError} When the kernel refuses.
   */
  undo(): void;
}

/**
 * Whether a socket has what takes memory of its own: a filter, keys of TCP_MD5SIG or TCP_AO, header options of IPv6.
 * The keys can't be read themselves. Unlike these, the memory is read without the lock of the socket.
 *
 * @returns Undefined where the kernel does not tell it (before Linux 4.12).
 */
export function hasAttachments(fd: number): boolean | undefined {
  const memory = read(fd, { level: SOL_SOCKET, name: SO_MEMINFO });
  return memory === ""
    ? undefined
    : new Uint32Array(Uint8Array.fromHex(memory).buffer)[OPTION_MEMORY] > 0;
}

/** Reads the values in which a listener differs from a new socket. */
export function optionsOf({ fd, family }: ListenerOfFamily): OptionValues {
  const fresh = valuesOfNew(family);
  return optionsFor(family).map((option, index) => {
    const value = read(fd, option);
    return value === fresh[index] ? "" : value;
  });
}

/** Finds the options of a listener that have changed, against its intended values (default none). */
export function changedOptions(
  { fd, family }: ListenerOfFamily,
  wanted: OptionValues = [],
): ChangedOption[] {
  const fresh = valuesOfNewIfAny(family);
  if (fresh === undefined) return [];
  const hasNone = hasAttachments(fd) === false;
  return optionsFor(family).flatMap((option, index): ChangedOption[] => {
    const { what, isSize, isAttached } = option, own = wanted[index] || undefined;
    if (isAttached && hasNone && own === undefined) return [];
    const value = own ?? fresh[index], found = read(fd, option);
    if (found === value || isSize && sizeIn(found) > sizeIn(value)) return [];
    return [{
      what,
      undo: () => set(fd, { option, value, isOwn: own !== undefined }),
    }];
  });
}

/** The values of a unix socket that takes descriptors, and has changed nothing else. */
export function takingDescriptors(): OptionValues {
  const one = new Uint8Array(new Int32Array([1]).buffer).toHex();
  return optionsFor(AF_UNIX).map(({ name }) => name === SO_PASSRIGHTS ? one : "");
}

function optionsFor(family: number): readonly ListenerOption[] {
  return OPTIONS_OF.get(family) ?? [];
}

function set(
  fd: number,
  { option, value, isOwn }: {
    readonly option: ListenerOption;
    readonly value: string;
    readonly isOwn: boolean;
  },
): void {
  const { level, name, reset, isBuffer } = option;
  if (isBuffer) {
    setIntOption({ fd, level, name }, sizeIn(value) / 2);
    // Lets the system grow the buffer again.
    if (!isOwn) setIntOption({ fd, level: SOL_SOCKET, name: SO_BUF_LOCK }, 0);
  } else if (reset !== undefined && !isOwn) setIntOption({ fd, level, name }, reset);
  else setBytesOption({ fd, level, name }, Uint8Array.fromHex(value));
}

function sizeIn(value: string): number {
  return new DataView(Uint8Array.fromHex(value).buffer).getInt32(0, true);
}

const newOnes = new Map<number, { readonly values: readonly string[]; readonly atMs: number }>();

/** The values of a new socket. */
function valuesOfNew(family: number): readonly string[] {
  const known = newOnes.get(family), nowMs = performance.now();
  if (known !== undefined && nowMs - known.atMs < NEW_FOR_MS) return known.values;
  const fd = newSocket(family);
  try {
    if (family === AF_UNIX) setTakesDescriptors(fd, false);
    const values = optionsFor(family).map((option) => read(fd, option));
    newOnes.set(family, { values, atMs: nowMs });
    return values;
  } finally {
    closeFd(fd);
  }
}

/** The same; undefined if no socket can be opened now, which leaves the test to the next check. */
function valuesOfNewIfAny(family: number): readonly string[] | undefined {
  try {
    return valuesOfNew(family);
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

const ROOM = new Uint8Array(256), LENGTH = new Uint32Array(1);

/** The value as hexadecimal digits; empty where the kernel does not know the option. */
function read(
  fd: number,
  { level, name }: Pick<ListenerOption, "level" | "name">,
): string {
  LENGTH[0] = ROOM.length;
  if (libc().getsockopt(fd, level, name, ROOM, LENGTH) !== 0) return "";
  return ROOM.subarray(0, LENGTH[0]).toHex();
}
