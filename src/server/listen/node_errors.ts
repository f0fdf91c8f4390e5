/**
 * The errors of node:net as the runtime has them for its own connections: by their classes.
 *
 * @module
 */

/** An error of a system call. */
type SystemError = Error & { code?: string };

interface Kind {
  readonly make: (message: string) => SystemError;
  /** What the runtime says. */
  readonly message: string;
}

const { errors } = Deno;

const KINDS: Readonly<Record<string, Kind>> = {
  ECONNRESET: {
    make: (message) => new errors.ConnectionReset(message),
    message: "Connection reset by peer (os error 104)",
  },
  EPIPE: {
    make: (message) => new errors.BrokenPipe(message),
    message: "Broken pipe (os error 32)",
  },
  ECONNABORTED: {
    make: (message) => new errors.ConnectionAborted(message),
    message: "Software caused connection abort (os error 103)",
  },
  ENOTCONN: {
    make: (message) => new errors.NotConnected(message),
    message: "Transport endpoint is not connected (os error 107)",
  },
  ETIMEDOUT: {
    make: (message) => new errors.TimedOut(message),
    message: "Connection timed out (os error 110)",
  },
  ENETUNREACH: {
    make: (message) => new errors.NetworkUnreachable(message),
    message: "Network is unreachable (os error 101)",
  },
};

/**
 * Makes the runtime's error of one of node:net.
 *
 * @param error The error.
 * @returns The runtime's; the same error where it has no class of its own for it.
 */
export function runtimeError(error: SystemError): SystemError {
  if (error.code === "ECANCELED") return interrupted();
  const kind = KINDS[error.code ?? ""];
  if (kind === undefined) return error;
  return Object.assign(kind.make(kind.message), { code: error.code, cause: error });
}

/** What a write gets whose peer, or whose output, has ended. */
export function brokenPipe(): Error {
  return runtimeError(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
}

/** What is told to a read or a write whose connection is closed meanwhile. */
export function interrupted(): Error {
  return Object.assign(new errors.Interrupted("operation canceled"), { code: "EINTR" });
}
