import { assert, assertEquals, assertThrows } from "@std/assert";
import { connect as connectTls } from "node:tls";
import { ConfigError } from "../../../src/config/errors.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { serveHttp } from "../../../src/server/serve_http.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { TEST_CERT, testCertificate } from "../../support/tls.ts";
import { within } from "../../support/wait.ts";
import { Http2Client } from "../http2_client.ts";
import { type HttpTestServer, startHttpServer } from "../http_server.ts";
import { connectRaw } from "../raw_client.ts";
import { inetSocket, unixSocket } from "../service_sockets.ts";

/** A server whose handlers do what the path says. */
async function commanded(arg: string): Promise<void> {
  const { coroutineServerMain, serveHttp } = await import("../../../coroutine_server.ts");
  const [address, certFile, keyFile] = arg.split("|");
  const held = Promise.withResolvers<void>();
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        serveHttp(fd, fdType, async (request) => {
          const { pathname, protocol } = new URL(request.url);
          if (pathname === "/socket") {
            const { socket, response } = Deno.upgradeWebSocket(request);
            socket.onmessage = ({ data }) => socket.send(`your input: ${data}`);
            return response;
          }
          if (pathname === "/hold") {
            console.log("holding");
            await held.promise;
          }
          if (pathname === "/length") {
            console.log("begun");
            return new Response(`${(await request.arrayBuffer()).byteLength} bytes`);
          }
          return new Response(`${protocol} ${pathname}`);
        }, { tls: { certFile, keyFile } });
        console.log("serving");
      },
      beforeSoftstop() {
        console.log("stopping");
        held.resolve();
      },
    }, ["alone", "-server-service", address]),
  );
}

/** Such a server, and its port. */
async function start(): Promise<HttpTestServer & { readonly port: number }> {
  const server = await startHttpServer(({ dir, address }) => {
    const { certFile, keyFile } = testCertificate(dir);
    return startFunction(import.meta, commanded, { arg: [address, certFile, keyFile].join("|") });
  });
  return { ...server, port: Number(server.target) };
}

Deno.test("serveHttp() over TLS speaks HTTP/2 and HTTP/1.1, each as the client wants", async () => {
  await using server = await start();
  for (const alpn of ["h2", "http/1.1"]) {
    using client = Deno.createHttpClient({
      caCerts: [TEST_CERT],
      http1: alpn !== "h2",
      http2: alpn === "h2",
    });
    for (let i = 0; i < 3; i++) {
      const response = await fetch(`https://localhost:${server.port}/${i}`, { client });
      assertEquals(await response.text(), `https: /${i}`);
    }
  }
  const conn = await Deno.connectTls({
    port: server.port,
    hostname: "localhost",
    caCerts: [TEST_CERT],
    alpnProtocols: ["http/1.1", "h2"],
  });
  assert(["h2", "http/1.1"].includes((await conn.handshake()).alpnProtocol ?? ""));
  conn.close();
  await using session = await Http2Client.connect(server.port);
  assertEquals(await session.protocol, "h2");
  const all = Array.from({ length: 50 }, (_, index) => session.ask(`/${index}`));
  assertEquals(await Promise.all(all), all.map((_, index) => `https: /${index}`));
});

Deno.test("serveHttp() over TLS survives clients that speak no TLS or reset", async () => {
  await using server = await start();
  for (let i = 0; i < 50; i++) connectRaw(server.port).reset();
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await plain.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const room = new Uint8Array(100);
  while (await within(plain.read(room), { what: "the end" }).catch(() => null) !== null);
  plain.close();
  await using session = await Http2Client.connect(server.port);
  assertEquals(await session.ask("/"), "https: /");
  assertEquals(server.process.stderr, "");
});

Deno.test("serveHttp() over TLS answers the requests under way at the stop, over HTTP/2 too", async () => {
  await using server = await start();
  await using session = await Http2Client.connect(server.port);
  const holding = session.ask("/hold");
  await server.process.prints(/holding/);
  const finishUpload = session.upload("/length", 1000);
  await server.process.prints(/begun/);
  server.process.signal("SIGTERM");
  await server.process.prints(/stopping/);
  assertEquals(await holding, "https: /hold");
  assertEquals(await session.ask("/after"), "https: /after");
  assertEquals(await finishUpload(), "2000 bytes");
  await server.process.succeeds();
});

Deno.test("serveHttp() over TLS ends though a client asks over HTTP/2 without a pause", async () => {
  await using server = await start();
  await using session = await Http2Client.connect(server.port);
  const count = { answered: 0, failed: 0 };
  const asking = session.askOn("/", count);
  server.process.signal("SIGTERM");
  await server.process.prints(/stopping/);
  await within(server.process.succeeds(), { what: "its end", withinMs: 8_000 });
  await asking;
  assert(count.answered > 0);
  assertEquals(count.failed, 0);
});

Deno.test("serveHttp() over TLS carries WebSockets, and keeps them after the stop", async () => {
  await using server = await start();
  const socket = connectTls({ port: server.port, host: "localhost", ca: TEST_CERT });
  let got = "";
  let changed = Promise.withResolvers<void>();
  socket.on("data", (part) => {
    got += part.toString("latin1");
    changed.resolve();
    changed = Promise.withResolvers();
  });
  const gets = async (text: string) => {
    while (!got.includes(text)) await within(changed.promise, { what: text });
  };
  socket.write(
    "GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
  );
  await gets("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  server.process.signal("SIGTERM");
  await server.process.prints(/stopping/);
  // A text frame whose mask is 0 (RFC 6455, section 5).
  socket.write(new Uint8Array([0x81, 0x85, 0, 0, 0, 0, ...new TextEncoder().encode("hello")]));
  await gets("your input: hello");
  server.process.signal("SIGTERM");
  assertEquals((await server.process.ended()).code, 0);
  socket.destroy();
});

Deno.test("serveHttp() refuses TLS on a unix socket, and without a certificate", () => {
  using dir = new TempDir();
  const handler = () => new Response();
  const inet = inetSocket(), unix = unixSocket(dir.file("socket"));
  const none = { certFile: dir.file("none"), keyFile: dir.file("none") };
  assertThrows(
    () => serveHttp(inet.fd, "inet", handler, { tls: none }),
    ConfigError,
    "no such file",
  );
  const tls = testCertificate(dir);
  assertThrows(() => serveHttp(unix.fd, "unix", handler, { tls }), TypeError, 'expected "inet"');
  closeFd(inet.fd);
  closeFd(unix.fd);
});
