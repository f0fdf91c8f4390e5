/**
 * Whether a time service keeps the system's clock right (adjtimex(2)).
 *
 * @module
 */
import { libc } from "../ffi/libc.ts";

/** The size of `struct timex`, and the offset of `status` in it; the same on x86-64 and arm64. */
const TIMEX_BYTES = 208, STATUS_AT = 40;

const STA_UNSYNC = 0x40;

/** Whether the clock is synchronized; undefined where the kernel does not tell. */
export function isClockSynchronized(): boolean | undefined {
  // All zero: nothing is changed.
  const timex = new DataView(new ArrayBuffer(TIMEX_BYTES));
  if (libc().adjtimex(new Uint8Array(timex.buffer)) < 0) return undefined;
  return (timex.getInt32(STATUS_AT, true) & STA_UNSYNC) === 0;
}
