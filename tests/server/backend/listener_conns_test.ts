/** What a server's connections do, whichever way the listener came to them. */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { ConnectionSet } from "../../../src/server/lifecycle/connection_set.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually, within } from "../../support/wait.ts";
import { pattern, receive, receiveText, send } from "../aio/aio_support.ts";
import { closeIfOpen } from "../conn_pairs.ts";
import { connectRaw } from "../raw_client.ts";
import {
  connectTo,
  LISTENER_KINDS,
  type ServiceSocket,
  testListener,
  warmUpNodeNet,
} from "../service_sockets.ts";

const MEBIBYTE = 1024 * 1024;
/** More than the kernel holds between two sockets. */
const FLOOD = 32 * MEBIBYTE;

interface Ends {
  /** The server's end. */
  readonly conn: Deno.Conn;
  readonly client: Deno.Conn;
  readonly socket: ServiceSocket;
}

await warmUpNodeNet();

for (const kind of LISTENER_KINDS) {
  const test = (text: string, body: (ends: Ends) => Promise<void>) =>
    Deno.test(`a connection (${kind}) ${text}`, () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const connected = connectTo(open.socket);
        const conn = await within(open.listener.accept(), { what: "a connection" });
        const client = await connected;
        try {
          await body({ conn, client, socket: open.socket });
        } finally {
          closeIfOpen(conn);
          closeIfOpen(client);
        }
      }));

  test("knows both addresses", async ({ conn, client, socket }) => {
    assertEquals(conn.localAddr, socket.addr);
    const { remoteAddr } = conn;
    if (socket.fdType === "inet") assertEquals(remoteAddr, client.localAddr);
    else assertEquals(remoteAddr.transport, "unix");
    await Promise.resolve();
  });

  test("reads what is there, into room of any size", async ({ conn, client }) => {
    await send(client, "0123456789");
    assertEquals(await conn.read(new Uint8Array(0)), 0);
    assertEquals(await receiveText(conn, 3), "012");
    const room = new Uint8Array(100);
    const count = await within(conn.read(room), { what: "the rest" });
    assertEquals(new TextDecoder().decode(room.subarray(0, count ?? 0)), "3456789");
  });

  test("answers after the client has ended its output", async ({ conn, client }) => {
    await send(client, "question");
    await client.closeWrite();
    assertEquals(await receiveText(conn), "question");
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await send(conn, "answer");
    conn.close();
    assertEquals(await receiveText(client), "answer");
  });

  test("reads on after it has ended its own output, and can write no more", async (ends) => {
    const { conn, client } = ends;
    await conn.closeWrite();
    assertEquals(await client.read(new Uint8Array(1)), null);
    await assertRejects(() => conn.write(new Uint8Array(1)), Deno.errors.BrokenPipe);
    await send(client, "still heard");
    await client.closeWrite();
    assertEquals(await receiveText(conn), "still heard");
  });

  test("carries much data both ways at once", async ({ conn, client }) => {
    const size = 4 * MEBIBYTE;
    const up = pattern(size, 1), down = pattern(size, 2);
    const [gotUp, gotDown] = await Promise.all([
      receive(conn, size),
      receive(client, size),
      send(client, up),
      send(conn, down),
    ]);
    assert(equal(gotUp, up), "what the client sent");
    assert(equal(gotDown, down), "what the server sent");
  });

  test("echoes by its streams", async ({ conn, client }) => {
    const data = pattern(2 * MEBIBYTE);
    const echo = conn.readable.pipeTo(conn.writable);
    const sent = send(client, data).then(() => client.closeWrite());
    assert(equal(await receive(client), data));
    await Promise.all([echo, sent]);
  });

  test("is found closed by a ConnectionSet when its streams have ended", async (ends) => {
    const { conn, client } = ends;
    const set = new ConnectionSet();
    set.add(conn);
    const echo = conn.readable.pipeTo(conn.writable);
    set.sweep();
    await client.closeWrite();
    await echo;
    await eventually(() => (set.sweep(), set.count === 0), { what: "an empty set" });
  });

  test("holds back a client that sends faster than it reads", async ({ conn, client }) => {
    const sent = pump(client);
    await send(conn, "x");
    assertEquals(await receiveText(conn, 1), "\0");
    assertLess(await sent.atRest(), FLOOD / 2);
    assertEquals((await receive(conn, FLOOD - 1)).length, FLOOD - 1);
    assertEquals(await sent.atRest(), FLOOD);
  });

  test("holds back its server when the client does not read", async ({ conn, client }) => {
    const sent = pump(conn);
    assertLess(await sent.atRest(), FLOOD / 2);
    assertEquals((await receive(client, FLOOD)).length, FLOOD);
    assertEquals(await sent.atRest(), FLOOD);
  });

  test("rejects a read under way when it is closed, and all later calls", async (ends) => {
    const { conn, client } = ends;
    const reading = conn.read(new Uint8Array(1));
    const rejected = assertRejects(() => within(reading, { what: "the end of the read" }));
    conn.close();
    await rejected;
    await assertRejects(() => conn.read(new Uint8Array(1)), Deno.errors.BadResource);
    await assertRejects(() => conn.write(new Uint8Array(1)), Deno.errors.BadResource);
    assertEquals(await client.read(new Uint8Array(1)), null);
  });

  Deno.test(`a connection (${kind}) tells of a reset, and can be closed then`, () =>
    leavesNothingOpen(async () => {
      using open = testListener(kind);
      const client = await resettable(open.socket);
      const conn = await within(open.listener.accept(), { what: "a connection" });
      await conn.write(new Uint8Array(1));
      const reading = conn.read(new Uint8Array(1));
      client.reset();
      const error = await assertRejects(() => within(reading, { what: "the end of the read" }));
      assertEquals((error as { code?: string }).code, "ECONNRESET");
      conn.close();
    }));
}

/** A client that will end by a reset. */
async function resettable(socket: ServiceSocket): Promise<{ reset(): void }> {
  if ("port" in socket.addr) return connectRaw(socket.addr.port);
  const client = await connectTo(socket);
  // On a unix socket the kernel sends a reset when input was not read.
  return { reset: () => client.close() };
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** Sends a flood of zeros. */
function pump(conn: Deno.Conn): { atRest(): Promise<number> } {
  const chunk = new Uint8Array(64 * 1024);
  let sent = 0;
  const done = (async () => {
    while (sent < FLOOD) sent += await conn.write(chunk.subarray(0, FLOOD - sent));
  })();
  return {
    /** Waits until no more goes out. */
    async atRest() {
      let before = -1, quiet = 0;
      await eventually(() => {
        quiet = sent === before ? quiet + 1 : 0;
        before = sent;
        return quiet === 20 || sent === FLOOD;
      }, { what: "a write that waits" });
      if (sent === FLOOD) await done;
      return sent;
    },
  };
}
