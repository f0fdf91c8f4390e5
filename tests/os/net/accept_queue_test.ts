import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adoptListener } from "../../../src/os/adopt/listener.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { isReadable } from "../../../src/os/fd/poller.ts";
import { libc, unwrap } from "../../../src/os/ffi/libc.ts";
import { queueEmpties, refuseConnections } from "../../../src/os/net/accept_queue.ts";
import { describeListener } from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { Client } from "../../support/client.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";

const IPPROTO_TCP = 6, TCP_DEFER_ACCEPT = 9, SOL_SOCKET = 1, SO_LOCK_FILTER = 44;

function openInet(hostname = "127.0.0.1"): { readonly fd: number; readonly port: number } {
  const { fd } = openListener({ kind: "inet", hostname, port: 0 });
  return { fd, port: (describeListener(fd) as { port: number }).port };
}

function setOption(fd: number, level: number, name: number): void {
  const value = new Int32Array([5]);
  unwrap({ syscall: "setsockopt" }, () => libc().setsockopt(fd, level, name, value, 4));
}

/** Accepts one, and answers. */
async function answerOne(listener: Deno.Listener): Promise<void> {
  using conn = await listener.accept();
  await conn.write(new TextEncoder().encode("answer\n"));
}

Deno.test("isReadable() tells whether a connection waits, on both kinds of listener", () =>
  leavesNothingOpen(async () => {
    using dir = new TempDir();
    const inet = openInet(), path = dir.file("u");
    const unix = openListener({ kind: "unix", path }).fd;
    for (const [fd, target] of [[inet.fd, inet.port], [unix, path]] as const) {
      assert(!isReadable(fd));
      using client = await Client.connect(target);
      await eventually(() => isReadable(fd), { what: "a connection in the queue" });
      const listener = adoptListener(fd);
      await answerOne(listener);
      assertEquals(await client.line(), "answer");
      assert(!isReadable(fd));
      listener.close();
      closeFd(fd);
    }
  }));

for (const hostname of ["127.0.0.1", "::1"]) {
  for (const locked of [false, true]) {
    const by = locked ? "a short queue" : "a filter, where it may";
    Deno.test(`refuseConnections() keeps the queue of ${hostname}, and others away by ${by}`, () =>
      leavesNothingOpen(async () => {
        const { fd, port } = openInet(hostname);
        const early = await Deno.connect({ hostname, port });
        if (locked) setOption(fd, SOL_SOCKET, SO_LOCK_FILTER);
        const refused = refuseConnections(fd);
        if (locked) assert(!refused);
        const late = Deno.connect({ hostname, port });
        const listener = adoptListener(fd);
        await answerOne(listener);
        assertEquals(await early.read(new Uint8Array(9)), "answer\n".length);
        early.close();
        assert(!isReadable(fd));
        listener.close();
        closeFd(fd);
        // The kernel of the client asks again after a second.
        await within(assertRejects(() => late, Deno.errors.ConnectionRefused), { what: "refusal" });
      }));
  }
}

Deno.test("refuseConnections() lets a handshake come through that is under way", () =>
  leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    // The server's side of the handshake is not done before the first data.
    setOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT);
    using client = await Client.connect(port);
    assert(!isReadable(fd));
    refuseConnections(fd);
    const listener = adoptListener(fd);
    await client.write("data");
    await within(answerOne(listener), { what: "the connection" });
    assertEquals(await client.line(), "answer");
    listener.close();
    closeFd(fd);
  }));

Deno.test("refuseConnections() leaves a unix socket as it is, and refuses a pipe", async () => {
  using dir = new TempDir();
  const path = dir.file("u");
  const { fd } = openListener({ kind: "unix", path });
  assertEquals(refuseConnections(fd), false);
  (await Client.connect(path)).close();
  closeFd(fd);
  const pipe = openListener({ kind: "fifo", path: dir.file("f") }).fd;
  assertThrows(() => refuseConnections(pipe), TypeError, "a named pipe");
  closeFd(pipe);
});

Deno.test("queueEmpties() waits for the queue, for the least time, and no longer than the most", async () => {
  const clock = new FakeClock();
  const { fd, port } = openInet();
  const outcomes: (boolean | "waits")[] = [];
  const start = (settleMs: number) => {
    const index = outcomes.push("waits") - 1;
    queueEmpties(fd, { settleMs, withinMs: 100, clock }).then((empty) => outcomes[index] = empty);
  };
  const pass = async (ms: number) => {
    for (const endMs = clock.nowMs() + ms; clock.nowMs() < endMs;) {
      clock.advance(Math.min(clock.nextInMs ?? ms, endMs - clock.nowMs()));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return [...outcomes];
  };
  start(0), start(50);
  assertEquals(await pass(45), [true, "waits"]);
  assertEquals(await pass(10), [true, true]);
  const client = await Client.connect(port);
  await eventually(() => isReadable(fd), { what: "a connection in the queue" });
  start(0), start(50);
  assertEquals(await pass(95), [true, true, "waits", "waits"]);
  assertEquals(await pass(10), [true, true, false, false]);
  const listener = adoptListener(fd);
  start(0);
  await answerOne(listener);
  assertEquals((await pass(10)).at(-1), true);
  client.close(), listener.close(), closeFd(fd);
});

Deno.test("a listener that is closed after queueEmpties() has answered every client that could connect", () =>
  leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const counts = { answered: 0, refused: 0, reset: 0 };
    const clientsUntilRefused = async () => {
      for (;;) {
        try {
          using client = await Client.connect(port);
          await client.line();
          counts.answered++;
        } catch (error) {
          if (error instanceof Deno.errors.ConnectionRefused) return counts.refused++;
          counts.reset++;
        }
      }
    };
    const listener = adoptListener(fd);
    const accepting = (async () => {
      for (;;) await answerOne(listener);
    })().catch((error) => {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    });
    const clients = Array.from({ length: 8 }, clientsUntilRefused);
    await eventually(() => counts.answered > 100, { what: "clients to be served" });
    const closed = refuseConnections(fd);
    const emptied = await queueEmpties(fd, { settleMs: 20, withinMs: 1_000 });
    listener.close();
    closeFd(fd);
    await within(Promise.all([accepting, ...clients]), { what: "the clients' end" });
    assertEquals(counts.refused, clients.length, JSON.stringify(counts));
    // With the short queue there can be one until the end.
    assert(closed ? emptied && counts.reset === 0 : counts.reset <= 1, JSON.stringify(counts));
  }));
