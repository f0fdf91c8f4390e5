/**
 * The reserve descriptor: it is kept open for operations that need a descriptor when none is free.
 *
 * @module
 */
import { closeFd } from "./descriptor.ts";
import { EFD_CLOEXEC } from "../ffi/constants.ts";
import { libc, unwrap } from "../ffi/libc.ts";

/** Opens a file only to occupy a descriptor. */
function openAny(): number {
  return unwrap({ syscall: "eventfd" }, () => libc().eventfd(0, EFD_CLOEXEC));
}

/** A descriptor that is kept open while it has a holder. */
export class ReserveDescriptor {
  #fd: number | undefined;
  #holders = 0;

  /**
   * Keeps it open.
   *
   * @returns Releases it; the last release closes it. A second call does nothing.
   */
  hold(): () => void {
    this.#holders++;
    this.#open();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) this.#close();
    };
  }

  /** Frees its number during a call of `use`, which needs a descriptor. */
  lend<T>(use: () => T): T {
    this.#close();
    try {
      return use();
    } finally {
      if (this.#holders > 0) this.#open();
    }
  }

  #open(): void {
    if (this.#fd !== undefined) return;
    try {
      this.#fd = openAny();
    } catch (error) {
      // Another thread was faster. The next use tries again.
      if (!isOutOfDescriptors(error)) throw error;
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeFd(this.#fd);
    this.#fd = undefined;
  }
}

/** The reserve descriptor of this process. */
export const reserveDescriptor: ReserveDescriptor = new ReserveDescriptor();

/** Whether an error, of this layer or of the runtime, means that no descriptor is free. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EMFILE" || code === "ENFILE";
}

/** Whether `count` descriptors are free now. */
export function areDescriptorsFree(count: number): boolean {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openAny());
    return true;
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
    return false;
  } finally {
    opened.forEach(closeFd);
  }
}
