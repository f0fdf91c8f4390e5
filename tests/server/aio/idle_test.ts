import { cpuUsage } from "node:process";
import { assertEquals, assertLess } from "@std/assert";
import { aioTest, outcome, type Pair, receive, send, tcpPair } from "./aio_support.ts";

const LARGE = 8_000_000;

const turns = () => new Promise((resolve) => setTimeout(resolve, 20));
const nothing = () => {};

/** Leaves a read under way for which nothing waits. */
function forgetRead({ aio }: Pair): void {
  aio.gets(100, nothing);
  aio.disable();
}

/** The same with a write, for which the peer would have to read. */
function forgetWrite({ aio }: Pair): void {
  aio.cacheWrite(new Uint8Array(LARGE));
  aio.cacheFlush(nothing);
  aio.disable();
}

/** Ends the connection by a reset. */
async function reset(pair: Pair): Promise<void> {
  pair.aio.cachePuts("not read");
  await outcome((callback) => pair.aio.cacheFlush(callback));
  pair.client.close();
}

/** What is left of a connection, and comes to it, while no operation is pending. */
const STATES: Readonly<Record<string, (pair: Pair) => void | Promise<void>>> = {
  "data after a read": async (pair) => {
    forgetRead(pair);
    await send(pair.client, "data\nmore");
    await turns();
    await send(pair.client, "still more");
  },
  "the end after a read": async (pair) => {
    forgetRead(pair);
    await pair.client.closeWrite();
  },
  "the end that was read": async ({ aio, client }) => {
    await client.closeWrite();
    assertEquals(await outcome((callback) => aio.gets(100, callback)), 0);
  },
  "a reset after a read": async (pair) => {
    forgetRead(pair);
    await reset(pair);
  },
  "a reset at rest": reset,
  "a write that waits": forgetWrite,
  "a write that waits, and data": async (pair) => {
    forgetRead(pair);
    forgetWrite(pair);
    await send(pair.client, "data\n");
    await pair.client.closeWrite();
  },
  "a write that could go on": async (pair) => {
    forgetWrite(pair);
    await receive(pair.client, 1);
    const { writeCacheSize } = pair.aio;
    // One piece may have been under way, and no other one follows.
    await receive(pair.client, LARGE - writeCacheSize - 1);
  },
  "a write that waits, and a reset": (pair) => {
    forgetWrite(pair);
    pair.client.close();
  },
};

for (const [state, enter] of Object.entries(STATES)) {
  aioTest(`Aio uses no processor time without an operation: ${state}`, async () => {
    using pair = await tcpPair();
    await enter(pair);
    await turns();
    const before = cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { user, system } = cpuUsage(before);
    // Events that come again and again would need about 200,000 microseconds.
    assertLess(user + system, 80_000);
    assertEquals(pair.errors, []);
  });
}
