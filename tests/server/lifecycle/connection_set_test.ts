import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { ConnectionSet } from "../../../src/server/lifecycle/connection_set.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { eventually } from "../../support/wait.ts";
import { closeIfOpen, type ConnPair, tcpPair, unixPair } from "../conn_pairs.ts";

/** A set with one connection in it. */
function setOf(conn: Deno.Conn): { set: ConnectionSet; changes: () => number } {
  const set = new ConnectionSet();
  let changes = 0;
  set.onChange = () => changes++;
  assert(set.add(conn) === conn);
  return { set, changes: () => changes };
}

/** Waits until a set has been found empty. */
async function emptied(set: ConnectionSet): Promise<void> {
  await eventually(() => {
    set.sweep();
    return set.count === 0;
  }, { what: "an empty set" });
}

for (const [kind, connect] of [["TCP", tcpPair], ["unix", unixPair]] as const) {
  const title = (text: string) => `ConnectionSet (${kind}) ${text}`;
  const test = (text: string, body: (pair: ConnPair) => Promise<void>) =>
    Deno.test(title(text), () =>
      leavesNothingOpen(async () => {
        using pair = await connect();
        await body(pair);
      }));

  test("counts a connection until close() is called", async ({ conn }) => {
    const { set, changes } = setOf(conn);
    assertEquals([set.count, changes()], [1, 0]);
    await conn.write(new Uint8Array(1));
    assertEquals([set.count, changes()], [1, 0]);
    conn.close();
    assertEquals([set.count, changes()], [0, 1]);
  });

  test("counts a connection until it is disposed of", async ({ conn }) => {
    const { set, changes } = setOf(conn);
    {
      using held = conn;
      await held.write(new Uint8Array(1));
    }
    assertEquals([set.count, changes()], [0, 1]);
    conn[Symbol.dispose]();
    assertEquals([set.count, changes()], [0, 1]);
  });

  test("lets the second close() fail as that of the runtime does", async ({ conn }) => {
    const { set, changes } = setOf(conn);
    conn.close();
    assertThrows(() => conn.close(), Deno.errors.BadResource);
    assertEquals([set.count, changes()], [0, 1]);
    await Promise.resolve();
  });

  test("gives the streams of the connection, the same ones each time", async ({ conn, peer }) => {
    setOf(conn);
    assert(conn.readable === conn.readable);
    assert(conn.writable === conn.writable);
    const writer = conn.writable.getWriter();
    await writer.write(new TextEncoder().encode("to the peer"));
    assertEquals(await textFrom(peer, 11), "to the peer");
    await peer.write(new TextEncoder().encode("from the peer"));
    const reader = conn.readable.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "from the peer");
    conn.close();
    await reader.read().catch(() => {});
  });

  test("finds by sweep() what pipeTo() has closed", async ({ conn, peer }) => {
    const { set, changes } = setOf(conn);
    const echo = conn.readable.pipeTo(conn.writable);
    await peer.write(new TextEncoder().encode("hello"));
    assertEquals(await textFrom(peer, 5), "hello");
    set.sweep();
    await settle();
    assertEquals([set.count, changes()], [1, 0], "it is still open");
    await peer.closeWrite();
    await echo;
    await emptied(set);
    assertEquals(changes(), 1);
  });

  test("keeps what waits to write, and finds by sweep() when that is over", async (pair) => {
    const { conn, peer } = pair;
    const { set } = setOf(conn);
    const writer = conn.writable.getWriter();
    const size = 16 * 1024 * 1024;
    const written = writer.write(new Uint8Array(size)).then(() => writer.close());
    for (let i = 0; i < 3; i++) {
      set.sweep();
      await settle();
      assertEquals(set.count, 1);
    }
    assertEquals(await countFrom(peer), size);
    await written;
    await emptied(set);
  });

  test("finds by sweep() what an aborted stream has closed", async ({ conn, peer }) => {
    const { set } = setOf(conn);
    await conn.readable.cancel();
    await conn.writable.abort();
    await emptied(set);
    assertEquals(await peer.read(new Uint8Array(1)).catch(() => null), null);
  });

  test("forgets at close() what was used as a stream", async ({ conn }) => {
    const { set, changes } = setOf(conn);
    const writer = conn.writable.getWriter();
    await writer.write(new Uint8Array(1));
    assertEquals(set.count, 1);
    conn.close();
    assertEquals([set.count, changes()], [0, 1]);
    await writer.abort().catch(() => {});
  });

  test("forgets at close() what its streams have closed before", async ({ conn, peer }) => {
    const { set, changes } = setOf(conn);
    await peer.closeWrite();
    await conn.readable.pipeTo(conn.writable);
    closeIfOpen(conn);
    assertEquals([set.count, changes()], [0, 1]);
  });

  test("closes all by closeAll(), open or closed, stream or not", async ({ conn, peer }) => {
    const { set } = setOf(conn);
    using streamed = await connect();
    using piped = await connect();
    using closed = await connect();
    for (const pair of [streamed, piped, closed]) set.add(pair.conn);
    const reader = streamed.conn.readable.getReader();
    const pending = reader.read().catch(() => {});
    await piped.peer.closeWrite();
    await piped.conn.readable.pipeTo(piped.conn.writable);
    closed.conn.close();
    set.closeAll();
    assertEquals(set.count, 0);
    await pending;
    for (const end of [peer, streamed.peer, piped.peer, closed.peer]) {
      assertEquals(await end.read(new Uint8Array(1)), null);
    }
    set.closeAll();
  });
}

async function textFrom(conn: Deno.Conn, length: number): Promise<string> {
  const room = new Uint8Array(length);
  for (let got = 0; got < length;) got += await conn.read(room.subarray(got)) ?? length;
  return new TextDecoder().decode(room);
}

async function countFrom(conn: Deno.Conn): Promise<number> {
  const room = new Uint8Array(1024 * 1024);
  let total = 0;
  for (let count; (count = await conn.read(room)) !== null;) total += count;
  return total;
}

/** A turn of the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("ConnectionSet keeps an open connection of which only the streams are held", async () => {
  // The streams know the connection's number only, so that the object may be collected.
  await using child = startFunction(import.meta, async () => {
    const { ConnectionSet } = await import("../../../src/server/lifecycle/connection_set.ts");
    const { gc } = globalThis as unknown as { gc(): void };
    const set = new ConnectionSet();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using peer = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    async function startEcho(): Promise<{ done: Promise<void> }> {
      const conn = set.add(await listener.accept());
      return { done: conn.readable.pipeTo(conn.writable) };
    }
    const { done } = await startEcho();
    for (let i = 0; i < 10; i++) {
      gc();
      // What is called for a collected object is called in a turn of its own.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    console.log(set.count);
    await peer.closeWrite();
    await done;
  }, { env: { DENO_V8_FLAGS: "--expose-gc" } });
  assertEquals(await child.succeeds(), "1\n");
});

Deno.test("ConnectionSet does not grow with connections that their streams have closed", async () => {
  await leavesNothingOpen(async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const set = new ConnectionSet();
    let most = 0;
    for (let i = 0; i < 500; i++) {
      const connected = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      const conn = set.add(await listener.accept());
      using peer = await connected;
      const echo = conn.readable.pipeTo(conn.writable);
      await peer.closeWrite();
      await echo;
      most = Math.max(most, set.count);
    }
    assertLess(most, 200);
    await emptied(set);
  });
});
