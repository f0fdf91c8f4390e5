/**
 * The distinction between errors that a user can fix and faults of the program.
 *
 * @module
 */
import { ConfigError } from "../config/errors.ts";
import { SysError } from "../os/ffi/errors.ts";
import { ProtocolError } from "./protocol.ts";

/** Whether an error is one that the user can fix; a fault of the program is logged with its stack. */
export function isUserError(error: unknown): error is Error {
  return error instanceof ConfigError || error instanceof SysError ||
    error instanceof ProtocolError || error instanceof Deno.errors.NotSupported ||
    error instanceof Deno.errors.NotCapable;
}
