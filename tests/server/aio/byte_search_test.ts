import { assertEquals } from "@std/assert";
import { ByteSearch } from "../../../src/server/aio/byte_search.ts";
import { pick, seededRandom } from "../../support/random.ts";

Deno.test("ByteSearch finds what a plain search finds, for all bytes, starts and ends", () => {
  const random = seededRandom(7);
  const memory = new Uint8Array(64);
  const search = new ByteSearch(memory);
  for (let round = 0; round < 20_000; round++) {
    // Neighbours, and those with the highest bit: where a search by words might go wrong.
    const wanted = pick(random, [0, 1, 10, 127, 128, 129, 254, 255]);
    const others = [(wanted + 1) & 255, (wanted + 255) & 255, wanted ^ 128, 0, 255, 97];
    for (let at = 0; at < memory.length; at++) {
      memory[at] = random(40) === 0 ? wanted : pick(random, others);
    }
    const from = random(memory.length + 1);
    const to = from + random(memory.length - from + 1);
    const found = memory.subarray(0, to).indexOf(wanted, from);
    assertEquals(search.indexOf(wanted, from, to), found, `${wanted} from ${from} to ${to}`);
  }
});

Deno.test("ByteSearch searches a part of an ArrayBuffer", () => {
  const memory = new Uint8Array(new ArrayBuffer(40), 8, 21).fill(97);
  const search = new ByteSearch(memory);
  assertEquals(search.indexOf(10, 0, 21), -1);
  memory[20] = 10;
  assertEquals([search.indexOf(10, 0, 21), search.indexOf(10, 0, 20)], [20, -1]);
});
