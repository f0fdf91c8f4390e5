/**
 * A descriptor that is kept open for the moment when there is none free: what must be done then, and
 * needs one, can have it.
 *
 * @module
 */
import { closeFd } from "./descriptor.ts";
import { libc, unwrap } from "../ffi/libc.ts";

const EFD_CLOEXEC = 0o2000000;

/** Opens something that is of no use but its descriptor. */
function openAny(): number {
  return unwrap({ syscall: "eventfd" }, () => libc().eventfd(0, EFD_CLOEXEC));
}

/** One descriptor that is kept open while somebody may need it: of no use but its number. */
export class ReserveDescriptor {
  #fd: number | undefined;
  #holders = 0;

  /**
   * Keeps it open.
   *
   * @returns Lets go of it; it is closed when the last holder has. Harmless the second time.
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

  /**
   * Gives its number up for the time of a call.
   *
   * @param use What needs a descriptor.
   */
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
      // Somebody was faster. It is tried again when it is needed again.
      if (!isOutOfDescriptors(error)) throw error;
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeFd(this.#fd);
    this.#fd = undefined;
  }
}

/** That of this process. */
export const reserveDescriptor: ReserveDescriptor = new ReserveDescriptor();

/**
 * Whether an error says that there is no descriptor free, in the process or in the system.
 *
 * @param error An error of this layer or of the runtime.
 */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EMFILE" || code === "ENFILE";
}

/**
 * Whether descriptors are free now.
 *
 * @param count How many.
 */
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
