import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { type Aio, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase, aioBaseCreate, type AioHandle } from "../../../src/server/aio/base.ts";
import { within } from "../../support/wait.ts";
import { aioTest, outcome, type Pair, receive, receiveText, send, tcpPair } from "./aio_support.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Long enough for callbacks that must not come to come. */
const turns = () => new Promise((resolve) => setTimeout(resolve, 20));

const never = () => {
  throw new Error("called after close()");
};

const STATES: Readonly<Record<string, (pair: Pair) => void | Promise<void>>> = {
  "at rest": () => {},
  "while it reads": ({ aio }) => aio.gets(100, never),
  "while it reads, with a timeout": ({ aio }) => {
    aio.setReadWaitTimeout(0.001);
    aio.gets(100, never);
  },
  "with part of a line cached": async ({ aio, client }) => {
    await send(client, "part");
    await outcome((cb) => aio.readn(4, cb));
    aio.gets(100, never);
  },
  "while it writes": ({ aio }) => {
    aio.cacheWrite(new Uint8Array(20_000_000));
    aio.cacheFlush(never);
  },
  "with something cached to write": ({ aio }) => aio.cachePuts("never sent"),
  "while it sleeps": ({ aio }) => aio.sleep(never, 0.001),
  "with a sleep of 0 due": ({ aio }) => aio.sleep(never, 0),
  "after a timeout, while the read is still under way": async ({ aio }) => {
    aio.setReadWaitTimeout(0.001);
    await outcome((cb) => aio.gets(100, cb));
  },
  "after the end of the stream": async ({ aio, client }) => {
    await client.closeWrite();
    await outcome((cb) => aio.gets(100, cb));
  },
  "after the connection was closed under it": ({ aio, conn }) => {
    aio.gets(100, never);
    conn?.close();
  },
};

for (const [state, enter] of Object.entries(STATES)) {
  aioTest(
    `Aio close() ${state} calls nothing back, frees everything, and again does no harm`,
    async () => {
      using pair = await tcpPair();
      await enter(pair);
      pair.aio.close();
      pair.aio.close();
      assertEquals(pair.base.connectionCount, 0);
      assertEquals([pair.aio.readCacheSize, pair.aio.writeCacheSize], [0, 0]);
      await turns();
      assertEquals(pair.errors, []);
      assertThrows(() => pair.aio.gets(1, never), Deno.errors.BadResource, `start "gets": closed`);
      assertThrows(
        () => pair.aio.sleep(never, 1),
        Deno.errors.BadResource,
        `start "sleep": closed`,
      );
      pair.aio.disable();
    },
  );
}

aioTest("Aio close() with a callback due does not call it back", async () => {
  using pair = await tcpPair();
  await send(pair.client, "line\n");
  await outcome((cb) => pair.aio.gets(100, cb));
  pair.aio.gets(100, never);
  pair.aio.close();
  await turns();
  assertEquals(pair.errors, []);
});

aioTest("Aio close() in a callback ends it there, and the peer sees the end", async () => {
  using pair = await tcpPair();
  await send(pair.client, "exit\n");
  await outcome((cb) =>
    pair.aio.gets(100, (aio) => {
      aio.close();
      cb(aio);
    })
  );
  assertEquals((await receive(pair.client)).length, 0);
  assertEquals(pair.errors, []);
});

aioTest("Aio close() of one Aio in the callback of another is fine", async () => {
  using one = await tcpPair();
  using two = await tcpPair();
  two.aio.gets(100, never);
  await send(one.client, "bye\n");
  await outcome((cb) =>
    one.aio.gets(100, (aio) => {
      two.aio.close();
      cb(aio);
    })
  );
  assertEquals((await receive(two.client)).length, 0);
  assertEquals(two.errors, []);
});

aioTest("Aio disable() calls no callback and keeps the data for the next operation", async () => {
  using pair = await tcpPair();
  pair.aio.gets(100, never);
  pair.aio.disable();
  pair.aio.disable();
  await send(pair.client, "line\n");
  await turns();
  assertEquals(await outcome((cb) => pair.aio.gets(100, cb)), 5);
  // An operation that is over, with its callback still to run.
  pair.aio.gets(100, never);
  pair.aio.disable();
  pair.aio.sleep(never, 0.001);
  pair.aio.disable();
  await turns();
  assertEquals(pair.errors, []);
  assertEquals(pair.aio.getReadCacheString(), "line\n");
});

aioTest("Aio disable() of a flush leaves the rest cached", async () => {
  using pair = await tcpPair();
  pair.aio.cacheWrite(new Uint8Array(20_000_000).fill(7));
  pair.aio.cacheFlush(never);
  pair.aio.disable();
  const received = receive(pair.client, 20_000_000);
  assertEquals(await outcome((cb) => pair.aio.cacheFlush(cb)), 1);
  assertEquals((await received).every((byte) => byte === 7), true);
});

aioTest("Aio release() gives the open connection back and stops counting it", async () => {
  using pair = await tcpPair();
  await send(pair.client, "hello\n");
  await outcome((cb) => pair.aio.gets(100, cb));
  pair.aio.getReadCache(6);
  const conn = pair.aio.release();
  try {
    if (pair.conn !== undefined) assertEquals(conn, pair.conn);
    assertEquals(pair.base.connectionCount, 0);
    pair.aio.close(); // Harmless, and the connection stays open.
    assertThrows(() => pair.aio.release(), Deno.errors.BadResource);
    await send(pair.client, "raw");
    assertEquals(await receiveText(conn as Deno.Conn, 3), "raw");
  } finally {
    conn.close();
  }
});

aioTest("Aio release() refuses while a read or a write is under way", async () => {
  using reading = await tcpPair();
  reading.aio.gets(100, never);
  reading.aio.disable();
  assertThrows(() => reading.aio.release(), Deno.errors.Busy, `release "read"`);
  using writing = await tcpPair();
  writing.aio.cacheWrite(new Uint8Array(20_000_000));
  writing.aio.cacheFlush(never);
  assertThrows(() => writing.aio.release(), Deno.errors.Busy, `release "write"`);
  // Both are still what they were.
  await send(reading.client, "line\n");
  assertEquals(await outcome((cb) => reading.aio.gets(100, cb)), 5);
});

Deno.test("AioBase counts open connections and tells when the last one is closed", async () => {
  const base = aioBaseCreate();
  let idle = 0;
  const told = Promise.withResolvers<void>();
  base.onIdle = () => {
    idle++;
    told.resolve();
  };
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const clients: Deno.Conn[] = [];
  const aios: Aio[] = [];
  for (let i = 0; i < 3; i++) {
    const client = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    aios.push(aioCreate(await listener.accept(), base));
    clients.push(await client);
  }
  const timer = aioCreate(-1, base);
  assertEquals(base.connectionCount, 3);
  aios[0]!.close();
  aios[0]!.close();
  aios[1]!.release().close();
  assertEquals(base.connectionCount, 1);
  await turns();
  assertEquals(idle, 0);
  aios[2]!.close();
  assertEquals([base.connectionCount, idle], [0, 0]); // Not from inside close().
  await within(told.promise, { what: "onIdle" });
  timer.close();
  await turns();
  assertEquals(idle, 1);
  for (const client of clients) client.close();
});

aioTest("AioBase does not call onIdle when another connection was opened at once", async () => {
  using first = await tcpPair();
  using second = await tcpPair();
  let idle = 0;
  first.base.onIdle = () => idle++;
  const conn = second.aio.release();
  first.aio.close();
  const moved = aioCreate(conn, first.base);
  await turns();
  assertEquals([first.base.connectionCount, idle], [1, 0]);
  moved.close();
  await turns();
  assertEquals([first.base.connectionCount, idle], [0, 1]);
});

aioTest("AioBase closeAll() closes connections and timers without calling back", async () => {
  using pair = await tcpPair();
  pair.aio.gets(100, never);
  aioCreate(-1, pair.base).sleep(never, 0.001);
  pair.base.closeAll();
  assertEquals(pair.base.connectionCount, 0);
  assertEquals((await receive(pair.client)).length, 0);
  await turns();
  assertEquals(pair.errors, []);
});

aioTest(
  "AioBase onError receives the exception of a callback, and only that Aio is closed",
  async () => {
    const failures: [unknown, AioHandle][] = [];
    using pair = await tcpPair({ onError: (error, aio) => failures.push([error, aio]) });
    using other = await tcpPair();
    const conn = other.aio.release();
    const sibling = aioCreate(conn, pair.base);
    const error = new Error("thrown by the callback");
    await send(pair.client, "line\n");
    pair.aio.gets(100, () => {
      throw error;
    });
    assertEquals((await receive(pair.client)).length, 0);
    assertEquals(failures, [[error, pair.aio]]);
    assertEquals(pair.base.connectionCount, 1);
    await send(other.client, "still\n");
    assertEquals(await outcome((cb) => sibling.gets(100, cb)), 6);
    sibling.close();
  },
);

aioTest(
  "AioBase onError gets the rejection of an async callback, after an operation was started too",
  async () => {
    using pair = await tcpPair();
    await send(pair.client, "line\n");
    pair.aio.gets(100, async (aio) => {
      aio.getReadCache(5);
      aio.gets(100, never);
      await Promise.resolve();
      throw new Error("rejected");
    });
    assertEquals((await receive(pair.client)).length, 0);
    assertEquals(pair.errors.length, 1);
    assertInstanceOf(pair.errors[0], Error);
  },
);

Deno.test("AioBase gets a callback's exception from a timer, too", async () => {
  const told = Promise.withResolvers<unknown>();
  const base = new AioBase({ onError: told.resolve });
  aioCreate(-1, base).sleep(() => {
    throw "not even an Error";
  }, 0.001);
  assertEquals(await within(told.promise, { what: "onError" }), "not even an Error");
});

aioTest(
  "AioBase survives an onError hook that throws, and prints both errors without a hook",
  async () => {
    const printed: unknown[][] = [];
    const original = console.error;
    console.error = (...args: unknown[]) => printed.push(args);
    try {
      const hookError = new Error("from the hook");
      for (
        const onError of [undefined, () => {
          throw hookError;
        }]
      ) {
        using pair = await tcpPair({ onError });
        if (onError === undefined) pair.base.onError = new AioBase().onError;
        await send(pair.client, "line\n");
        pair.aio.gets(100, () => {
          throw "first";
        });
        assertEquals((await receive(pair.client)).length, 0);
      }
      assertEquals(printed, [["first"], ["first", hookError]]);
    } finally {
      console.error = original;
    }
  },
);

aioTest(
  "Aio lets other connections have their turn while one has 100,000 lines cached",
  async () => {
    using busy = await tcpPair();
    const text = "x\n".repeat(100_000);
    const sent = send(busy.client, text);
    await outcome((cb) => busy.aio.readn(text.length, cb));
    await sent;
    let count = 0;
    const done = Promise.withResolvers<void>();
    const afterLine = (aio: Aio) => {
      aio.getReadCache(aio.result);
      if (++count === 100_000) done.resolve();
      else aio.gets(10, afterLine);
    };
    busy.aio.gets(10, afterLine);
    // The turn of others comes after a bounded number of callbacks.
    let atFirstTurn = -1;
    setImmediate(() => atFirstTurn = count);
    // And so does that of a real connection.
    using quiet = await tcpPair();
    await send(quiet.client, "me too\n");
    assertEquals(await outcome((cb) => quiet.aio.gets(100, cb)), 7);
    const atAnswer = count;
    await within(done.promise, { what: "all lines" });
    assert(atFirstTurn <= 256, `${atFirstTurn} callbacks ran in one turn`);
    assert(atAnswer < 100_000);
  },
);
