/**
 * Constants of the C headers that several files use; the same on x86-64 and arm64. One that a single
 * file uses stays there.
 *
 * @module
 */

/** Address families and kinds of sockets (socket(2)). */
export const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
export const SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000;

/** Levels and options of sockets (socket(7), tcp(7), ipv6(7)). */
export const SOL_SOCKET = 1, IPPROTO_TCP = 6, IPPROTO_IPV6 = 41;
export const SO_TYPE = 3, SO_ACCEPTCONN = 30, SO_DOMAIN = 39, SO_PASSRIGHTS = 83;

/** Flags of messages (send(2)), and ways to shut a connection down (shutdown(2)). */
export const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
export const SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;

/** Descriptors and paths (open(2), fcntl(2), openat(2)). */
export const O_PATH = 0o10000000, O_CLOEXEC = 0o2000000, F_GETFD = 1;
export const AT_FDCWD = -100, AT_EMPTY_PATH = 0x1000;

/** Flags of eventfd(2). */
export const EFD_CLOEXEC = 0o2000000, EFD_NONBLOCK = 0o4000;
