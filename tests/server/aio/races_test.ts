import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type Aio, type AioConn, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase } from "../../../src/server/aio/base.ts";
import { outcome } from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

interface Pending<T> {
  readonly bytes: Uint8Array;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** A connection whose reads and writes end when, and as, the test says. */
class ScriptedConn implements AioConn {
  readonly reads: Pending<number | null>[] = [];
  readonly writes: Pending<number>[] = [];
  readonly localAddr: Deno.Addr = { transport: "unix", path: "here" };
  readonly remoteAddr: Deno.Addr = { transport: "unix", path: "there" };

  read(bytes: Uint8Array): Promise<number | null> {
    return new Promise((resolve, reject) => this.reads.push({ bytes, resolve, reject }));
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => this.writes.push({ bytes, resolve, reject }));
  }

  close(): void {}

  /** Ends the oldest read with this text. */
  deliver(text: string): void {
    const { bytes, resolve } = this.reads.shift()!;
    resolve(new TextEncoder().encodeInto(text, bytes).written);
  }
}

function setUp(): { conn: ScriptedConn; aio: Aio; errors: unknown[] } {
  const conn = new ScriptedConn();
  const errors: unknown[] = [];
  const base = new AioBase({ onError: (error) => errors.push(error) });
  return { conn, aio: aioCreate(conn, base), errors };
}

/** Lets everything happen that can happen now. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

const never = () => {
  throw new Error("called, expected no call");
};

Deno.test("Aio has one read under way however many operations wanted it", async () => {
  const { conn, aio } = setUp();
  assertEquals(conn.reads.length, 0);
  aio.gets(100, never);
  aio.disable();
  aio.readn(2, never);
  aio.disable();
  const result = outcome((cb) => aio.gets(100, cb));
  assertEquals(conn.reads.length, 1);
  conn.deliver("ab");
  await turn();
  assertEquals(conn.reads.length, 1);
  conn.deliver("c\n");
  assertEquals(await result, 4);
  assertEquals(aio.getReadCacheString(), "abc\n");
  assertEquals(conn.reads.length, 0); // Nobody wants more.
  aio.close();
});

Deno.test("Aio has one write under way however many flushes wanted it", async () => {
  const { conn, aio } = setUp();
  aio.cachePuts("first, ");
  aio.cacheFlush(never);
  aio.disable();
  aio.cachePuts("second");
  const result = outcome((cb) => aio.cacheFlush(cb));
  assertEquals(conn.writes.length, 1);
  conn.writes.shift()!.resolve(7);
  await turn();
  const [{ bytes, resolve }] = conn.writes as [Pending<number>];
  assertEquals(new TextDecoder().decode(bytes), "second");
  resolve(6);
  assertEquals(await result, 1);
  aio.close();
});

Deno.test("Aio writes no more without a flush, and ends no other operation with a late write", async () => {
  const { conn, aio, errors } = setUp();
  aio.cachePuts("0123456789");
  aio.cacheFlush(never);
  aio.disable();
  aio.gets(100, never);
  conn.writes.shift()!.resolve(4);
  await turn();
  assertEquals([conn.writes.length, aio.writeCacheSize], [0, 6]);
  aio.disable();
  aio.cacheFlush(never);
  aio.disable();
  aio.sleep(never, 1000);
  conn.writes.shift()!.resolve(6);
  await turn();
  assertEquals([aio.writeCacheSize, errors], [0, []]);
  aio.close();
});

Deno.test("Aio ends no flush and no sleep with a late read", async () => {
  const { conn, aio, errors } = setUp();
  aio.gets(100, never);
  aio.disable();
  aio.sleep(never, 1000);
  conn.deliver("line\n");
  await turn();
  aio.disable();
  aio.readn(6, never);
  aio.disable();
  aio.cachePuts("x");
  aio.cacheFlush(never);
  conn.deliver("more");
  await turn();
  assertEquals([aio.readCacheSize, errors], [9, []]);
  aio.close();
});

Deno.test("Aio keeps a late error for the next operation on that side", async () => {
  const { conn, aio, errors } = setUp();
  aio.gets(100, never);
  aio.disable();
  aio.cachePuts("x");
  aio.cacheFlush(never);
  aio.disable();
  conn.reads.shift()!.reject(new Error("read"));
  conn.writes.shift()!.reject(new Error("write"));
  await turn();
  assertEquals(await outcome((cb) => aio.gets(100, cb)), -1);
  assertEquals(aio.error?.message, "read");
  assertEquals(await outcome((cb) => aio.readable(cb)), 1);
  assertEquals(aio.error, undefined);
  assertEquals(await outcome((cb) => aio.cacheFlush(cb)), -1);
  assertEquals(aio.error?.message, "write");
  assertEquals(errors, []);
  aio.close();
});

Deno.test("Aio makes an Error of any rejection of a connection", async () => {
  const { conn, aio } = setUp();
  const result = outcome((cb) => aio.gets(100, cb));
  conn.reads.shift()!.reject("no Error" as unknown as Error);
  assertEquals(await result, -1);
  assertInstanceOf(aio.error, Error);
  assertEquals([aio.error.message, aio.error.cause], ["no Error", "no Error"]);
  aio.close();
});

Deno.test("Aio drops the results of reads and writes after close()", async () => {
  const { conn, aio, errors } = setUp();
  aio.gets(100_000, never);
  aio.disable();
  aio.cachePuts("x");
  aio.cacheFlush(never);
  aio.close();
  conn.deliver("x".repeat(conn.reads[0]!.bytes.length)); // It fills all of its room.
  conn.writes.shift()!.resolve(1);
  await turn();
  assertEquals([aio.readCacheSize, aio.writeCacheSize, errors], [0, 0, []]);
});

Deno.test("Aio searches the whole cache for another delimiter, and again after bytes were taken", async () => {
  const { conn, aio } = setUp();
  aio.gets(100, never);
  conn.deliver("a;b;c");
  await turn();
  aio.disable();
  assertEquals(await outcome((cb) => aio.readDelimiter(";", 100, cb)), 2);
  aio.getReadCache(1);
  assertEquals(await outcome((cb) => aio.readDelimiter(";", 100, cb)), 1);
  conn.deliver("\n");
  await turn();
  assertEquals(await outcome((cb) => aio.gets(100, cb)), 5);
  aio.close();
});

Deno.test("Aio calls a callback once, when its operation ends just before its deadline", async () => {
  const { conn, aio, errors } = setUp();
  aio.setReadWaitTimeout(0.01);
  const result = outcome((cb) => aio.gets(100, cb));
  conn.deliver("in time\n");
  assertEquals(await result, 8);
  await new Promise((resolve) => setTimeout(resolve, 50));
  aio.setReadWaitTimeout(-1);
  aio.gets(200, (aio) => assert(aio.result === 8)); // The old deadline is not its own.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(errors, []);
  aio.close();
});
