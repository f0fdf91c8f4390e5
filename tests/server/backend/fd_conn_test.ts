/** A connection over a descriptor: what the runtime's own connections do by themselves. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { NOT_NOW, receiveNow, sendNow } from "../../../src/os/net/stream.ts";
import { fdConn } from "../../../src/server/backend/fd_conn.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";

const ADDR: Deno.UnixAddr = { transport: "unix", path: "test" };

/** Both ends of a connection; the peer is a descriptor, so that a test can do several things with it at once. */
function connected() {
  const [fd, peer] = socketPair();
  const conn = fdConn(fd, { localAddr: ADDR, remoteAddr: ADDR });
  return {
    conn,
    peer,
    /** Sends until the peer has to read first. */
    fill() {
      const flood = new Uint8Array(1024);
      while (sendNow(fd, flood) !== NOT_NOW);
    },
    [Symbol.dispose]() {
      conn[Symbol.dispose]();
      closeFd(peer);
    },
  };
}

/** Receives all that has arrived, and returns the last bytes. */
function drain(peer: number): number[] {
  const room = new Uint8Array(64 * 1024);
  let last: number[] = [];
  for (let count; (count = receiveNow(peer, room)) > 0;) {
    last = [...room.subarray(0, count)].slice(-2);
  }
  return last;
}

Deno.test("fdConn() writes in the order of the calls, though a later one would not have to wait", () =>
  leavesNothingOpen(async () => {
    using pair = connected();
    pair.fill();
    const first = pair.conn.write(new Uint8Array([1]));
    // The event that ends the wait comes later.
    drain(pair.peer);
    const second = pair.conn.write(new Uint8Array([2]));
    assertEquals(await Promise.all([first, second]), [1, 1]);
    assertEquals(drain(pair.peer), [1, 2]);
  }));

Deno.test("fdConn() reads in the order of the calls, though a later one would not have to wait", () =>
  leavesNothingOpen(async () => {
    using pair = connected();
    const rooms = [new Uint8Array(1), new Uint8Array(1)];
    const first = pair.conn.read(rooms[0]!);
    sendNow(pair.peer, new Uint8Array([1, 2]));
    const second = pair.conn.read(rooms[1]!);
    assertEquals(await Promise.all([first, second]), [1, 1]);
    assertEquals(rooms.map(([byte]) => byte), [1, 2]);
  }));

Deno.test("fdConn() ends its output when the writes before are done", () =>
  leavesNothingOpen(async () => {
    using pair = connected();
    pair.fill();
    const calls = [pair.conn.write(new Uint8Array([1, 2])), pair.conn.closeWrite()];
    drain(pair.peer);
    await Promise.all(calls);
    assertEquals(drain(pair.peer), [1, 2]);
    assertEquals(receiveNow(pair.peer, new Uint8Array(1)), 0);
    await assertRejects(() => pair.conn.write(new Uint8Array(1)), Deno.errors.BrokenPipe);
  }));

Deno.test("fdConn() ends all calls under way when it is closed", () =>
  leavesNothingOpen(async () => {
    using pair = connected();
    pair.fill();
    const calls = [1, 2, 3].flatMap(() => [
      pair.conn.read(new Uint8Array(1)),
      pair.conn.write(new Uint8Array(1)),
    ]);
    pair.conn.close();
    for (const call of calls) await assertRejects(() => call, Deno.errors.Interrupted);
  }));

for (const name of ["read", "write"] as const) {
  Deno.test(`fdConn() gives others their turn while a ${name} never has to wait`, () =>
    leavesNothingOpen(async () => {
      using pair = connected();
      const byte = new Uint8Array(1), startMs = performance.now();
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      try {
        while (turns < 3) {
          assert(performance.now() - startMs < 10_000, "nothing else had a turn for 10 s");
          if (name === "read") sendNow(pair.peer, byte);
          assertEquals(await pair.conn[name](byte), 1);
          if (name === "write") receiveNow(pair.peer, byte);
        }
      } finally {
        clearInterval(timer);
      }
    }));
}
