/**
 * The error class of failed system calls, and the names of their errno values.
 *
 * @module
 */

/** errno → [name, meaning], the generic Linux numbers that x86-64 and arm64 share (errno(3)). */
const ERRNO: Readonly<Record<number, readonly [code: string, meaning: string]>> = {
  1: ["EPERM", "operation not permitted"],
  2: ["ENOENT", "no such file or directory"],
  3: ["ESRCH", "no such process"],
  4: ["EINTR", "interrupted by a signal"],
  5: ["EIO", "input/output error"],
  6: ["ENXIO", "no such device, or no reader"],
  7: ["E2BIG", "too long a list of arguments"],
  8: ["ENOEXEC", "not a program of this machine"],
  9: ["EBADF", "not an open descriptor"],
  10: ["ECHILD", "no child processes"],
  11: ["EAGAIN", "not possible at the moment"],
  12: ["ENOMEM", "out of memory"],
  13: ["EACCES", "permission denied"],
  16: ["EBUSY", "in use"],
  17: ["EEXIST", "file exists"],
  20: ["ENOTDIR", "a part of the path is not a directory"],
  21: ["EISDIR", "is a directory"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "too many open files in the system"],
  24: ["EMFILE", "too many open files in this process"],
  26: ["ETXTBSY", "a program that is being written"],
  27: ["EFBIG", "too large a file"],
  28: ["ENOSPC", "no space left on the device"],
  30: ["EROFS", "read-only file system"],
  32: ["EPIPE", "the other end is closed"],
  36: ["ENAMETOOLONG", "name too long"],
  38: ["ENOSYS", "not a function of this system"],
  40: ["ELOOP", "too many symbolic links"],
  71: ["EPROTO", "protocol error"],
  88: ["ENOTSOCK", "not a socket"],
  90: ["EMSGSIZE", "message too long"],
  91: ["EPROTOTYPE", "a socket of another type"],
  92: ["ENOPROTOOPT", "not an option of this system"],
  93: ["EPROTONOSUPPORT", "protocol not supported"],
  94: ["ESOCKTNOSUPPORT", "socket type not supported"],
  95: ["EOPNOTSUPP", "operation not supported"],
  97: ["EAFNOSUPPORT", "address family not supported"],
  98: ["EADDRINUSE", "address in use"],
  99: ["EADDRNOTAVAIL", "not an address of this machine"],
  100: ["ENETDOWN", "network is down"],
  101: ["ENETUNREACH", "network is unreachable"],
  103: ["ECONNABORTED", "connection aborted"],
  104: ["ECONNRESET", "connection reset by the peer"],
  105: ["ENOBUFS", "no buffer space"],
  107: ["ENOTCONN", "not connected"],
  109: ["ETOOMANYREFS", "too many descriptors in flight"],
  110: ["ETIMEDOUT", "timed out"],
  111: ["ECONNREFUSED", "connection refused"],
  113: ["EHOSTUNREACH", "no route to the host"],
  116: ["ESTALE", "another file than expected"],
};

/** The errno values that the code branches on. */
export const EPERM = 1,
  EINVAL = 22,
  EFBIG = 27,
  EINTR = 4,
  EAGAIN = 11,
  ENOENT = 2,
  ENOEXEC = 8,
  EBADF = 9,
  ECHILD = 10,
  EACCES = 13,
  ENOMEM = 12,
  ENOTDIR = 20,
  ENXIO = 6,
  EISDIR = 21,
  ENOSYS = 38,
  ELOOP = 40,
  ENOPROTOOPT = 92,
  EADDRINUSE = 98,
  ECONNREFUSED = 111,
  ESTALE = 116;

/** A system call that failed, with errno and its name. */
export class SysError extends Error {
  override readonly name = "SysError";
  /** The name of the errno value, such as `EADDRINUSE`; `E123` for one without a name here. */
  readonly code: string;
  /** The error for the FOUND part of a message, such as `address in use (bind: EADDRINUSE)`. */
  readonly found: string;

  /**
   * @param syscall The function that failed, such as `bind`.
   * @param errno Its errno.
   * @param subject Its object, for the message: a path, an address, a descriptor.
   * @param why The meaning of the errno in this case, if it is more specific than the kernel's.
   */
  constructor(readonly syscall: string, readonly errno: number, subject?: string, why?: string) {
    const [code, general] = ERRNO[errno] ?? [`E${errno}`, "see errno(3)"];
    const meaning = why ?? general;
    super(`${syscall}${subject === undefined ? "" : ` "${subject}"`}: ${meaning} (${code})`);
    this.code = code;
    this.found = `${meaning} (${syscall}: ${code})`;
  }
}
