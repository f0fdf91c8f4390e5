import { assert, assertThrows } from "@std/assert";
import { proportionalMemory } from "../../../src/os/process/memory.ts";

Deno.test("proportionalMemory() grows with the memory that a process uses", () => {
  const before = proportionalMemory(Deno.pid);
  const room = new Uint8Array(64 * 2 ** 20).fill(1);
  const grown = proportionalMemory(Deno.pid) - before;
  assert(grown > room.length / 2 && grown < room.length * 2, `${grown} of ${room.length} bytes`);
});

Deno.test("proportionalMemory() throws when there is no such process", () => {
  // Beyond the largest that the kernel gives.
  assertThrows(() => proportionalMemory(4_194_305));
});
