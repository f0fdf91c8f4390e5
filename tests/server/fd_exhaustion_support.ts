/**
 * Servers that run out of descriptors when they are told to.
 *
 * @module
 */
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { libc } from "../../src/os/ffi/libc.ts";

/**
 * Opens descriptors until none is left.
 *
 * @param spared How many to leave.
 * @returns Closes them.
 */
export function takeAllDescriptors(spared = 0): () => void {
  const taken: number[] = [];
  for (let fd; (fd = libc().eventfd(0, 0)) >= 0;) taken.push(fd);
  taken.splice(taken.length - spared).forEach(closeFd);
  return () => taken.splice(0).forEach(closeFd);
}

/**
 * Takes all descriptors at each SIGUSR2 and frees them at each SIGIO, and prints that it has. (At
 * SIGUSR1 the runtime would start its inspector, and panic for lack of a descriptor.)
 */
export function obeyShortageSignals(): void {
  let free = () => {};
  // Loaded by now, as nothing can be when there is no descriptor.
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
