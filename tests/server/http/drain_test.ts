/** How servers of HTTP come to their end: no request is lost, and no client waits in vain. */
import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { startDeno } from "../../support/processes.ts";
import { testCertificate } from "../../support/tls.ts";
import { eventually, within } from "../../support/wait.ts";
import { Http2Client } from "../http2_client.ts";
import { type HttpTestServer, startHttpServer } from "../http_server.ts";
import { startLateRelay } from "../late_relay.ts";

const PROGRAM = new URL("../../support/servers/draining.ts", import.meta.url).pathname;

/** What serves, and on what. */
interface Mode {
  readonly how: string;
  readonly unix?: boolean;
  readonly tls?: boolean;
}

function start(
  { how, unix, tls }: Mode,
  settings: readonly string[] = [],
): Promise<HttpTestServer> {
  return startHttpServer(({ dir, address }) => {
    const { certFile, keyFile } = tls ? testCertificate(dir) : { certFile: "-", keyFile: "-" };
    const args = [how, certFile, keyFile, "alone", "-server-service", address, ...settings];
    return startDeno(["run", "-A", "--no-check", PROGRAM, ...args]);
  }, { unix });
}

const modeText = ({ how, unix, tls }: Mode) => `${how}, ${unix ? "unix" : tls ? "TLS" : "TCP"}`;

const KINDS: readonly Omit<Mode, "how">[] = [{}, { unix: true }, { tls: true }];

/** Tests a server on each kind of connection, all at the same time: most of it is waiting. */
function testKinds(how: string, text: string, body: (mode: Mode) => Promise<void>): void {
  Deno.test(`${text} (${how}: TCP, unix, TLS)`, async () => {
    await Promise.all(KINDS.map(async (kind) => {
      const mode = { how, ...kind };
      try {
        await body(mode);
      } catch (cause) {
        throw new Error(`${modeText(mode)}: ${(cause as Error).message}`, { cause });
      }
    }));
  });
}

/** Waits for a time to pass in which something must not happen. */
const pass = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

for (const how of ["serveHttp", "blind", "serveNode", "withoutFfi"]) {
  testKinds(
    how,
    "a connection is closed after its last answer, and a request that has begun before the stop is answered, however slowly it comes",
    async (mode) => {
      const { tls } = mode;
      await using server = await start(mode);
      const clients = await Promise.all(Array.from({ length: 8 }, () => server.connect({ tls })));
      // A request that has begun holds the drain for as long as the client takes for it.
      using paused = await server.connect({ tls }), trickling = await server.connect({ tls });
      for (const client of [...clients, paused]) assertEquals((await client.get("/")).status, 200);
      await paused.send("GET / HTTP/1.1\r\nHo");
      await trickling.send("G");
      // Another one shows that the server has read what has come.
      using other = await server.connect({ tls });
      assertEquals((await other.get("/")).status, 200);
      await server.softstop();
      const since = performance.now();
      await Promise.all(clients.map(async (client) => {
        const { status, headers } = await client.get("/");
        assertEquals([status, headers.get("connection")], [200, "close"]);
        await client.ended();
        client[Symbol.dispose]();
      }));
      assertLess(performance.now() - since, 4_000);
      for (const piece of "ET / HTTP/1.1\r\nX:") {
        await trickling.send(piece);
        // For longer, in all, than an idle connection is kept.
        await pass(200);
      }
      await paused.send("st: test\r\n\r\n");
      await trickling.send("x\r\nHost: test\r\n\r\n");
      for (const client of [paused, trickling]) {
        const { status, headers } = await client.answer();
        assertEquals([status, headers.get("connection")], [200, "close"]);
        await client.ended();
      }
      await server.process.succeeds();
      assertEquals(server.process.stderr, "");
    },
  );
}

testKinds(
  "slowBlind",
  "a request that comes after the stop has its answer, however long it takes",
  async (mode) => {
    const { tls } = mode;
    await using server = await start(mode);
    const clients = await Promise.all(Array.from({ length: 3 }, () => server.connect({ tls })));
    for (const client of clients) assertEquals((await client.get("/")).status, 200);
    await server.softstop();
    for (const client of clients) {
      const { status, headers } = await client.get("/");
      assertEquals([status, headers.get("connection")], [200, "close"]);
      client[Symbol.dispose]();
    }
    await server.process.succeeds();
  },
);

/** Servers of HTTP/2, and for each of two clients whether it sends a host field. */
const HTTP2_MODES: readonly (Mode & { readonly haveHost: readonly [boolean, boolean] })[] = [
  { how: "serveHttp", tls: true, haveHost: [false, true] },
  { how: "serveHttp", haveHost: [true, true] },
  { how: "serveHttp", unix: true, haveHost: [true, true] },
  { how: "blind", tls: true, haveHost: [true, true] },
  { how: "blind", unix: true, haveHost: [true, true] },
];

for (const { how, unix, tls = false, haveHost } of HTTP2_MODES) {
  const text = modeText({ how, unix, tls });
  const headersOf = (client: number): Record<string, string> =>
    haveHost[client] ? { host: "test" } : {};

  // A client that is slow, or on a busy machine, sends its next requests only after a while, all at once.
  for (const lateMs of [0, 230]) {
    // The client connects to a unix socket through the relay.
    if (unix && lateMs === 0) continue;
    Deno.test(`no request over HTTP/2 of ${lateMs > 0 ? "slow" : "busy"} clients of node is lost at the stop, nor one with a slow answer (${text})`, async () => {
      await using server = await start({ how, unix, tls });
      using relay = lateMs > 0 ? startLateRelay(server.target, lateMs) : undefined;
      const port = relay?.port ?? Number(server.target);
      await using first = await Http2Client.connect(port, { tls });
      // Half a turn of the relay later: the clients never ask at the same time.
      await pass(lateMs / 2);
      await using second = await Http2Client.connect(port, { tls });
      const count = { answered: 0, failed: 0 };
      const asking = [first, second].flatMap((session, client) =>
        Array.from({ length: 8 }, (_, index) => {
          return session.askOn(`/pause/${10 + 5 * index}`, count, { headers: headersOf(client) });
        })
      );
      await eventually(() => count.answered >= 100, { what: "answers" });
      // Beside them, slow answers: under way at the stop, and asked for after it; one ends after the other.
      const hasSlow = how !== "blind" && lateMs === 0;
      await using session = hasSlow ? await Http2Client.connect(port, { tls }) : undefined;
      const ask = (way: string, count: number, ms: number) =>
        session === undefined ? [] : Array.from(
          { length: count },
          (_, index) =>
            session.ask(`/${way}/${ms + 20 * index}`, { headers: headersOf(index % 2) }),
        );
      const before = ask("after", 20, 1_500);
      if (hasSlow) await server.process.prints(/(begun .*\n){20}/);
      await server.softstop();
      const slow = [...before, ...ask("pause", 10, 1_600)];
      assertEquals((await Promise.all(slow)).filter((text) => text === "").length, 0);
      await server.process.succeeds();
      await Promise.all(asking);
      assertEquals(count.failed, 0);
      if (hasSlow) assertEquals(server.process.stderr, "");
    });
  }
}

for (const how of ["serveHttp", "serveNode", "withoutFfi"]) {
  Deno.test(`clients that do not finish their TLS handshake do not hold the end (${how})`, async () => {
    await using server = await start({ how, tls: true });
    const port = Number(server.target);
    const clients = await Promise.all(
      Array.from({ length: 3 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    // Nothing, the beginning of a hello, and a hello without what follows.
    await clients[1].write(new Uint8Array([0x16, 0x03, 0x01]));
    using other = await server.connect({ tls: true });
    assertEquals((await other.get("/")).status, 200);
    const since = performance.now();
    await server.softstop();
    await server.process.succeeds();
    assertLess(performance.now() - since, 8_000);
    clients.forEach((client) => client.close());
  });
}

for (const how of ["serveHttp", "serveNode", "withoutFfi"]) {
  Deno.test(`a stream of events, and a WebSocket, end in good order before the server does (${how})`, async () => {
    await using server = await start({ how }, ["-server-stop-on-softstop-after", "3"]);
    const response = await fetch(`http://127.0.0.1:${server.target}/events`);
    const reader = response.body!.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "data: tick\n\n");
    const hasSocket = how === "serveHttp";
    const socket = hasSocket ? await openWebSocket(server) : undefined;
    await server.softstop();
    assertMatch(server.process.stdout, hasSocket ? /open 2 1 1\n/ : /open 1 0 1\n/);
    const ended = async () => {
      while (!(await reader.read()).done);
    };
    // A stream that is cut is an error.
    await within(ended(), { what: "the end of the stream" });
    if (socket !== undefined) {
      const { code, wasClean } = await within(socket.end, { what: "the close frame" });
      assertEquals([code, wasClean], [1001, true]);
    }
    await server.process.succeeds();
  });
}

/** Opens a WebSocket. Its end is a promise in an object, which `await` does not wait for. */
async function openWebSocket({ target }: HttpTestServer): Promise<{ end: Promise<CloseEvent> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${target}/socket`);
  await within(new Promise((resolve) => socket.onopen = resolve), { what: "a WebSocket" });
  return { end: new Promise((resolve) => socket.onclose = resolve) };
}

Deno.test("a WebSocket is closed in good order by a server that is to end at once", async () => {
  await using server = await start({ how: "serveHttp" });
  const { end } = await openWebSocket(server);
  await server.softstop();
  server.process.signal("SIGTERM");
  assertEquals((await within(end, { what: "the close frame" })).code, 1001);
  await server.process.succeeds();
});

for (const tls of [false, true]) {
  Deno.test(`a WebSocket of a server of node is closed in good order before its server ends (${tls ? "TLS" : "TCP"})`, async () => {
    await using server = await start(
      { how: "serveNode", tls },
      ["-server-stop-on-softstop-after", "3"],
    );
    using client = await server.connect({ tls });
    await client.send(
      "GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assertEquals((await client.answer()).status, 101);
    await server.softstop();
    assertMatch(server.process.stdout, /open 1 1 0\n/);
    // The server goes away: 1001 (RFC 6455, section 7.4.1).
    assertEquals(await client.rest(), [0x88, 0x02, 0x03, 0xe9]);
    await server.process.succeeds();
  });
}

Deno.test("a server of node:http2 answers the requests under way after the stop, and sends GOAWAY", async () => {
  await using server = await start({ how: "http2", tls: true });
  await using session = await Http2Client.connect(Number(server.target));
  const answers = Array.from({ length: 10 }, (_, i) => session.ask(`/after/${1_500 + 20 * i}`));
  await server.process.prints(/(begun .*\n){10}/);
  await server.softstop();
  await session.goaway;
  assertEquals((await Promise.all(answers)).filter((text) => text === "").length, 0);
  await server.process.succeeds();
});

Deno.test("clients of HTTP/1.0 and of the end of the connection are served at the stop", async () => {
  await using server = await start({ how: "serveHttp" });
  const requests = [
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    // Two at once: the first answer is the last one.
    "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2),
  ];
  const clients = await Promise.all(requests.map(() => server.connect()));
  using held = await server.connect();
  await held.request("/hold");
  await server.process.prints(/begun/);
  await server.softstop();
  for (const [index, client] of clients.entries()) {
    await client.send(requests[index]);
    const text = String.fromCharCode(...await client.rest());
    assertMatch(text, /^HTTP\/1\.[01] 200 OK\r\n[^]*\r\n\r\n(1\r\n)?\//, requests[index]);
    assertEquals(/connection: keep-alive/i.test(text), false, text);
    if (index > 0) assertMatch(text, /connection: close/i, requests[index]);
    client[Symbol.dispose]();
  }
  server.process.signal("SIGTERM");
  await server.process.succeeds();
});
