/**
 * The choice of the backend, made once, at the start of a server. Nothing else in `src/server` depends on the
 * permission for FFI.
 *
 * @module
 */
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import type { Backend } from "./backend.ts";
import { nativeBackend } from "./native.ts";

let chosen: Backend | undefined;

/** Chooses the backend of this process; later calls return the same one. */
export async function chooseBackend(): Promise<Backend> {
  // Only a server without FFI loads the other one.
  return chosen ??= mayUseFfi() ? nativeBackend : (await import("./node.ts")).nodeBackend;
}

/**
 * Returns the backend of this process.
 *
 * @throws {TypeError} Without FFI in a program that has started no server: it has been passed no socket.
 */
export function backend(): Backend {
  if (chosen === undefined) {
    if (!mayUseFfi()) {
      throw new TypeError(
        "Cannot serve a descriptor: no server runs, expected one of serviceRegister",
      );
    }
    chosen = nativeBackend;
  }
  return chosen;
}
