/**
 * Duplicates of descriptors that are to be sent later, one for each, however many messages wait with
 * it: a master that starts many processes at a time would reach its limit of open files with more.
 *
 * @module
 */
import { closeFd, duplicateFd } from "./descriptor.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";

/** A duplicate that is held. */
export interface HeldDuplicate {
  /** Close-on-exec, and open until {@linkcode release}. Borrowed. */
  readonly fd: number;
  /** Lets go of it; it is closed when the last holder has. */
  release(): void;
}

interface Shared {
  readonly fd: number;
  /** What it refers to: the number that it was made of may be that of another one by now. */
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
