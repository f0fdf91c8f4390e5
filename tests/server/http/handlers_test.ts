import { assert, assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";
import { testCertificate } from "../../support/tls.ts";
import { Http2Client } from "../http2_client.ts";
import { HttpClient } from "../http_client.ts";
import { type HttpTestServer, startHttpServer } from "../http_server.ts";

Deno.test("serveHttp() goes by a handler's number of parameters, as Deno.serve does", async () => {
  await using child = startFunction(import.meta, async () => {
    const { serveHttp } = await import("../../../src/server/serve_http.ts");
    const { inetSocket } = await import("../service_sockets.ts");
    type Handler = Parameters<typeof serveHttp>[2];
    const answer = (...given: unknown[]) =>
      new Response(given.map((one) => (one as object | undefined)?.constructor.name).join(" "));
    const handlers = {
      request: (request: Request) => answer(request),
      both: (request: Request, info: Deno.ServeHandlerInfo) => answer(request, info),
      rest: (...given: unknown[]) => answer(...given),
      defaults: (request: unknown = "none", info: unknown = "none") => answer(request, info),
      bound: ((_: string, request: Request) => answer(request)).bind(null, "first"),
      nothing: () => answer(),
    };
    for (const [name, handler] of Object.entries(handlers)) {
      const { fd, port } = inetSocket();
      const native = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen() {} },
        handler as Handler,
      );
      serveHttp(fd, "inet", handler as Handler);
      console.log(`handler ${name} ${native.addr.port} ${port}`);
    }
    console.log("all");
  });
  await child.prints(/all\n/);
  const answers: Record<string, string> = {};
  for (const [, name, ...ports] of child.stdout.matchAll(/handler (\w+) (\d+) (\d+)/g)) {
    const [native, ours] = await Promise.all(ports.map(async (port) => {
      using client = await HttpClient.connect(Number(port));
      return (await client.get("/")).body;
    }));
    assertEquals(ours, native, name);
    answers[name] = ours;
  }
  assertEquals(answers.both, "Request ServeHandlerInfo");
  assertEquals(answers.rest, "");
});

/** What {@linkcode withoutParameters} serves: the address, whether it waits for the stop, and TLS. */
type Served = { readonly address: string; readonly holds: boolean; readonly tls: string[] };

/** A server whose handler takes nothing. */
async function withoutParameters({ address, holds, tls }: Served): Promise<void> {
  const { coroutineServerMain, serveHttp } = await import("../../../coroutine_server.ts");
  const stopping = Promise.withResolvers<void>();
  let holding = 0;
  const handler = holds
    ? async () => {
      console.log("holding", ++holding);
      await stopping.promise;
      await new Promise((resolve) => setTimeout(resolve, 1_300));
      return new Response("released");
    }
    : () => new Response("at once");
  const [certFile, keyFile] = tls;
  const options = certFile === undefined ? {} : { tls: { certFile, keyFile } };
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        serveHttp(fd, fdType, handler, options);
        console.log("serving");
      },
      beforeSoftstop() {
        console.log("stopping");
        stopping.resolve();
      },
    }, ["alone", "-server-service", address]),
  );
}

interface Options {
  readonly holds?: boolean;
  readonly unix?: boolean;
  readonly tls?: boolean;
}

function start({ holds = false, unix, tls = false }: Options): Promise<HttpTestServer> {
  return startHttpServer(({ dir, address }) => {
    const { certFile, keyFile } = testCertificate(dir);
    const arg = { address, holds, tls: tls ? [certFile, keyFile] : [] };
    return startFunction(import.meta, withoutParameters, { arg });
  }, { unix });
}

for (const unix of [false, true]) {
  const kind = unix ? "unix" : "inet";

  Deno.test(`serveHttp() with a handler without parameters loses no request at the stop (${kind})`, async () => {
    await using server = await start({ unix });
    let answered = 0;
    const asking = Promise.all(Array.from({ length: 8 }, async () => {
      using client = await HttpClient.connect(server.target);
      for (;;) {
        const { status, headers, body } = await client.get("/");
        assertEquals([status, body], [200, "at once"]);
        answered++;
        if (headers.get("connection") === "close") break;
      }
      await client.ended();
    }));
    while (answered < 100) await new Promise((resolve) => setTimeout(resolve, 0));
    await server.softstop();
    await asking;
    await server.process.succeeds();
    assertEquals(server.process.stderr, "");
  });

  Deno.test(`serveHttp() with a handler without parameters closes idle connections at the stop (${kind})`, async () => {
    await using server = await start({ unix });
    using client = await HttpClient.connect(server.target);
    assertEquals((await client.get("/")).status, 200);
    await server.softstop();
    await client.ended();
    await server.process.succeeds();
  });
}

Deno.test("serveHttp() with a handler without parameters takes requests with a body", async () => {
  await using server = await start({});
  using client = await HttpClient.connect(server.target);
  for (let i = 0; i < 3; i++) {
    // In one piece: data after the response ends the connection, since it is not read.
    await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n12345");
    assertEquals((await client.answer()).body, "at once");
  }
});

Deno.test("serveHttp() with a handler without parameters answers the requests under way at the stop", async () => {
  await using server = await start({ holds: true });
  using asking = await HttpClient.connect(server.target);
  await asking.request("/");
  await server.process.prints(/holding 1\n/);
  using uploading = await HttpClient.connect(server.target);
  await uploading.post("/", 100_000);
  await uploading.send(new Uint8Array(50_000));
  await server.process.prints(/holding 2\n/);
  await server.softstop();
  await uploading.send(new Uint8Array(50_000));
  for (const client of [asking, uploading]) {
    const { status, headers, body } = await client.answer();
    assertEquals([status, headers.get("connection"), body], [200, "close", "released"]);
  }
  await server.process.succeeds();
  assertEquals(server.process.stderr, "");
});

Deno.test("serveHttp() with a handler without parameters ends though a client asks over HTTP/2 without a pause", async () => {
  await using server = await start({ tls: true });
  await using session = await Http2Client.connect(Number(server.target));
  assertEquals(await session.ask("/"), "at once");
  const count = { answered: 0, failed: 0 };
  const asking = session.askOn("/", count);
  await server.softstop();
  await server.process.succeeds(8_000);
  await asking;
  assert(count.answered > 0);
  assertEquals(count.failed, 0);
});
