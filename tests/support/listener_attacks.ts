/**
 * What a process can do to a listener that it shares with others.
 *
 * @module
 */
import { O_NONBLOCK } from "../../src/os/descriptor.ts";
import { attachFilter } from "../../src/os/filter.ts";
import { encodeInetAddress } from "../../src/os/layout.ts";
import { libc, unwrap } from "../../src/os/libc.ts";
import { disconnectSocket, shutdownSocket } from "../../src/os/socket.ts";
import { setIntOption } from "../../src/os/socket_options.ts";

const SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ATTACH_FILTER = 26, SO_LOCK_FILTER = 44;
const SO_BINDTOIFINDEX = 62, IPPROTO_IP = 0, IP_MINTTL = 21, F_SETFL = 4;

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

function dropAll(fd: number): void {
  attachFilter(fd, { option: SO_ATTACH_FILTER, instructions: DROP_ALL });
}
