import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { type Aio, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase } from "../../../src/server/aio/base.ts";
import { within } from "../../support/wait.ts";
import { aioTest, outcome, pattern, receive, receiveText, send, tcpPair } from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

aioTest("Aio gives -2 when nothing comes in time, and can be used again", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(0.05);
  const start = performance.now();
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), -2);
  assert(performance.now() - start >= 50);
  assertInstanceOf(pair.aio.error, Deno.errors.TimedOut);
  assertEquals(
    pair.aio.error.message,
    `Cannot finish "gets": nothing came or went for 0.05 s, expected progress`,
  );
  pair.aio.setReadWaitTimeout(-1);
  await send(pair.client, "late\n");
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 5);
  assertEquals(pair.aio.error, undefined);
  assertEquals(pair.aio.getReadCacheString(), "late\n");
});

aioTest("Aio keeps the data from before and after a timeout for the next operation", async () => {
  using pair = await tcpPair();
  await send(pair.client, "be");
  assertEquals(await outcome((cb) => pair.aio.readable(cb)), 1);
  pair.aio.setReadWaitTimeout(0.05);
  assertEquals(await outcome((cb) => pair.aio.readn(4, cb)), -2);
  assertEquals(pair.aio.readCacheSize, 2);
  await send(pair.client, "fo");
  // A read of the operation that timed out is still under way: its bytes are not lost.
  await within(
    (async () => {
      while (pair.aio.readCacheSize < 4) await new Promise((resolve) => setTimeout(resolve, 1));
    })(),
    { what: "the late bytes" },
  );
  await send(pair.client, "re\n");
  pair.aio.setReadWaitTimeout(-1);
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 7);
  assertEquals(pair.aio.getReadCacheString(), "before\n");
});

aioTest("Aio with a timeout of 0 returns the available bytes and never waits", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(0);
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), -2);
  pair.aio.setReadWaitTimeout(-1);
  await send(pair.client, "a\nb\n");
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 2);
  pair.aio.getReadCache(2);
  pair.aio.setReadWaitTimeout(0);
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 2);
});

aioTest("Aio starts the wait anew whenever something comes", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(1);
  const result = outcome((cb) => pair.aio.gets(100, cb));
  const start = performance.now();
  for (const char of "slow") {
    await send(pair.client, char);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  await send(pair.client, "\n");
  assertEquals(await result, 5);
  assert(performance.now() - start > 1000);
});

aioTest("Aio readable() times out too", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(0.02);
  assertEquals(await outcome((cb) => pair.aio.readable(cb)), -2);
});

aioTest("Aio cacheFlush() times out on a peer that does not read, and loses nothing", async () => {
  using pair = await tcpPair();
  const data = pattern(20_000_000);
  pair.aio.cacheWrite(data);
  pair.aio.setWriteWaitTimeout(0.05);
  assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), -2);
  assertInstanceOf(pair.aio.error, Deno.errors.TimedOut);
  assert(pair.aio.writeCacheSize > 0);
  pair.aio.setWriteWaitTimeout(-1);
  const flushed = outcome((cb) => pair.aio.cacheFlush(cb));
  assertEquals(await receive(pair.client, data.length), data);
  assertEquals(await flushed, 1);
});

aioTest("Aio reads while a write that timed out is still under way", async () => {
  using pair = await tcpPair();
  pair.aio.cacheWrite(new Uint8Array(20_000_000));
  pair.aio.setWriteWaitTimeout(0.05);
  assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), -2);
  await send(pair.client, "stop\n");
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 5);
});

aioTest("Aio timeouts don't disturb operations that end in time", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(10);
  pair.aio.setWriteWaitTimeout(10);
  const afterRead = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    aio.cacheWrite(aio.getReadCache(aio.result));
    aio.cacheFlush(afterWrite);
  };
  const afterWrite = (aio: Aio) => aio.result < 1 ? aio.close() : aio.gets(100, afterRead);
  pair.aio.gets(100, afterRead);
  for (let i = 0; i < 500; i++) {
    await send(pair.client, `${i}\n`);
    assertEquals(await receiveText(pair.client, `${i}\n`.length), `${i}\n`);
  }
});

aioTest(
  "Aio sleep() calls back after its time, again and again, and beside a connection",
  async () => {
    using pair = await tcpPair();
    const start = performance.now();
    assertEquals(await outcome((cb) => pair.aio.sleep(cb, 0.03)), 1);
    assert(performance.now() - start >= 30);
    assertEquals(await outcome((cb) => pair.aio.sleep(cb, 0.001)), 1);
    await send(pair.client, "ok\n");
    assertEquals(await outcome((cb) => pair.aio.gets(10, cb)), 3);
  },
);

Deno.test("Aio sleep() calls many timers back in the order of their times", async () => {
  const base = new AioBase();
  const order: number[] = [];
  await Promise.all(
    [40, 10, 30, 20, 50].map((ms) =>
      outcome((cb) =>
        aioCreate(-1, base).sleep((aio) => {
          order.push(ms);
          aio.close();
          cb(aio);
        }, ms / 1000)
      )
    ),
  );
  assertEquals(order, [10, 20, 30, 40, 50]);
});

Deno.test("Aio sleep() of 0 lets others have their turn", async () => {
  const base = new AioBase();
  const timer = aioCreate(-1, base);
  let count = 0;
  let stop = false;
  const done = Promise.withResolvers<void>();
  const again = (aio: Aio) => {
    count++;
    if (stop) return done.resolve();
    aio.sleep(again, 0);
  };
  timer.sleep(again, 0);
  assertEquals(count, 0);
  setTimeout(() => stop = true, 10);
  await within(done.promise, { what: "the end of the loop" });
  assert(count > 1);
  timer.close();
});

aioTest("Aio sleep() and timeouts refuse a value that is no number", async () => {
  using pair = await tcpPair();
  for (
    const action of [
      () => pair.aio.sleep(() => {}, NaN),
      () => pair.aio.setReadWaitTimeout(NaN),
      () => pair.aio.setWriteWaitTimeout(NaN),
    ]
  ) assertThrows(action, RangeError, "expected a number");
  // None of them left an operation behind.
  assertEquals(await outcome((cb) => pair.aio.sleep(cb, -1)), 1);
});
