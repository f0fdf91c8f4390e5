import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import {
  AioBuffers,
  bufferSize,
  LARGE_BUFFER,
  SMALL_BUFFER,
} from "../../../src/server/aio/buffers.ts";
import { AioReadCache } from "../../../src/server/aio/read_cache.ts";
import { AioWriteCache } from "../../../src/server/aio/write_cache.ts";
import { pattern } from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The same numbers in each run. */
function randomFrom(seed: number): (below: number) => number {
  return (below) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0, seed >>> 8) % below;
}

Deno.test("bufferSize() gives 4, 16 or 64 KiB and then powers of two", () => {
  const cases = [[0, 4], [4096, 4], [4097, 16], [16_385, 64], [65_536, 64], [65_537, 128]];
  for (const [bytes, kib] of cases) assertEquals(bufferSize(bytes!), kib! * 1024);
  assertEquals(bufferSize(1_000_000), 1 << 20);
});

Deno.test("AioBuffers lends a buffer again that was given back, and keeps a bounded number", () => {
  const buffers = new AioBuffers();
  const one = buffers.take(SMALL_BUFFER);
  buffers.give(one);
  assertStrictEquals(buffers.take(SMALL_BUFFER), one);
  assert(buffers.take(SMALL_BUFFER) !== one);
  const many = Array.from({ length: 1000 }, () => buffers.take(LARGE_BUFFER));
  for (const buffer of many) buffers.give(buffer);
  const again = Array.from({ length: 1000 }, () => buffers.take(LARGE_BUFFER));
  assertEquals(again.filter((buffer) => many.includes(buffer)).length, 16);
});

Deno.test("AioBuffers copy() is independent of its source and of other copies", () => {
  const buffers = new AioBuffers();
  const source = pattern(8192);
  const copies: [Uint8Array, Uint8Array][] = [];
  for (const length of [0, 1, 64, 65, 1000, 1024, 1025, 8192, 100, 5000, 63]) {
    for (let i = 0; i < 20; i++) {
      copies.push([buffers.copy(source, 0, length), source.slice(0, length)]);
    }
  }
  source.fill(0);
  for (const [copy, expected] of copies) assertEquals(copy, expected);
});

Deno.test("AioReadCache waits with a small buffer after a read that did not fill its room", () => {
  const cache = new AioReadCache(new AioBuffers());
  const lengths: number[] = [];
  const arrive = (bytes: number) => {
    lengths.push(cache.lend().length);
    cache.filled(bytes);
    cache.takeDirect(cache.size);
  };
  for (const bytes of [10, 4096, 16_384, 65_536, 65_536, 20, 30]) arrive(bytes);
  assertEquals(lengths, [4096, 4096, 16_384, 65_536, 65_536, 65_536, 4096]);
});

Deno.test("AioReadCache keeps a partial line of a large read in a small buffer", () => {
  const cache = new AioReadCache(new AioBuffers());
  cache.lend();
  cache.filled(4096);
  const room = cache.lend();
  room[100] = 42;
  cache.filled(101);
  cache.takeDirect(4096 + 99);
  assertEquals(cache.lend().length, 4096 - 2);
  cache.filled(0);
  assertEquals(cache.find(42, 0), 1);
});

Deno.test("AioReadCache rest() keeps a partial line of a large read in a small buffer", () => {
  const buffers = new AioBuffers(), cache = new AioReadCache(buffers);
  cache.lend();
  cache.filled(4096);
  const large = cache.lend();
  large[101] = 42;
  cache.filled(102);
  cache.takeDirect(4096 + 100);
  cache.rest();
  assertStrictEquals(buffers.take(large.buffer.byteLength).memory, large.buffer);
  assertEquals([cache.size, cache.find(42, 0)], [2, 1]);
  // What the next read needs anyhow is kept.
  const small = cache.lend();
  cache.filled(10);
  cache.rest();
  assertStrictEquals(cache.lend().buffer, small.buffer);
});

Deno.test("AioReadCache find() sees only cached bytes, also while a read is under way", () => {
  const cache = new AioReadCache(new AioBuffers());
  assertEquals(cache.find(10, 0), -1);
  const room = cache.lend();
  room.fill(10); // As an earlier user of the buffer may have left it.
  for (let i = 0; i < 200; i++) room[i] = 65;
  cache.filled(200);
  assertEquals(cache.find(10, 0), -1);
  assertEquals(cache.find(65, 150), 150);
  const lent = cache.lend();
  lent.fill(7);
  assertEquals([cache.find(10, 0), cache.find(65, 199)], [-1, 199]);
  assertEquals(lent[0], 7); // What a read may be writing to is not touched.
});

Deno.test("AioReadCache keeps to itself what a read or a reader of direct bytes may still use", () => {
  const buffers = new AioBuffers();
  const reading = new AioReadCache(buffers);
  const lent = reading.lend();
  reading.discard();
  assert(buffers.take(SMALL_BUFFER).memory !== lent.buffer);
  const direct = new AioReadCache(buffers);
  direct.lend();
  direct.filled(SMALL_BUFFER);
  direct.takeDirect(SMALL_BUFFER);
  const larger = direct.lend();
  direct.filled(100);
  const bytes = direct.takeDirect(100);
  assertStrictEquals(bytes.buffer, larger.buffer);
  assert(buffers.take(larger.length).memory !== larger.buffer);
  direct.lend(); // From here on the bytes are nobody's.
  assertStrictEquals(buffers.take(larger.length).memory, larger.buffer);
});

Deno.test("AioReadCache keeps to a plain model over 5,000 random steps", () => {
  const random = randomFrom(3);
  const cache = new AioReadCache(new AioBuffers());
  const source = pattern(1 << 16, 5);
  let model: number[] = [];
  let room: Uint8Array | undefined;
  for (let step = 0; step < 5_000; step++) {
    switch (random(4)) {
      case 0:
        room ??= cache.lend();
        break;
      case 1:
        if (room !== undefined) {
          const length = random(3) === 0 ? room.length : random(Math.min(room.length, 3000) + 1);
          const at = random(1000);
          const bytes = source.subarray(at, at + Math.min(length, 60_000));
          room.set(bytes);
          cache.filled(bytes.length);
          model.push(...bytes);
          room = undefined;
        }
        break;
      case 2: {
        const length = random(2) === 0 ? cache.size : random(Math.min(cache.size, 2000) + 1);
        const expected = Uint8Array.from(model.slice(0, length));
        model = model.slice(length);
        assertEquals(step % 2 === 0 ? cache.take(length) : cache.takeDirect(length), expected);
        break;
      }
      default: {
        const byte = random(256), from = random(Math.min(cache.size, 300) + 1);
        assertEquals(cache.find(byte, from), model.indexOf(byte, from));
      }
    }
    assertEquals(cache.size, model.length);
    if (model.length > 200_000) model = model.slice(cache.take(model.length).length);
  }
});

Deno.test("AioWriteCache keeps to a plain model over 5,000 random steps", () => {
  const random = randomFrom(11);
  const cache = new AioWriteCache(new AioBuffers());
  const source = pattern(200_000, 9);
  const alphabet = ["a", "é", "日", "👋"];
  let model = new Uint8Array(0);
  let lent: Uint8Array | undefined;
  const grow = (bytes: Uint8Array) => {
    const longer = new Uint8Array(model.length + bytes.length);
    longer.set(model);
    longer.set(bytes, model.length);
    model = longer;
  };
  for (let step = 0; step < 5_000; step++) {
    switch (random(6)) {
      case 0: {
        const at = random(1000), length = random(20) === 0 ? random(150_000) : random(300);
        const bytes = source.slice(at, at + length);
        if (random(2) === 0) cache.appendDirect(bytes);
        else {
          cache.append(bytes);
          grow(bytes);
          bytes.fill(0);
          break;
        }
        grow(bytes);
        break;
      }
      case 1: {
        const length = random(50) === 0 ? random(40_000) : random(100);
        const text = random(2) === 0
          ? "x".repeat(length)
          : "y".repeat(random(70)) + alphabet[random(4)]!.repeat(length);
        cache.appendText(text);
        grow(new TextEncoder().encode(text));
        break;
      }
      case 2:
      case 3:
        if (lent === undefined && cache.size > 0) {
          lent = cache.lend();
          assert(lent.length > 0);
        }
        break;
      default:
        if (lent !== undefined) {
          // What the write holds is untouched by all that was appended meanwhile.
          assertEquals(lent, model.slice(0, lent.length));
          const written = random(3) === 0 ? random(lent.length + 1) : lent.length;
          cache.written(written);
          model = model.slice(written);
          lent = undefined;
        }
    }
    assertEquals(cache.size, model.length);
  }
});

Deno.test("AioWriteCache gathers what is appended into one piece of up to 64 KiB", () => {
  const cache = new AioWriteCache(new AioBuffers());
  for (let i = 0; i < 1000; i++) cache.append(new Uint8Array(60).fill(i));
  assertEquals(cache.lend().length, 60_000);
  cache.written(60_000);
  assertEquals(cache.size, 0);
});

Deno.test("AioWriteCache copies what is appended directly only to gather small pieces", () => {
  const cache = new AioWriteCache(new AioBuffers());
  const large = new Uint8Array(10_000).fill(1), small = new Uint8Array(10).fill(2);
  cache.appendDirect(large);
  assertStrictEquals(cache.lend(), large);
  cache.written(large.length);
  cache.appendDirect(small);
  assertStrictEquals(cache.lend(), small);
  cache.written(4);
  cache.appendDirect(small);
  cache.appendText("more");
  assertEquals(cache.lend(), new Uint8Array([...small.subarray(4), ...small, 109, 111, 114, 101]));
});

Deno.test("AioWriteCache does not change a piece that a write holds", () => {
  const buffers = new AioBuffers();
  const cache = new AioWriteCache(buffers);
  cache.append(new Uint8Array(4000).fill(1));
  const lent = cache.lend();
  cache.append(new Uint8Array(4000).fill(2));
  assert(buffers.take(SMALL_BUFFER).memory !== lent.buffer);
  assertEquals(lent, new Uint8Array(4000).fill(1));
  cache.written(4000);
  assertStrictEquals(buffers.take(SMALL_BUFFER).memory, lent.buffer);
  const second = cache.lend();
  cache.discard();
  assert(buffers.take(LARGE_BUFFER).memory !== second.buffer);
});

Deno.test("AioWriteCache gathers behind a direct piece that a write holds", () => {
  const cache = new AioWriteCache(new AioBuffers());
  const first = new Uint8Array(10).fill(1);
  cache.appendDirect(first);
  assertStrictEquals(cache.lend(), first);
  cache.appendDirect(new Uint8Array(5).fill(2));
  cache.appendText("more");
  cache.written(8);
  assertEquals(cache.lend(), new Uint8Array([1, 1, 2, 2, 2, 2, 2, 109, 111, 114, 101]));
  cache.written(11);
  assertEquals(cache.size, 0);
});
