/** What becomes of clients when a server has no descriptor free for them. */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { closeFd, setCloseOnExec } from "../../../src/os/fd/descriptor.ts";
import { startFunction, type TestProcess, withOpenFileLimit } from "../../support/processes.ts";
import { eventually, GOES_ON_MS, within } from "../../support/wait.ts";
import { HttpClient } from "../http_client.ts";
import { TempDir } from "../../support/temp.ts";
import { inetSocket, type ServiceSocket, unixSocket } from "../service_sockets.ts";

const MODES = ["coroutine", "aio", "node:net", "http", "serveNode"] as const;
type Mode = typeof MODES[number];

/** Those whose clients speak HTTP. */
const HTTP_MODES: ReadonlySet<Mode> = new Set(["http", "serveNode"]);

/** What a server is told. */
interface Served extends Pick<ServiceSocket, "fd" | "fdType"> {
  readonly mode: Mode;
  /** How many times as long it waits as another one, whenever it does. */
  readonly slowness?: number;
}

/** A server that greets, or answers, with its pid, and holds each connection until the client goes. */
async function serve({ mode, fd, fdType, slowness = 1 }: Served): Promise<void> {
  const { systemClock } = await import("../../../src/os/clock/clock.ts");
  const setTimer = systemClock.setTimer.bind(systemClock);
  systemClock.setTimer = (ms, callback) => setTimer(ms * slowness, callback);
  const { obeyFdExhaustionSignals } = await import("./fd_exhaustion_support.ts");
  const { acceptStatistics } = await import("../../../src/server/listen/accept_counts.ts");
  const greeting = new TextEncoder().encode(`${Deno.pid}\n`);
  if (mode === "http") {
    const { serveHttp } = await import("../../../coroutine_server.ts");
    serveHttp(fd, "inet", () => new Response(`${Deno.pid}`));
  } else if (mode === "serveNode") {
    const { createServer } = await import("node:http");
    const { serveNode } = await import("../../../aio_server.ts");
    serveNode(fd, fdType, createServer((_request, answer) => answer.end(`${Deno.pid}`)));
  } else if (mode === "aio") {
    const { aioServerGeneralAioRegister, defaultAioBase } = await import("../../../aio_server.ts");
    aioServerGeneralAioRegister(defaultAioBase, fd, "inet", (aio) => {
      aio.cacheWrite(greeting);
      aio.cacheFlush(() => aio.read(1, () => aio.close()));
    });
  } else {
    const { openServiceListener } = await import("../../../src/server/listen/service_listener.ts");
    const { AdoptError } = await import("../../../src/os/adopt/listener.ts");
    const { makeNativeBackend } = await import("../../../src/server/backend/native.ts");
    const listener = openServiceListener(fd, "inet", {
      via: makeNativeBackend(
        mode !== "node:net" ? {} : {
          listener() {
            throw new AdoptError("Cannot adopt a listener: a test");
          },
        },
      ),
    });
    (async () => {
      for await (const conn of listener) {
        conn.write(greeting).catch(() => {});
        conn.read(new Uint8Array(1)).catch(() => {}).finally(() => conn.close());
      }
    })();
  }
  obeyFdExhaustionSignals();
  // Loads what it needs; there may be no descriptor for that later.
  acceptStatistics();
  Deno.addSignalListener("SIGWINCH", () => console.log(JSON.stringify(acceptStatistics()[0])));
  console.log("serving");
}

/** A server of its own socket; or one of several on a socket. Declare it with `await using`. */
interface Server extends AsyncDisposable {
  readonly process: TestProcess;
  statistics(): Promise<Record<string, number>>;
}

async function start(
  mode: Mode,
  { fd, fdType }: ServiceSocket,
  slowness?: number,
): Promise<Server> {
  setCloseOnExec(fd, false);
  const process = startFunction(import.meta, serve, {
    arg: { mode, fd, fdType, ...(slowness !== undefined && { slowness }) },
    prefix: withOpenFileLimit(70),
  });
  setCloseOnExec(fd, true);
  await process.prints(/serving\n/);
  return {
    process,
    async statistics() {
      process.signal("SIGWINCH");
      return JSON.parse((await process.prints(/\{.*\}/))[0]);
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

/** What a client gets: the pid of a server, or how it was rejected. */
async function ask(mode: Mode, port: number): Promise<string> {
  if (HTTP_MODES.has(mode)) {
    using client = await HttpClient.connect(port);
    const { status, headers, body } = await client.get("/");
    if (status === 200) return body;
    await client.ended();
    return `${status} ${headers.get("connection")}`;
  }
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new Uint8Array(100));
  const room = new Uint8Array(100);
  const count = await within(conn.read(room), { what: "an answer or the end" });
  return count === null ? "the end" : new TextDecoder().decode(room.subarray(0, count)).trim();
}

for (const mode of MODES) {
  const rejected = HTTP_MODES.has(mode) ? "503 close" : "the end";

  Deno.test(`a server (${mode}) without descriptors turns clients away cleanly, and serves again`, async () => {
    const socket = inetSocket();
    await using server = await start(mode, socket);
    closeFd(socket.fd);
    const { process } = server, { port } = socket, pid = `${process.pid}`;
    assertEquals(await ask(mode, port), pid);
    await eventually(async () => (await server.statistics()).open === 0, { what: "its end" });
    process.signal("SIGUSR2");
    await process.prints(/full\n/);
    const all = await Promise.all(Array.from({ length: 60 }, () => ask(mode, port)));
    assertEquals(new Set(all), new Set([rejected]));
    const line = /too many open files.*; clients rejected since the last line: \d+/i;
    await process.complains(line);
    assertEquals((await server.statistics()).rejected, 60);

    process.signal("SIGIO");
    await process.prints(/free\n/);
    const since = performance.now();
    assertEquals(await ask(mode, port), pid);
    assertLess(performance.now() - since, GOES_ON_MS);
    for (let i = 0; i < 20; i++) assertEquals(await ask(mode, port), pid);
    assertEquals((await server.statistics()).rejected, 60);
  });
}

for (const mode of ["coroutine", "aio", "http", "serveNode"] as const) {
  Deno.test(`a server (${mode}) without free descriptors leaves clients to another server that has some`, async () => {
    const socket = inetSocket();
    // Its pause is long enough for the other one to accept, also on a busy machine.
    await using full = await start(mode, socket, 50);
    await using other = await start(mode, socket);
    closeFd(socket.fd);
    full.process.signal("SIGUSR2");
    await full.process.prints(/full\n/);
    for (let round = 0; round < 20; round++) {
      const all = await Promise.all(Array.from({ length: 5 }, () => ask(mode, socket.port)));
      assertEquals(new Set(all), new Set([`${other.process.pid}`]));
    }
    await eventually(async () => (await full.statistics()).errors > 0, { what: "FD exhaustion" });
    assertEquals((await full.statistics()).rejected, 0);
  });
}

Deno.test("serveHttp() survives repeated FD exhaustion, without a leak and with its connections", async () => {
  const socket = inetSocket();
  await using server = await start("http", socket);
  closeFd(socket.fd);
  const { process } = server, { port } = socket, pid = `${process.pid}`;
  using kept = await HttpClient.connect(port);
  assertEquals((await kept.get("/")).body, pid);
  const descriptors = () => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  const threads = () => [...Deno.readDirSync(`/proc/${pid}/task`)].length;
  let before = 0, threadsBefore = 0;
  for (let round = 0; round < 10; round++) {
    const { errors } = await server.statistics();
    process.signal("SIGUSR2");
    await process.prints(/full\n/);
    const waiting = ask("http", port);
    await eventually(async () => (await server.statistics()).errors > errors, { what: "an error" });
    assertEquals((await kept.get("/")).body, pid);
    process.signal("SIGIO");
    await process.prints(/free\n/);
    assert([pid, "503 close"].includes(await waiting));
    await eventually(async () => await ask("http", port) === pid, { what: "an answer" });
    assertEquals((await kept.get("/")).body, pid);
    if (round === 1) [before, threadsBefore] = [descriptors(), threads()];
  }
  await eventually(() => descriptors() <= before, { what: "descriptors to be closed" });
  assertGreater(before, 10);
  assertLess(threads(), threadsBefore + 2);
});

/** Sets the limit of open files of a process that runs. */
async function limitOpenFiles(pid: number, count: number): Promise<void> {
  const limit = new Deno.Command("prlimit", { args: [`--pid=${pid}`, `--nofile=${count}:`] });
  assert((await limit.output()).success);
}

for (const kind of ["inet", "unix"] as const) {
  Deno.test(`serveNode() serves again after it had no descriptors for its clients (${kind})`, async () => {
    using dir = new TempDir();
    const socket = kind === "inet" ? inetSocket() : unixSocket(dir.file("socket"));
    await using server = await start("serveNode", socket);
    closeFd(socket.fd);
    const { pid } = server.process;
    const target = "path" in socket.addr ? socket.addr.path : socket.addr.port;
    const open = async () => (await server.statistics()).open;
    for (let round = 1; round <= 3; round++) {
      {
        using first = await HttpClient.connect(target);
        assertEquals((await first.get("/")).body, `${pid}`);
      }
      await eventually(async () => await open() === 0, { what: "its end" });
      const used = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
      await limitOpenFiles(pid, used + 6);
      const clients = await Promise.all(
        Array.from({ length: 12 }, () => HttpClient.connect(target)),
      );
      await server.process.complains(/Cannot accept a connection: .*EMFILE/);
      clients.forEach((client) => client[Symbol.dispose]());
      await limitOpenFiles(pid, 70);
      assertGreater((await server.statistics()).errors, round - 1);
    }
    const since = performance.now();
    using last = await HttpClient.connect(target);
    assertEquals((await last.get("/")).body, `${pid}`);
    assertLess(performance.now() - since, GOES_ON_MS);
  });
}
