import { assert, assertEquals, assertRejects } from "@std/assert";
import { move } from "../../../src/os/adopt/throwaway.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { pipe } from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { FifoReader, readFifoFor } from "../../../src/server/fifo/fifo.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { MODES, Site } from "../../support/master.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { within } from "../../support/wait.ts";
import { pattern, receive, receiveText } from "../aio/aio_support.ts";

const encoder = new TextEncoder();

/** Writes all of it to a named pipe, as a program that opens it, writes and ends. */
async function writeTo(path: string, data: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  for (let sent = 0; sent < data.length;) sent += await file.write(data.subarray(sent));
}

/** What the pipe of a test is read with. */
interface Pipe {
  readonly path: string;
  readonly reader: FifoReader;
}

function test(text: string, body: (pipe: Pipe) => Promise<void>): void {
  Deno.test(`FifoReader ${text}`, () => withPipe(body));
}

async function withPipe(body: (pipe: Pipe) => Promise<void>): Promise<void> {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const path = dir.file("pipe");
    using reader = new FifoReader(openListener({ kind: "fifo", path }).fd);
    await body({ path, reader });
  });
}

/** Reads as from a connection. */
function asConn(reader: FifoReader): Deno.Conn {
  return reader as unknown as Deno.Conn;
}

test("knows its path", async ({ path, reader }) => {
  assertEquals(reader.path, path);
  assertEquals([reader.localAddr, reader.remoteAddr], Array(2).fill({ transport: "unix", path }));
  await Promise.resolve();
});

test("reads data that was written before and after its start", async ({ path, reader }) => {
  await writeTo(path, encoder.encode("before"));
  assertEquals(await receiveText(asConn(reader), 6), "before");
  const reading = receiveText(asConn(reader), 5);
  await writeTo(path, encoder.encode("later"));
  assertEquals(await reading, "later");
});

test("reads into room of any size", async ({ path, reader }) => {
  await writeTo(path, encoder.encode("0123456789"));
  assertEquals(await reader.read(new Uint8Array(0)), 0);
  assertEquals(await receiveText(asConn(reader), 3), "012");
  const room = new Uint8Array(1_000_000);
  assertEquals(await reader.read(room), 7);
  assertEquals(new TextDecoder().decode(room.subarray(0, 7)), "3456789");
});

test("never comes to an end of file, however many writers come and go", async (pipe) => {
  const { path, reader } = pipe;
  for (let i = 0; i < 20; i++) {
    const reading = receiveText(asConn(reader), 2);
    await writeTo(path, encoder.encode(String(i).padStart(2, "0")));
    assertEquals(await reading, String(i).padStart(2, "0"));
  }
});

test("reads from several writers at once, each write in one piece", async ({ path, reader }) => {
  const lines = Array.from({ length: 5 * 200 }, (_, index) => `line ${index}\n`);
  const writers = Array.from({ length: 5 }, async (_, writer) => {
    using file = await Deno.open(path, { write: true });
    for (const line of lines.slice(writer * 200, (writer + 1) * 200)) {
      await file.write(encoder.encode(line));
    }
  });
  const text = await receiveText(asConn(reader), lines.join("").length);
  await Promise.all(writers);
  assertEquals(text.split("\n").toSorted(), [...lines.map((line) => line.trim()), ""].toSorted());
});

test("reads more than the pipe holds", async ({ path, reader }) => {
  const data = pattern(3 * 1024 * 1024);
  const writing = writeTo(path, data);
  const got = await receive(asConn(reader), data.length);
  await writing;
  assert(got.every((byte, index) => byte === data[index]));
});

test("reads null when it is closed, from then on and in a read under way", async ({ reader }) => {
  const reading = reader.read(new Uint8Array(1));
  reader.close();
  reader.close();
  assertEquals(await within(reading, { what: "the end of the read" }), null);
  assertEquals(await reader.read(new Uint8Array(1)), null);
});

test("refuses a second read at the same time, and goes on with the first", async (pipe) => {
  const { path, reader } = pipe;
  const reading = receiveText(asConn(reader), 1);
  await assertRejects(() => reader.read(new Uint8Array(1)), Deno.errors.Busy);
  await writeTo(path, encoder.encode("x"));
  assertEquals(await reading, "x");
});

test("refuses to write", async ({ path, reader }) => {
  await assertRejects(
    () => reader.write(new Uint8Array(1)),
    TypeError,
    `Cannot write to "${path}": a service's fifo`,
  );
});

Deno.test("FifoReader gives others their turn while the pipe is never empty", () =>
  withPipe(async ({ path, reader }) => {
    const room = new Uint8Array(65_536), startMs = performance.now();
    using writer = await Deno.open(path, { write: true });
    writer.writeSync(room);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    try {
      while (turns < 3) {
        assert(performance.now() - startMs < 10_000, "nothing else had a turn for 10 s");
        const count = await reader.read(room);
        writer.writeSync(room.subarray(0, count!));
      }
    } finally {
      clearInterval(timer);
    }
  }));

Deno.test("readFifoFor() tells of a read that fails", () =>
  leavesNothingOpen(async () => {
    using dir = new TempDir();
    const { fd } = openListener({ kind: "fifo", path: dir.file("pipe") });
    using reader = new FifoReader(fd);
    // A pipe that can't be read, and has an event.
    const [read, write] = pipe();
    move(write, fd);
    [read, write].forEach(closeFd);
    const failed = new Promise<Error>((resolve, reject) => {
      const wrong = () => reject(new Error("the read did not fail"));
      const lendRoom = () => new Uint8Array(1);
      const others = { received: wrong, receivedNothing: wrong, ended: wrong };
      readFifoFor(reader, { lendRoom, readFailed: resolve, ...others });
    });
    const error = await within(failed, { what: "an error" });
    assertEquals((error as Error & { code?: string }).code, "EBADF");
  }));

Deno.test("FifoReader that is made after the stop is closed at once", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (path) => {
    const { serverLifecycle } = await import("../../../src/server/lifecycle/lifecycle.ts");
    const { openListener } = await import("../../../src/os/net/open_listener.ts");
    const { FifoReader } = await import("../../../src/server/fifo/fifo.ts");
    serverLifecycle.stopNotify(0);
    const reader = new FifoReader(openListener({ kind: "fifo", path }).fd);
    console.log(await reader.read(new Uint8Array(1)));
  }, { arg: dir.file("pipe") });
  assertEquals(await child.succeeds(), "null\n");
});

/** A coroutine server that prints what comes. */
async function coroutinePrinter(path: string): Promise<void> {
  const { coroutineFifo, coroutineGo, coroutineServerMain } = await import(
    "../../../coroutine_server.ts"
  );
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(service, fd, fdType) {
        coroutineGo(async () => {
          const reader = coroutineFifo(fd);
          console.log("serving", service, fdType);
          const room = new Uint8Array(1024);
          for (let count; (count = await reader.read(room)) !== null;) {
            await Deno.stdout.write(room.subarray(0, count));
          }
          console.log("closed");
        });
      },
    }, ["alone", "-server-service", `lines://fifo:${path}`]),
  );
}

/** The same in the aio mode. */
async function aioPrinter(path: string): Promise<void> {
  const { aioServerGeneralAioRegister, aioServerMain, defaultAioBase } = await import(
    "../../../aio_server.ts"
  );
  type Aio = import("../../../aio_server.ts").Aio;
  function afterLine(aio: Aio): void {
    if (aio.result < 1) {
      console.log("closed");
      return aio.close();
    }
    console.log(aio.getReadCacheString(aio.result).trimEnd());
    aio.gets(1024, afterLine);
  }
  Deno.exit(
    await aioServerMain({
      serviceRegister(service, fd, fdType) {
        aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
          console.log("serving", service, fdType);
          aio.gets(1024, afterLine);
        });
      },
    }, ["alone", "-server-service", `lines://fifo:${path}`]),
  );
}

for (const [mode, body] of [["coroutine", coroutinePrinter], ["aio", aioPrinter]] as const) {
  Deno.test(`a ${mode} server reads a fifo that it has made, until it is told to stop`, async () => {
    using dir = new TempDir();
    const path = dir.file("pipe");
    await using child = startFunction(import.meta, body, { arg: path });
    await child.prints(/serving lines fifo\n/);
    assert(Deno.statSync(path).isFifo);
    for (const line of ["one\n", "two\n", "three\n"]) {
      await writeTo(path, encoder.encode(line));
      await child.prints(new RegExp(line));
    }
    child.signal("SIGTERM");
    await child.prints(/closed\n/);
    await child.succeeds();
    assertEquals(child.stderr, "");
  });
}

for (const mode of MODES) {
  Deno.test(`a ${mode} server reads a fifo of its master, before and after a reload`, async () => {
    await using site = new Site();
    const path = site.dir.file("pipe");
    site.serve("lines.cf", { mode, service: `lines://fifo:${path}` });
    const master = await site.start();
    await master.serving("lines.cf", 1);
    await writeTo(path, encoder.encode("one\n"));
    await master.logs(/from the fifo: one/);
    await master.reload();
    await writeTo(path, encoder.encode("two\n"));
    await master.logs(/from the fifo: two/);
    await master.stop();
  });
}
