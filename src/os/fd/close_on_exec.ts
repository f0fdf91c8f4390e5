/**
 * Inherited descriptors without system calls, for a program without `--allow-ffi`: the duplicate that a handle of the
 * runtime makes of its descriptor is close-on-exec, and a handle closes its descriptor.
 *
 * @module
 */
import process from "node:process";

/** A handle of the runtime over any descriptor; its methods return 0 or a negative error. */
interface Handle {
  open(fd: number): number;
  close(): void;
  /** Returns a duplicate of the descriptor, or a negative error; missing in other versions. */
  fdForIpc(): number;
}

/** The internals of the runtime that its types do not declare. */
interface Internals {
  binding(name: "pipe_wrap"): { readonly Pipe: new (kind: number) => Handle };
}

/** Node's constant for a handle that is no listener. */
const CONNECTED = 0;

/**
 * Replaces an inherited socket or pipe, so that no program that this one starts inherits it.
 *
 * @param fd The descriptor, owned by this call.
 * @returns A duplicate of it, owned by the caller; `fd` itself where this version of the runtime makes none.
 * @throws {Error} When no descriptor is free.
 */
export function replaceByCloseOnExec(fd: number): number {
  const Pipe = pipeClass();
  if (!("fdForIpc" in Pipe.prototype)) return fd;
  const handle = new Pipe(CONNECTED);
  if (handle.open(fd) !== 0) return fd;
  const duplicate = handle.fdForIpc();
  handle.close();
  if (!(duplicate >= 0)) throw new Error(`Cannot duplicate the descriptor ${fd}: none is free`);
  return duplicate;
}

/** Closes an inherited socket or pipe; where this version of the runtime can't, it is open until the process ends. */
export function closeInherited(fd: number): void {
  const handle = new (pipeClass())(CONNECTED);
  if (handle.open(fd) === 0) handle.close();
}

function pipeClass(): ReturnType<Internals["binding"]>["Pipe"] {
  return (process as unknown as Internals).binding("pipe_wrap").Pipe;
}
