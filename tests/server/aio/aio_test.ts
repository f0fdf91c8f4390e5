import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { connect } from "node:net";
import { type Aio, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase, coreOf } from "../../../src/server/aio/base.ts";
import { type AioBuffer, SMALL_BUFFER } from "../../../src/server/aio/buffers.ts";
import { eventually, within } from "../../support/wait.ts";
import { aioTest, outcome, pattern, receiveText, send, tcpPair, unixPair } from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

aioTest("Aio gets() gives a line with its line feed, over tcp and unix sockets", async () => {
  for (const connect of [tcpPair, unixPair]) {
    using pair = await connect();
    await send(pair.client, "hello\nrest");
    assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 6);
    assertEquals(pair.aio.getReadCacheString(6), "hello\n");
    assertEquals(pair.aio.readCacheSize, 4);
    assertEquals(pair.aio.error, undefined);
  }
});

aioTest("Aio gets() calls back later, also when the line is cached", async () => {
  using pair = await tcpPair();
  await send(pair.client, "a\nb\n");
  await outcome((cb) => pair.aio.gets(10, cb));
  pair.aio.getReadCache(2);
  let inside = true;
  const calledInside = outcome((cb) =>
    pair.aio.gets(10, (aio) => {
      assert(!inside);
      cb(aio);
    })
  );
  inside = false;
  assertEquals(await calledInside, 2);
  assertEquals(pair.errors, []);
});

aioTest("Aio gets() inside a callback calls back after that callback has returned", async () => {
  using pair = await tcpPair();
  await send(pair.client, "a\nb\n");
  const order: string[] = [];
  await outcome((cb) =>
    pair.aio.gets(10, (aio) => {
      aio.getReadCache(2);
      aio.gets(10, (aio) => {
        order.push("second");
        cb(aio);
      });
      order.push("first returned");
    })
  );
  assertEquals(order, ["first returned", "second"]);
});

aioTest(
  "Aio gets() takes 10,000 lines that came at once, in order, without deep recursion",
  async () => {
    using pair = await tcpPair();
    const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i}\n`);
    const sent = send(pair.client, lines.join(""));
    const got: string[] = [];
    const done = Promise.withResolvers<void>();
    const afterLine = (aio: Aio) => {
      got.push(aio.getReadCacheString(aio.result));
      if (got.length < lines.length) aio.gets(100, afterLine);
      else done.resolve();
    };
    pair.aio.gets(100, afterLine);
    await within(done.promise, { what: "10,000 lines" });
    await sent;
    assertEquals(got, lines);
  },
);

aioTest("Aio gets() puts lines together wherever they are split", async () => {
  using pair = await tcpPair();
  const text = "first line\n\nthird line, longer\n";
  const got: string[] = [];
  const done = Promise.withResolvers<void>();
  const afterLine = (aio: Aio) => {
    got.push(aio.getReadCacheString(aio.result));
    if (got.join("").length < text.length * 2) aio.gets(100, afterLine);
    else done.resolve();
  };
  pair.aio.gets(100, afterLine);
  // Byte by byte, each in a packet of its own.
  if ("setNoDelay" in pair.client) pair.client.setNoDelay(true);
  for (const char of text) {
    await send(pair.client, char);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await send(pair.client, text);
  await within(done.promise, { what: "all lines" });
  assertEquals(got.join(""), text + text);
  assertEquals(got.slice(0, 3), ["first line\n", "\n", "third line, longer\n"]);
});

aioTest(
  "Aio gets() keeps a part of a line in a small buffer while it waits for the rest",
  async () => {
    using pair = await tcpPair();
    const { buffers } = coreOf(pair.base), { take, give } = buffers;
    /** The borrowed buffers that are larger than the first read of a connection needs. */
    const large = new Set<AioBuffer>();
    buffers.take = (size) => {
      const buffer = take.call(buffers, size);
      if (size > SMALL_BUFFER) large.add(buffer);
      return buffer;
    };
    buffers.give = (buffer) => {
      large.delete(buffer);
      give.call(buffers, buffer);
    };
    const line = "x".repeat(99) + "\n", count = Math.ceil((SMALL_BUFFER + 1) / line.length);
    let lines = 0, most = 0;
    const afterLine = (aio: Aio) => {
      lines++;
      most = Math.max(most, large.size);
      aio.getReadCache(aio.result);
      aio.gets(100, afterLine);
    };
    await send(pair.client, line.repeat(count) + "part");
    pair.aio.gets(100, afterLine);
    await eventually(() => lines === count && pair.aio.readCacheSize === 4, { what: "all lines" });
    assertEquals([most, large.size], [1, 0]);
  },
);

aioTest("Aio gets() takes a line of exactly the maximum and refuses a longer one", async () => {
  for (const maximum of [1, 2, 100, 4096, 4097, 10240, 65536, 200_000]) {
    using pair = await tcpPair();
    const exact = "x".repeat(maximum - 1) + "\n";
    const sent = send(pair.client, `${exact}y${exact}`);
    assertEquals(await outcome((cb) => pair.aio.gets(maximum, cb)), maximum);
    assertEquals(pair.aio.getReadCacheString(maximum), exact);
    assertEquals(await outcome((cb) => pair.aio.gets(maximum, cb)), -1);
    assertInstanceOf(pair.aio.error, RangeError);
    assertEquals(
      pair.aio.error.message,
      `Cannot finish "gets": no delimiter in ${maximum} bytes, expected one`,
    );
    // Nothing is lost, and the connection is still good.
    assert(pair.aio.readCacheSize >= maximum);
    assertEquals(await outcome((cb) => pair.aio.gets(maximum + 1, cb)), maximum + 1);
    assertEquals(pair.aio.getReadCacheString(maximum + 1), `y${exact}`);
    await sent;
  }
});

aioTest(
  "Aio gets() does not keep more of an endless line than a read beyond the maximum",
  async () => {
    using pair = await tcpPair();
    const sent = send(pair.client, new Uint8Array(50_000_000)).catch((error) => error);
    assertEquals(await outcome((cb) => pair.aio.gets(10_240, cb)), -1);
    assert(pair.aio.readCacheSize <= 10_240 + 65_536, `${pair.aio.readCacheSize} bytes are cached`);
    pair.aio.close();
    assertInstanceOf(await sent, Error);
  },
);

aioTest("Aio readDelimiter() ends at any byte, given as number or character", async () => {
  using pair = await tcpPair();
  await send(pair.client, new Uint8Array([1, 0, 2, 255, 65, 0x3b, 10]));
  assertEquals(await outcome((cb) => pair.aio.readDelimiter(0, 100, cb)), 2);
  assertEquals(pair.aio.getReadCache(2), new Uint8Array([1, 0]));
  assertEquals(await outcome((cb) => pair.aio.readDelimiter(255, 100, cb)), 2);
  pair.aio.getReadCache(2);
  assertEquals(await outcome((cb) => pair.aio.readDelimiter(";", 100, cb)), 2);
  assertEquals(pair.aio.getReadCacheString(), "A;\n");
});

aioTest("Aio readDelimiter() searches anew when the delimiter changes", async () => {
  using pair = await tcpPair();
  await send(pair.client, "a;b,c\n");
  assertEquals(await outcome((cb) => pair.aio.readn(6, cb)), 6);
  assertEquals(await outcome((cb) => pair.aio.readDelimiter(",", 100, cb)), 4);
  assertEquals(await outcome((cb) => pair.aio.readDelimiter(";", 100, cb)), 2);
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 6);
});

aioTest("Aio readDelimiter() and gets() refuse invalid bytes and lengths", async () => {
  using pair = await tcpPair();
  const nothing = () => {};
  for (const delimiter of [-1, 256, 1.5, NaN, "", "ab", "é"]) {
    assertThrows(() => pair.aio.readDelimiter(delimiter, 10, nothing), RangeError, "one byte");
  }
  for (const length of [-1, 1.5, NaN, Infinity]) {
    assertThrows(() => pair.aio.gets(length, nothing), RangeError, `length ${length}`);
    assertThrows(() => pair.aio.readn(length, nothing), RangeError, `length ${length}`);
    assertThrows(() => pair.aio.read(length, nothing), RangeError, `length ${length}`);
  }
  // None of them left an operation behind.
  await send(pair.client, "ok\n");
  assertEquals(await outcome((cb) => pair.aio.gets(10, cb)), 3);
});

aioTest(
  "Aio readn() waits for the exact number of bytes, binary and larger than any buffer",
  async () => {
    using pair = await tcpPair();
    const data = pattern(3_000_001);
    const sent = send(pair.client, data);
    assertEquals(await outcome((cb) => pair.aio.readn(3_000_000, cb)), 3_000_000);
    assertEquals(pair.aio.getReadCache(3_000_000), data.subarray(0, 3_000_000));
    assertEquals(await outcome((cb) => pair.aio.readn(1, cb)), 1);
    assertEquals(pair.aio.getReadCache(1), data.subarray(3_000_000));
    await sent;
  },
);

aioTest("Aio read() returns the available bytes, at most the requested number", async () => {
  using pair = await tcpPair();
  await send(pair.client, "abcdef");
  assertEquals(await outcome((cb) => pair.aio.readable(cb)), 1);
  assertEquals(await outcome((cb) => pair.aio.read(4, cb)), 4);
  assertEquals(pair.aio.getReadCacheString(4), "abcd");
  assertEquals(await outcome((cb) => pair.aio.read(4, cb)), 2);
});

aioTest("Aio gives 0 for 0 bytes without touching the connection", async () => {
  using pair = await tcpPair();
  assertEquals(await outcome((cb) => pair.aio.gets(0, cb)), 0);
  assertEquals(await outcome((cb) => pair.aio.readn(0, cb)), 0);
  assertEquals(await outcome((cb) => pair.aio.read(0, cb)), 0);
  assertEquals(pair.aio.error, undefined);
});

aioTest("Aio readable() calls back when data comes, and at the end of the stream", async () => {
  using pair = await tcpPair();
  let called = false;
  const ready = outcome((cb) =>
    pair.aio.readable((aio) => {
      called = true;
      cb(aio);
    })
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(!called);
  await send(pair.client, "abc");
  assertEquals(await ready, 1);
  assertEquals(pair.aio.getReadCacheString(), "abc");
  pair.client.close();
  assertEquals(await outcome((cb) => pair.aio.readable(cb)), 1);
  assertEquals(await outcome((cb) => pair.aio.read(10, cb)), 0);
});

aioTest(
  "Aio result is 0 at the end of the stream, and a line without its end stays cached",
  async () => {
    using pair = await tcpPair();
    await send(pair.client, "whole\nabc");
    await pair.client.closeWrite();
    assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 6);
    pair.aio.getReadCache(6);
    assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 0);
    assertEquals(pair.aio.error, undefined);
    assertEquals(pair.aio.readCacheSize, 3);
    assertEquals(await outcome((cb) => pair.aio.readn(4, cb)), 0);
    // The cached bytes are still available.
    assertEquals(await outcome((cb) => pair.aio.read(100, cb)), 3);
    assertEquals(pair.aio.getReadCacheString(), "abc");
    assertEquals(await outcome((cb) => pair.aio.read(100, cb)), 0);
  },
);

aioTest("Aio answers a peer that has closed its sending half", async () => {
  using pair = await tcpPair();
  await send(pair.client, "question\n");
  await pair.client.closeWrite();
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 9);
  pair.aio.cachePuts("answer\n");
  assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), 1);
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 9);
  pair.aio.close();
  assertEquals(await receiveText(pair.client), "answer\n");
});

Deno.test("Aio result is -1 with the cause when the connection fails, now and later", async () => {
  using pair = await tcpPair();
  const result = outcome((cb) => pair.aio.gets(100, cb));
  pair.conn!.close(); // Under the feet of the Aio.
  assertEquals(await result, -1);
  assertInstanceOf(pair.aio.error, Error);
  assertEquals(await outcome((cb) => pair.aio.read(100, cb)), -1);
  assertInstanceOf(pair.aio.error, Error);
  pair.aio.cachePuts("x");
  assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), -1);
  assertInstanceOf(pair.aio.error, Error);
});

Deno.test("Aio result is -1 with the cause when the peer resets the connection", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = connect(listener.addr.port, "127.0.0.1");
  const connected = new Promise((resolve) => client.once("connect", resolve));
  const aio = aioCreate(await listener.accept(), new AioBase());
  await connected;
  const result = outcome((cb) => aio.gets(100, cb));
  client.resetAndDestroy();
  assertEquals(await result, -1);
  assertInstanceOf(aio.error, Deno.errors.ConnectionReset);
  aio.close();
});

aioTest("Aio refuses a second operation and names the pending one", async () => {
  using pair = await tcpPair();
  const first = outcome((cb) => pair.aio.gets(100, cb));
  for (
    const start of [
      (cb: () => void) => pair.aio.gets(1, cb),
      (cb: () => void) => pair.aio.readn(1, cb),
      (cb: () => void) => pair.aio.cacheFlush(cb),
      (cb: () => void) => pair.aio.sleep(cb, 1),
    ]
  ) {
    assertThrows(
      () => start(() => {}),
      Deno.errors.Busy,
      `"gets" is pending, expected no operation`,
    );
  }
  // The pending one is not disturbed.
  await send(pair.client, "line\n");
  assertEquals(await first, 5);
});

aioTest("Aio getReadCache() gives bytes that stay as they are", async () => {
  using pair = await tcpPair();
  await send(pair.client, "aaaa");
  await outcome((cb) => pair.aio.readn(4, cb));
  const first = pair.aio.getReadCache(4);
  for (const letter of "bcdef") {
    await send(pair.client, letter.repeat(4));
    await outcome((cb) => pair.aio.readn(4, cb));
    assertEquals(pair.aio.getReadCacheString(), letter.repeat(4));
  }
  assertEquals(first, new TextEncoder().encode("aaaa"));
});

aioTest("Aio getReadCacheDirect() gives the cached bytes, to be passed on at once", async () => {
  using pair = await tcpPair();
  await send(pair.client, "abcdef");
  const result = outcome((cb) =>
    pair.aio.readn(6, (aio) => {
      aio.cacheWrite(aio.getReadCacheDirect(4));
      assertEquals(aio.getReadCacheDirect(0).length, 0);
      assertEquals(aio.getReadCacheString(), "ef");
      aio.cacheFlush(cb);
    })
  );
  assertEquals(await result, 1);
  assertEquals(await receiveText(pair.client, 4), "abcd");
});

aioTest("Aio getReadCache() refuses more than is cached", async () => {
  using pair = await tcpPair();
  await send(pair.client, "abc");
  await outcome((cb) => pair.aio.readn(3, cb));
  for (const length of [4, -1, 1.5, NaN]) {
    assertThrows(() => pair.aio.getReadCache(length), RangeError, "3 there");
    assertThrows(() => pair.aio.getReadCacheDirect(length), RangeError, "3 there");
    assertThrows(() => pair.aio.getReadCacheString(length), RangeError, "3 there");
  }
  assertEquals(pair.aio.getReadCache(0).length, 0);
  assertEquals(pair.aio.getReadCacheString(0), "");
  assertEquals(pair.aio.getReadCacheString(), "abc");
});

aioTest("Aio getReadCacheString() keeps a byte order mark and replaces invalid UTF-8", async () => {
  using pair = await tcpPair();
  await send(pair.client, new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff]));
  await outcome((cb) => pair.aio.readn(5, cb));
  assertEquals(pair.aio.getReadCacheString(), "\ufeffa\ufffd");
});

aioTest("Aio reads nothing without an operation", async () => {
  using pair = await tcpPair();
  await send(pair.client, "first\n");
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 6);
  pair.aio.getReadCache(6);
  // TCP stops a client that sends without a pause: far fewer bytes are accepted than sent.
  let accepted = 0;
  const chunk = new Uint8Array(1 << 20);
  const pushing = (async () => {
    for (let i = 0; i < 200; i++) {
      accepted += await pair.client.write(chunk);
    }
  })().catch(() => {});
  const stalled = async () => {
    for (let before = -1; before !== accepted;) {
      before = accepted;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await within(stalled(), { what: "the client to be held back" });
  assertEquals(pair.aio.readCacheSize, 0);
  assert(accepted < 100 << 20, `${accepted} bytes were accepted`);
  pair.aio.close();
  await pushing;
});

aioTest("Aio has the addresses and contexts, and result 1 at the start", async () => {
  using pair = await tcpPair();
  assertEquals(pair.aio.remoteAddr, pair.client.localAddr);
  assertEquals(pair.aio.localAddr, pair.client.remoteAddr);
  assertEquals(pair.aio.base, pair.base);
  pair.aio.context = { user: 1 };
  pair.base.context = "base";
  assertEquals(pair.aio.context, { user: 1 });
  assertEquals(pair.base.context, "base");
  assertEquals([pair.aio.result, pair.aio.getResult()], [1, 1]);
});

Deno.test("aioCreate() without a connection makes a timer, which can only sleep", async () => {
  const base = new AioBase();
  const timer = aioCreate(-1, base);
  assertEquals([timer.remoteAddr, timer.localAddr], [undefined, undefined]);
  assertEquals([timer.readCacheSize, timer.writeCacheSize, base.connectionCount], [0, 0, 0]);
  const nothing = () => {};
  for (
    const action of [
      () => timer.gets(1, nothing),
      () => timer.cacheFlush(nothing),
      () => timer.cacheWrite("x"),
      () => timer.setReadWaitTimeout(1),
      () => timer.release(),
    ]
  ) assertThrows(action, TypeError, "a timer, expected an Aio with a connection");
  assertEquals(await outcome((cb) => timer.sleep(cb, 0.01)), 1);
  timer.close();
});
