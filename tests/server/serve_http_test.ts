import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { socketPair } from "../../src/os/net/socket.ts";
import { serveHttp } from "../../src/server/serve_http.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction, withOpenFileLimit } from "../support/processes.ts";
import { within } from "../support/wait.ts";
import { type HttpTestServer, startHttpServer } from "./http_server.ts";
import { connectRaw } from "./raw_client.ts";

/** A server whose handlers do what the path says, and print that they have begun. */
async function commanded(address: string): Promise<void> {
  const { coroutineServerMain, serveHttp } = await import("../../coroutine_server.ts");
  const held = Promise.withResolvers<void>();
  const stopping = Promise.withResolvers<void>();
  let holding = 0, stoppingAtMs = 0;
  const commands: Record<string, (request: Request) => Response | Promise<Response>> = {
    "/": () => new Response(`pid ${Deno.pid}`),
    async "/length"(request) {
      return new Response(`${(await request.arrayBuffer()).byteLength} bytes`);
    },
    "/echo": (request) => new Response(request.body),
    async "/late"(request) {
      await stopping.promise;
      return new Response(`${(await request.arrayBuffer()).byteLength} bytes`);
    },
    async "/hold"() {
      console.log("holding", ++holding);
      await held.promise;
      return new Response("released");
    },
    "/release"() {
      held.resolve();
      return new Response("releasing");
    },
    "/throw"() {
      throw new Error("a fault in a handler");
    },
    async "/reject"() {
      await Promise.resolve();
      throw new TypeError("a later fault");
    },
    "/socket"(request) {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(`your input: ${data}`);
      return response;
    },
    "/redirect": () => Response.redirect("http://test/elsewhere"),
  };
  const code = await coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      serveHttp(fd, fdType, (request) => {
        const { pathname } = new URL(request.url);
        if (request.method === "POST") console.log("begun", pathname);
        return commands[pathname](request);
      });
      console.log("serving");
      Deno.addSignalListener("SIGUSR2", () => {
        console.log("busy");
        for (const end = performance.now() + 1300; performance.now() < end;);
      });
    },
    beforeSoftstop() {
      stoppingAtMs = performance.now();
      console.log("stopping");
      stopping.resolve();
    },
  }, ["alone", "-server-service", address]);
  console.log(`ended ${Math.round(performance.now() - stoppingAtMs)} ms later`);
  Deno.exit(code);
}

type Options = { readonly unix?: boolean; readonly prefix?: readonly string[] };

function start({ unix, prefix }: Options = {}): Promise<HttpTestServer> {
  return startHttpServer(
    ({ address }) => startFunction(import.meta, commanded, { arg: address, prefix }),
    { unix },
  );
}

/** The whole life of a server, of which the test is a part. */
function test(
  text: string,
  body: (server: HttpTestServer) => Promise<void>,
  options?: Options,
): void {
  Deno.test(`serveHttp() ${text}`, async () => {
    await using server = await start(options);
    await body(server);
  });
}

const UPLOAD = new Uint8Array(100 * 1024).fill(120);

for (const unix of [false, true]) {
  test(`answers many requests on a connection (${unix ? "unix" : "inet"})`, async (server) => {
    using client = await server.connect();
    for (let i = 0; i < 10; i++) {
      const { status, headers, body } = await client.get("/");
      assertEquals([status, body], [200, `pid ${server.process.pid}`]);
      assertEquals(headers.get("connection"), undefined);
    }
    await client.post("/length", UPLOAD.length);
    await client.send(UPLOAD);
    assertEquals((await client.answer()).body, `${UPLOAD.length} bytes`);
    await client.post("/echo", 5);
    await client.send("12345");
    assertEquals((await client.answer()).body, "12345");
    // Not even the address of the throw-away listener.
    assertMatch(server.process.stdout, /^serving\n(begun .*\n){2}$/);
    assertEquals(server.process.stderr, "");
  }, { unix });
}

test("closes idle connections at the stop, and ends", async (server) => {
  using client = await server.connect();
  assertEquals((await client.get("/")).status, 200);
  await server.softstop();
  await client.ended();
  await server.process.succeeds();
});

for (const unix of [false, true]) {
  test(
    `gives its socket up at the stop, whatever it still answers (${unix ? "unix" : "inet"})`,
    async (server) => {
      using slow = await server.connect(), other = await server.connect();
      await slow.request("/hold");
      await server.process.prints(/holding 1\n/);
      await server.softstop();
      await assertRejects(
        () => server.connect(),
        unix ? Deno.errors.NotFound : Deno.errors.ConnectionRefused,
      );
      assertEquals((await other.get("/release")).body, "releasing");
      assertEquals((await slow.answer()).body, "released");
      await server.process.succeeds();
    },
    { unix },
  );
}

test("answers requests of many connections at the same time", async (server) => {
  const clients = await Promise.all(Array.from({ length: 100 }, () => server.connect()));
  await Promise.all(clients.map((client) => client.request("/hold")));
  await server.process.prints(/holding 100\n/);
  using other = await server.connect();
  assertEquals((await other.get("/release")).body, "releasing");
  for (const client of clients) {
    assertEquals((await client.answer()).body, "released");
    client[Symbol.dispose]();
  }
});

test("answers 500 for a handler that fails, logs its stack, and goes on", async (server) => {
  using client = await server.connect();
  for (
    const [path, line] of [
      ["/throw", /error while answering a request: Error: a fault in a handler\n +at /],
      ["/reject", /error while answering a request: TypeError: a later fault\n +at /],
      ["/no_such_command", /error while answering a request: TypeError: .*\n +at /],
    ] as const
  ) {
    const { status, body } = await client.get(path);
    assertEquals([status, body], [500, "Internal Server Error"]);
    await server.process.complains(line);
  }
  assertEquals((await client.get("/")).status, 200);
});

test("answers the requests under way at the stop, and then ends", async (server) => {
  using client = await server.connect();
  using other = await server.connect();
  assertEquals((await other.get("/")).status, 200);
  await client.request("/hold");
  await server.process.prints(/holding 1\n/);
  await server.softstop();
  const { status, headers, body } = await other.get("/release");
  assertEquals([status, headers.get("connection"), body], [200, "close", "releasing"]);
  const released = await client.answer();
  assertEquals([released.headers.get("connection"), released.body], ["close", "released"]);
  await client.ended();
  await server.process.succeeds();
  assertEquals(server.process.stderr, "");
});

test("tells clients to close after the stop, whatever the answer is like", async (server) => {
  const paths = ["/redirect", "/throw", "/echo", "/"];
  const clients = await Promise.all(paths.map(() => server.connect()));
  for (const client of clients) assertEquals((await client.get("/")).status, 200);
  await server.softstop();
  for (const [index, client] of clients.entries()) {
    const { headers } = await client.get(paths[index]);
    assertEquals(headers.get("connection"), "close", paths[index]);
    client[Symbol.dispose]();
  }
  await server.process.succeeds();
});

test("takes the whole of the uploads that are under way at the stop", async (server) => {
  const half = UPLOAD.length / 2;
  const uploads = [];
  // Read at once, handed through unread, and read only after the stop.
  for (const path of ["/length", "/echo", "/late", "/length", "/echo", "/late"]) {
    const client = await server.connect();
    await client.post(path, UPLOAD.length);
    await server.process.prints(/begun/);
    await client.send(UPLOAD.subarray(0, half));
    uploads.push({ path, client });
  }
  await server.softstop();
  // Longer than the pause after which the others are taken for idle.
  await new Promise((resolve) => setTimeout(resolve, 1300));
  for (const { client } of uploads) await client.send(UPLOAD.subarray(half));
  for (const { path, client } of uploads) {
    const { status, headers, body } = await client.answer();
    assertEquals([status, headers.get("connection")], [200, "close"], path);
    const expected = path === "/echo" ? "x".repeat(UPLOAD.length) : `${UPLOAD.length} bytes`;
    assert(body === expected, `${path}: ${body.slice(0, 100)}`);
    client[Symbol.dispose]();
  }
  await server.process.succeeds();
  assertEquals(server.process.stderr, "");
});

test("answers the first request of a connection that was accepted before the stop", async (server) => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
  // An answer on the last one shows that all before it are accepted.
  assertEquals((await clients[19].get("/")).status, 200);
  await server.softstop();
  for (const client of clients) {
    assertEquals((await client.get("/")).headers.get("connection"), "close");
    client[Symbol.dispose]();
  }
  await server.process.succeeds();
});

test("survives connections that are reset while they wait", async (server) => {
  server.process.signal("SIGSTOP");
  for (let i = 0; i < 200; i++) connectRaw(server.target as number).reset();
  server.process.signal("SIGCONT");
  using client = await server.connect();
  assertEquals((await client.get("/")).status, 200);
});

test("goes on after a lack of descriptors, with the connections that it has", async (server) => {
  using kept = await server.connect();
  assertEquals((await kept.get("/")).status, 200);
  using uploading = await server.connect();
  await uploading.post("/length", UPLOAD.length);
  await server.process.prints(/begun/);
  const line = /Too many open files.*accepting goes on after a pause/;
  const since = performance.now(), complained = server.process.complains(line);
  const others = await Promise.all(Array.from({ length: 80 }, () => server.connect()));
  await complained;
  await server.process.complains(line);
  assertGreater(performance.now() - since, 1_000, "two lines in less than a second");
  const { status, headers } = await kept.get("/");
  assertEquals([status, headers.get("connection")], [200, undefined]);

  for (const other of others) other[Symbol.dispose]();
  for (let i = 0; i < 20; i++) {
    using client = await server.connect();
    assertEquals((await client.get("/")).status, 200);
  }
  await uploading.send(UPLOAD);
  assertEquals((await uploading.answer()).body, `${UPLOAD.length} bytes`);
  await uploading.request("/hold");
  await server.process.prints(/holding 1\n/);
  await server.softstop();
  await assertRejects(() => server.connect(), Deno.errors.ConnectionRefused);
  assertEquals((await kept.get("/")).headers.get("connection"), "close");
  await kept.ended();
}, { prefix: withOpenFileLimit(70) });

Deno.test("serveHttp() keeps a WebSocket after the stop, until its server ends", async () => {
  await using server = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${server.target}/socket`);
  const event = <K extends "open" | "message">(name: K) =>
    within(
      new Promise<MessageEvent>((resolve) => {
        socket.addEventListener(name, (event) => resolve(event as MessageEvent), { once: true });
      }),
      { what: name },
    );
  await event("open");
  await server.softstop();
  // Longer than a connection may be quiet.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  socket.send("hello");
  assertEquals((await event("message")).data, "your input: hello");
  const closed = new Promise((resolve) => socket.onclose = resolve);
  server.process.signal("SIGTERM");
  await within(closed, { what: "the end of the socket" });
  assertEquals((await server.process.ended()).code, 0);
});

for (const unix of [false, true]) {
  const kind = unix ? "unix" : "inet";
  test(`ends at the stop when its WebSockets are gone (${kind})`, async (server) => {
    using socket = await server.connect();
    await socket.send(
      "GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assertEquals((await socket.answer()).status, 101);
    await server.softstop();
    socket[Symbol.dispose]();
    // Far less than the 30 s that it may take.
    await server.process.succeeds();
  }, { unix });
}

test("closes idle connections at the stop when the WebSockets beside them are gone", async (server) => {
  using idle = await server.connect();
  assertEquals((await idle.get("/")).status, 200);
  const socket = new WebSocket(`ws://127.0.0.1:${server.target}/socket`);
  const opened = new Promise((resolve) => socket.onopen = resolve);
  await within(opened, { what: "a WebSocket" });
  await server.softstop();
  const closed = new Promise((resolve) => socket.onclose = resolve);
  socket.close();
  await within(closed, { what: "the end of the socket" });
  await idle.ended();
  await server.process.succeeds();
});

test("ends at the stop at once when no client is there", async (server) => {
  using client = await server.connect();
  assertEquals((await client.get("/")).status, 200);
  client[Symbol.dispose]();
  await server.softstop();
  // By its own clock: a busy machine delays the end of a process.
  const [, ms] = await server.process.prints(/ended (\d+) ms later\n/);
  await server.process.succeeds();
  // Less than the pause after which a connection is taken for idle.
  assertLess(Number(ms), 900);
});

test("answers the requests at the stop that arrived while it was busy", async (server) => {
  using client = await server.connect();
  assertEquals((await client.get("/")).status, 200);
  await server.softstop();
  // Now it is busy for longer than a connection may be quiet.
  server.process.signal("SIGUSR2");
  await server.process.prints(/busy\n/);
  await client.request("/");
  assertEquals((await client.answer()).headers.get("connection"), "close");
  await server.process.succeeds();
});

Deno.test("serveHttp() after the stop accepts nothing, and its server ends", async () => {
  await using child = startFunction(import.meta, async () => {
    const { serverLifecycle } = await import("../../src/server/lifecycle/lifecycle.ts");
    const { serveHttp } = await import("../../src/server/serve_http.ts");
    const { inetSocket } = await import("./service_sockets.ts");
    serverLifecycle.stopNotify(0);
    serveHttp(inetSocket().fd, "inet", () => new Response());
  });
  // The process ends when nothing is left that listens.
  await child.succeeds();
});

Deno.test("serveHttp() refuses a descriptor that is no listening socket, and leaves it open", () =>
  leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const handler = () => new Response();
    assertThrows(() => serveHttp(one, "fifo", handler), TypeError, "a fifo, expected");
    assertThrows(() => serveHttp(one, "inet", handler), TypeError, "expected a listening");
    closeFd(one);
    closeFd(two);
  }));
