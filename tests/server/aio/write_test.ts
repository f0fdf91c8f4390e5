import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { type Aio, type AioConn, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase } from "../../../src/server/aio/base.ts";
import { within } from "../../support/wait.ts";
import {
  aioTest,
  outcome,
  pattern,
  receive,
  receiveText,
  send,
  tcpPair,
  unixPair,
} from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A connection that notes each write and accepts all of it. */
class RecordingConn implements AioConn {
  readonly writes: string[] = [];
  readonly localAddr: Deno.Addr = { transport: "unix", path: "here" };
  readonly remoteAddr: Deno.Addr = { transport: "unix", path: "there" };

  read(): Promise<null> {
    return Promise.resolve(null);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.writes.push(new TextDecoder().decode(bytes));
    return Promise.resolve(bytes.length);
  }

  close(): void {}
}

aioTest("Aio cacheFlush() sends what was cached, in order, over tcp and unix sockets", async () => {
  for (const connect of [tcpPair, unixPair]) {
    using pair = await connect();
    pair.aio.cachePuts("text, ");
    pair.aio.cacheWrite("also text, ");
    pair.aio.cacheWrite(new TextEncoder().encode("bytes, "));
    pair.aio.cacheWriteDirect(new TextEncoder().encode("direct\n"));
    const expected = "text, also text, bytes, direct\n";
    assertEquals(pair.aio.writeCacheSize, expected.length);
    assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), 1);
    assertEquals(pair.aio.writeCacheSize, 0);
    assertEquals(await receiveText(pair.client, expected.length), expected);
  }
});

aioTest("Aio cacheFlush() with nothing cached is done, later", async () => {
  using pair = await tcpPair();
  let inside = true;
  const result = outcome((cb) =>
    pair.aio.cacheFlush((aio) => {
      assert(!inside);
      cb(aio);
    })
  );
  inside = false;
  assertEquals(await result, 1);
  assertEquals(pair.errors, []);
});

Deno.test("Aio sends nothing before cacheFlush(), and everything in one write", async () => {
  const base = new AioBase();
  const conn = new RecordingConn();
  const aio = aioCreate(conn, base);
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}\n`);
  for (const line of lines) aio.cachePuts(line);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(conn.writes, []);
  await outcome((cb) => aio.cacheFlush(cb));
  assertEquals(conn.writes, [lines.join("")]);
  aio.close();
});

aioTest("Aio cacheWrite() copies, cacheWriteDirect() need not", async () => {
  using pair = await tcpPair();
  const copied = new Uint8Array(10_000).fill(1);
  const direct = new Uint8Array(10_000).fill(2);
  pair.aio.cacheWrite(copied);
  pair.aio.cacheWriteDirect(direct);
  copied.fill(9);
  await outcome((cb) => pair.aio.cacheFlush(cb));
  const got = await receive(pair.client, 20_000);
  assertEquals(got.subarray(0, 10_000), new Uint8Array(10_000).fill(1));
  assertEquals(got.subarray(10_000), new Uint8Array(10_000).fill(2));
});

aioTest("Aio cachePuts() writes UTF-8, short and long", async () => {
  using pair = await tcpPair();
  const texts = [
    "",
    "plain",
    "Grüße, 你好 👋",
    "é".repeat(63),
    "日本".repeat(50_000),
    "a".repeat(70_000),
  ];
  const expected = new TextEncoder().encode(texts.join(""));
  for (const text of texts) pair.aio.cachePuts(text);
  assertEquals(pair.aio.writeCacheSize, expected.length);
  const flushed = outcome((cb) => pair.aio.cacheFlush(cb));
  assertEquals(await receive(pair.client, expected.length), expected);
  assertEquals(await flushed, 1);
});

aioTest(
  "Aio cacheFlush() waits for a peer that does not read, and then sends everything",
  async () => {
    using pair = await tcpPair();
    const data = pattern(20_000_000);
    pair.aio.cacheWrite(data.subarray(0, 5_000_000));
    pair.aio.cacheWriteDirect(data.subarray(5_000_000));
    let called = false;
    const flushed = outcome((cb) =>
      pair.aio.cacheFlush((aio) => {
        called = true;
        cb(aio);
      })
    );
    const stalled = async () => {
      for (let before = -1; before !== pair.aio.writeCacheSize;) {
        before = pair.aio.writeCacheSize;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await within(stalled(), { what: "the flush to be held back" });
    assert(!called);
    assert(pair.aio.writeCacheSize > 0);
    assertEquals(await receive(pair.client, data.length), data);
    assertEquals(await flushed, 1);
  },
);

aioTest(
  "Aio takes more into the cache while a flush is under way, and flushes it too",
  async () => {
    using pair = await tcpPair();
    const data = pattern(8_000_000);
    pair.aio.cacheWrite(data.subarray(0, 7_000_000));
    const flushed = outcome((cb) => pair.aio.cacheFlush(cb));
    for (let at = 7_000_000; at < data.length; at += 1000) {
      pair.aio.cacheWrite(data.subarray(at, at + 1000));
    }
    assertEquals(await receive(pair.client, data.length), data);
    assertEquals(await flushed, 1);
  },
);

aioTest("Aio cacheFlush() gives -1 with the cause when the peer is gone", async () => {
  using pair = await tcpPair();
  pair.client.close();
  const results: number[] = [];
  const done = Promise.withResolvers<void>();
  const again = (aio: Aio) => {
    results.push(aio.result);
    if (aio.result < 1) return done.resolve();
    aio.cacheWrite(new Uint8Array(10_000));
    aio.cacheFlush(again);
  };
  pair.aio.cachePuts("hello");
  pair.aio.cacheFlush(again);
  await within(done.promise, { what: "the flush to fail" });
  assertEquals(results.at(-1), -1);
  assertInstanceOf(pair.aio.error, Error);
});

aioTest(
  "Aio that caches more than writeCacheLimit fails at the next flush and sends nothing",
  async () => {
    using pair = await tcpPair({ writeCacheLimit: 1000 });
    pair.aio.cacheWrite(new Uint8Array(1000));
    pair.aio.cacheWrite("x");
    pair.aio.cacheWriteDirect(new Uint8Array(1)); // Not kept either.
    assertEquals(pair.aio.writeCacheSize, 1000);
    assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), -1);
    assertInstanceOf(pair.aio.error, RangeError);
    assertEquals(
      pair.aio.error.message,
      `Cannot cache "1" bytes: 1001 in the write cache, expected at most 1000`,
    );
    assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), -1);
    pair.aio.close();
    assertEquals((await receive(pair.client)).length, 0);
  },
);

aioTest(
  "Aio that caches more than writeCacheLimit fails a flush that waits for the peer",
  async () => {
    using pair = await tcpPair({ writeCacheLimit: 30_000_000 });
    pair.aio.cacheWrite(new Uint8Array(30_000_000));
    const flushed = outcome((cb) => pair.aio.cacheFlush(cb), "the flush to fail");
    pair.aio.cacheWrite(new Uint8Array(30_000_000));
    assertEquals(await flushed, -1);
    assertInstanceOf(pair.aio.error, RangeError);
  },
);

aioTest("Aio echoes a megabyte of lines and keeps them in order", async () => {
  using pair = await tcpPair();
  const lines = Array.from({ length: 50_000 }, (_, i) => `line number ${i}\n`).join("");
  const afterRead = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    aio.cacheWrite(aio.getReadCache(aio.result));
    aio.cacheFlush(afterWrite);
  };
  const afterWrite = (aio: Aio) => aio.result < 1 ? aio.close() : aio.gets(100, afterRead);
  pair.aio.gets(100, afterRead);
  const sent = send(pair.client, lines).then(() => pair.client.closeWrite());
  assertEquals(await receiveText(pair.client), lines);
  await sent;
});

aioTest("Aio cache functions refuse a closed Aio", async () => {
  using pair = await tcpPair();
  pair.aio.close();
  for (
    const action of [
      () => pair.aio.cachePuts("x"),
      () => pair.aio.cacheWrite("x"),
      () => pair.aio.cacheWriteDirect(new Uint8Array(1)),
      () => pair.aio.cacheFlush(() => {}),
    ]
  ) assertThrows(action, Deno.errors.BadResource, "closed, expected an open Aio");
});
