/**
 * Conversion of the errors of node:net and of system calls to the runtime's error classes.
 *
 * @module
 */

/** An error of a system call. */
type SystemError = Error & { code?: string };

interface Kind {
  readonly make: (message: string) => SystemError;
  /** The runtime's message. */
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
  EHOSTUNREACH: {
    make: (message) => new Error(message),
    message: "No route to host (os error 113)",
  },
  ENETUNREACH: {
    make: (message) => new errors.NetworkUnreachable(message),
    message: "Network is unreachable (os error 101)",
  },
};

/** Converts an error of node:net or of a system call; returns it unchanged if the runtime has no class for it. */
export function runtimeError(error: SystemError): SystemError {
  if (error.code === "ECANCELED") return interrupted();
  const kind = KINDS[error.code ?? ""];
  if (kind === undefined) return error;
  return Object.assign(kind.make(kind.message), { code: error.code, cause: error });
}

/** The error of a write after the peer or the output has ended. */
export function brokenPipe(): Error {
  return runtimeError(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
}

/** The error of a read or write whose connection is closed meanwhile. */
export function interrupted(): Error {
  return Object.assign(new errors.Interrupted("operation canceled"), { code: "EINTR" });
}
