import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import {
  createSecureServer as createSecureHttp2Server,
  createServer as createHttp2Server,
} from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Server } from "node:net";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { acceptStatistics } from "../../../src/server/listen/accept_counts.ts";
import { listenByHandle } from "../../../src/server/listen/node_handle.ts";
import { TempDir } from "../../support/temp.ts";
import { TEST_CERT, TEST_KEY } from "../../support/tls.ts";
import { eventually, within } from "../../support/wait.ts";
import { HttpClient } from "../http_client.ts";
import { connectTo, inetSocket, type ServiceSocket, unixSocket } from "../service_sockets.ts";

/** Listens, and waits for the event of it. */
async function listening(server: Server, { fd, addr }: ServiceSocket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.once("listening", resolve);
  const address = "path" in addr
    ? { kind: "unix" as const, path: addr.path }
    : { kind: "inet" as const, hostname: addr.hostname, port: addr.port };
  assert(listenByHandle(server, fd, { address, shared: false }));
  assert(server.listening);
  await within(promise, { what: "listening" });
}

/** Closes a server; fulfilled when its last connection is closed. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve, reject) =>
    server.close((error) => error ? reject(error) : resolve())
  );
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

for (const kind of ["inet", "unix"] as const) {
  Deno.test(`listenByHandle() makes a server of node:net listen as it does by itself (${kind})`, async () => {
    using dir = new TempDir();
    const socket = kind === "inet" ? inetSocket() : unixSocket(dir.file("socket"));
    const server = createServer({ allowHalfOpen: true }, (peer) => peer.pipe(peer));
    await listening(server, socket);
    const expected = "path" in socket.addr
      ? socket.addr.path
      : { address: socket.addr.hostname, port: socket.addr.port, family: "IPv4" };
    assertEquals(server.address(), expected);
    using conn = await connectTo(socket);
    await conn.write(new TextEncoder().encode("hello"));
    await conn.closeWrite();
    assertEquals(await new Response(conn.readable).text(), "hello");
    await eventually(async () => await connections(server) === 0, { what: "its end" });

    using kept = await connectTo(socket);
    await eventually(async () => await connections(server) === 1, { what: "a connection" });
    let isClosed = false;
    const end = closed(server).then(() => isClosed = true);
    assertEquals([server.listening, server.address() !== null], [false, kind === "unix"]);
    await assertRejects(() => connectTo(socket), Deno.errors.ConnectionRefused);
    assertEquals(isClosed, false);
    await kept.closeWrite();
    await within(end, { what: "the end of the server" });
    assertEquals(acceptStatistics().at(-1)?.accepted, 2);
  });
}

Deno.test("listenByHandle() keeps to the limit of connections of its server", async () => {
  const socket = inetSocket();
  const server = createServer((peer) => peer.resume());
  server.maxConnections = 1;
  await listening(server, socket);
  using first = await connectTo(socket);
  await eventually(async () => await connections(server) === 1, { what: "a connection" });
  using conn = await connectTo(socket);
  assertEquals(await new Response(conn.readable).text().catch(() => ""), "");
  assertEquals(await connections(server), 1);
  await first.closeWrite();
  await closed(server);
});

Deno.test("listenByHandle() serves HTTP, and HTTP over TLS", async () => {
  const answer: RequestListener = ({ url }, response) => response.end(`got ${url}`);
  const plain = inetSocket(), secure = inetSocket();
  const http = createHttpServer(answer);
  const https = createHttpsServer({ cert: TEST_CERT, key: TEST_KEY }, answer);
  await listening(http, plain);
  await listening(https, secure);
  {
    using client = await HttpClient.connect(plain.port);
    assertEquals((await client.get("/a")).body, "got /a");
    assertEquals((await client.get("/b")).body, "got /b");
  }
  using client = Deno.createHttpClient({ caCerts: [TEST_CERT] });
  const response = await fetch(`https://localhost:${secure.port}/c`, { client });
  assertEquals(await response.text(), "got /c");
  https.closeAllConnections();
  await Promise.all([closed(http), closed(https)]);
});

Deno.test("listenByHandle() leaves servers of node:http2 to the runtime's own handle", () => {
  const socket = inetSocket();
  const address = { kind: "inet", hostname: "127.0.0.1", port: 1 } as const;
  for (const server of [createHttp2Server(), createSecureHttp2Server()]) {
    assertEquals(listenByHandle(server, socket.fd, { address, shared: false }), undefined);
    assertEquals(server.listening, false);
  }
  closeFd(socket.fd);
});

Deno.test("listenByHandle() does not change a server that listens already", async () => {
  const socket = inetSocket(), other = inetSocket();
  const server = createServer();
  await listening(server, socket);
  const address = { kind: "inet" as const, hostname: "127.0.0.1", port: other.port };
  assertEquals(listenByHandle(server, other.fd, { address, shared: false }), undefined);
  await closed(server);
  closeFd(other.fd);
});
