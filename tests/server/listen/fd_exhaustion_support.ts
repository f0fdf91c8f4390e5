/**
 * Signal handlers that take all descriptors of a test server, and free them.
 *
 * @module
 */
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { libc } from "../../../src/os/ffi/libc.ts";

/**
 * Opens descriptors until none is left.
 *
 * @param left The number of descriptors to leave free.
 * @returns Closes them.
 */
export function takeAllDescriptors(left = 0): () => void {
  const taken: number[] = [];
  for (let fd; (fd = libc().eventfd(0, 0)) >= 0;) taken.push(fd);
  taken.splice(taken.length - left).forEach(closeFd);
  return () => taken.splice(0).forEach(closeFd);
}

/**
 * Takes all descriptors at each SIGUSR2 and frees them at each SIGIO, and prints that it has. (At
 * SIGUSR1 the runtime would start its inspector, and panic for lack of a descriptor.)
 */
export function obeyFdExhaustionSignals(): void {
  let free = () => {};
  // Loads the code now, since nothing can be loaded without a free descriptor.
  takeAllDescriptors()();
  Deno.addSignalListener("SIGUSR2", () => {
    free = takeAllDescriptors();
    console.log("full");
  });
  Deno.addSignalListener("SIGIO", () => {
    free();
    console.log("free");
  });
}
