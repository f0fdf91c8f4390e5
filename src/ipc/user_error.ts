/**
 * Telling what went wrong: which errors a user can mend, of a master as of a server.
 *
 * @module
 */
import { ConfigError } from "../config/errors.ts";
import { SysError } from "../os/ffi/errors.ts";
import { ProtocolError } from "./protocol.ts";

/**
 * Whether an error is of a kind that the user can mend, in contrast to a fault of the program, which
 * deserves its stack.
 *
 * @param error What was caught.
 */
export function isUserError(error: unknown): error is Error {
  return error instanceof ConfigError || error instanceof SysError ||
    error instanceof ProtocolError || error instanceof Deno.errors.NotSupported ||
    error instanceof Deno.errors.NotCapable;
}
