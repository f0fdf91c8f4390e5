/**
 * Shared duplicates of descriptors that are sent later, one for all pending messages: with one for each, a
 * master that starts many processes would reach its limit of open files.
 *
 * @module
 */
import { closeFd, duplicateFd } from "./descriptor.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";

/** A duplicate with a holder. */
export interface HeldDuplicate {
  /** Close-on-exec, and open until {@linkcode release}. Borrowed. */
  readonly fd: number;
  /** Releases it; the last release closes it. */
  release(): void;
}

interface Shared {
  readonly fd: number;
  /** Its target: the original number may belong to another file by now. */
  readonly target: string;
  holders: number;
}

const shared = new Map<number, Shared>();

/**
 * Holds a duplicate of a descriptor.
 *
 * @param fd The descriptor. Borrowed until this returns.
 * @throws {Error} When it is not open, or at the limit of open files.
 */
export function holdDuplicate(fd: number): HeldDuplicate {
  const target = readLinkProcSelf(`fd/${fd}`);
  let found = shared.get(fd);
  if (found?.target !== target) {
    found = { fd: duplicateFd(fd), target, holders: 0 };
    shared.set(fd, found);
  }
  const held = found;
  held.holders++;
  return {
    fd: held.fd,
    release() {
      if (--held.holders > 0) return;
      closeFd(held.fd);
      if (shared.get(fd) === held) shared.delete(fd);
    },
  };
}
