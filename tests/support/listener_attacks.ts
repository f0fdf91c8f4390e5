/**
 * What a process can do to a listener that it shares with others.
 *
 * @module
 */
import { O_NONBLOCK } from "../../src/os/fd/descriptor.ts";
import { attachFilter } from "../../src/os/net/bpf.ts";
import { AF_INET } from "../../src/os/ffi/constants.ts";
import { encodeInetAddress } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";
import { disconnectSocket, shutdownSocket } from "../../src/os/net/socket.ts";
import { setBytesOption, setIntOption } from "../../src/os/net/socket_options.ts";
import { whyNoRefusal } from "./descriptors.ts";

const SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ATTACH_FILTER = 26, SO_LOCK_FILTER = 44;
const SO_BINDTOIFINDEX = 62, IPPROTO_IP = 0, IP_MINTTL = 21, IPPROTO_TCP = 6, IPPROTO_IPV6 = 41;
const F_SETFL = 4, TCP_MD5SIG_EXT = 32;

/** The number of the loopback interface. */
const LOOPBACK_INDEX = 1;

/** `return 0`: nothing of any segment is taken. */
const DROP_ALL = [[0x06, 0, 0, 0]] as const;

/**
 * Makes the queue of a listener as short as it can be.
 *
 * @param fd The listener.
 */
export function shortenQueue(fd: number): void {
  unwrap({ syscall: "listen" }, () => libc().listen(fd, 0));
}

/** Attacks that a listener of any family knows. */
export const ATTACKS = {
  shutDown: shutdownSocket,
  block(fd: number): void {
    unwrap({ syscall: "fcntl" }, () => libc().fcntl(fd, F_SETFL, 0));
    if ((libc().fcntl(fd, 3, 0) & O_NONBLOCK) !== 0) throw new Error("still non-blocking");
  },
} as const;

/** Attacks on a listener of TCP, beside {@linkcode ATTACKS}. */
export const INET_ATTACKS = {
  disconnect: disconnectSocket,
  /** It is connected to a client of its own. */
  connect(fd: number): void {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    disconnectSocket(fd);
    const address = encodeInetAddress(new Uint8Array([127, 0, 0, 1]), listener.addr.port);
    // Non-blocking: it is on its way.
    libc().connect(fd, address, address.length);
    listener.close();
  },
  /** No client of IPv4 knows the key that it needs from then on. */
  keys(fd: number): void {
    const key = new Uint8Array(216), view = new DataView(key.buffer);
    view.setUint16(0, AF_INET, true);
    // TCP_MD5SIG_FLAG_PREFIX with a prefix of 0 bits, and a key of one byte.
    key.set([1, 0, 1, 0], 128);
    key[136] = 1;
    setBytesOption({ fd, level: IPPROTO_TCP, name: TCP_MD5SIG_EXT }, key);
  },
  filter: dropAll,
  lockedFilter(fd: number): void {
    dropAll(fd);
    setIntOption({ fd, level: SOL_SOCKET, name: SO_LOCK_FILTER });
  },
  /** It is shut down behind a filter, and its address is not to be used again. */
  lockedAndShutDown(fd: number): void {
    INET_ATTACKS.lockedFilter(fd);
    shutdownSocket(fd);
    setIntOption({ fd, level: SOL_SOCKET, name: SO_REUSEADDR }, 0);
  },
  bindToInterface(fd: number): void {
    setIntOption({ fd, level: SOL_SOCKET, name: SO_BINDTOIFINDEX }, LOOPBACK_INDEX);
  },
  closeToDistantHosts(fd: number): void {
    setIntOption({ fd, level: IPPROTO_IP, name: IP_MINTTL }, 255);
  },
} as const;

/**
 * Options of a listener that spoil every connection from it, by their names, with a value that does so.
 */
export const SPOILING_OPTIONS: Readonly<
  Record<string, readonly [level: number, name: number, ...value: number[]]>
> = {
  IP_TTL: [IPPROTO_IP, 2, 1],
  IP_MTU_DISCOVER: [IPPROTO_IP, 10, 3],
  IP_RECVERR: [IPPROTO_IP, 11, 1],
  IP_TOS: [IPPROTO_IP, 1, 8],
  SO_SNDBUF: [SOL_SOCKET, 7, 1],
  SO_RCVBUF: [SOL_SOCKET, 8, 1],
  SO_OOBINLINE: [SOL_SOCKET, 10, 1],
  SO_PRIORITY: [SOL_SOCKET, 12, 1],
  SO_LINGER: [SOL_SOCKET, 13, 1, 0],
  SO_RCVLOWAT: [SOL_SOCKET, 18, 1000],
  SO_RCVTIMEO: [SOL_SOCKET, 20, 0, 0, 1000, 0],
  SO_SNDTIMEO: [SOL_SOCKET, 21, 0, 0, 1000, 0],
  SO_TIMESTAMPING: [SOL_SOCKET, 37, 0x12],
  SO_MAX_PACING_RATE: [SOL_SOCKET, 47, 1],
  TCP_MAXSEG: [IPPROTO_TCP, 2, 88],
  TCP_CORK: [IPPROTO_TCP, 3, 1],
  TCP_KEEPIDLE: [IPPROTO_TCP, 4, 1],
  TCP_KEEPINTVL: [IPPROTO_TCP, 5, 1],
  TCP_KEEPCNT: [IPPROTO_TCP, 6, 1],
  TCP_SYNCNT: [IPPROTO_TCP, 7, 1],
  TCP_LINGER2: [IPPROTO_TCP, 8, -1],
  TCP_DEFER_ACCEPT: [IPPROTO_TCP, 9, 60],
  TCP_WINDOW_CLAMP: [IPPROTO_TCP, 10, 1],
  TCP_USER_TIMEOUT: [IPPROTO_TCP, 18, 1],
  TCP_NOTSENT_LOWAT: [IPPROTO_TCP, 25, 1],
};

/** The same for unix sockets. */
export const SPOILING_OPTIONS_OF_UNIX: typeof SPOILING_OPTIONS = {
  SO_PASSCRED: [SOL_SOCKET, 16, 1],
  SO_PASSSEC: [SOL_SOCKET, 34, 1],
  ...(whyNoRefusal() === undefined && { SO_PASSRIGHTS: [SOL_SOCKET, 83, 1] }),
};

/** The same for listeners of IPv6 alone. */
export const SPOILING_OPTIONS_OF_IPV6: typeof SPOILING_OPTIONS = {
  IPV6_UNICAST_HOPS: [IPPROTO_IPV6, 16, 1],
  IPV6_MTU_DISCOVER: [IPPROTO_IPV6, 23, 3],
  IPV6_RECVERR: [IPPROTO_IPV6, 25, 1],
  IPV6_TCLASS: [IPPROTO_IPV6, 67, 8],
  // Padding, which takes a privilege as each header of this kind does.
  ...(Deno.uid() === 0 && { IPV6_HOPOPTS: [IPPROTO_IPV6, 54, 0x0401_0000, 0] }),
};

/**
 * Sets an option of a listener.
 *
 * @param fd The listener.
 * @param option One of {@linkcode SPOILING_OPTIONS}.
 */
export function spoil(fd: number, [level, name, ...value]: typeof SPOILING_OPTIONS[string]): void {
  setBytesOption({ fd, level, name }, new Uint8Array(new Int32Array(value).buffer));
}

function dropAll(fd: number): void {
  attachFilter(fd, { option: SO_ATTACH_FILTER, instructions: DROP_ALL });
}
