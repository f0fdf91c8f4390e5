/**
 * The choice of the backend by the permission for FFI. It is made once, at the start of a server: the program may
 * give the permission up later.
 *
 * @module
 */
import { setCloseOnExec } from "../../os/fd/descriptor.ts";
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
 * Makes the worker socket close-on-exec before there is a backend: modules of a program may start others while
 * they are loaded. Without FFI only the backend can do that.
 *
 * @param argument The argument before its number; a master passes both last.
 * @param args The command line.
 */
export function keepControlFromChildren(
  argument: string,
  args: readonly string[] = Deno.args,
): void {
  const [name, fd] = args.slice(-2);
  if (name !== argument || !(Number(fd) > 2) || !mayUseFfi()) return;
  try {
    setCloseOnExec(Number(fd), true);
  } catch {
    // The main function reports a wrong number.
  }
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
