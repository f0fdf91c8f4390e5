import { assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { AdoptError } from "../../../src/os/adopt/listener.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { makeNativeBackend } from "../../../src/server/backend/native.ts";
import { serverLifecycle } from "../../../src/server/lifecycle/lifecycle.ts";
import { serveNode } from "../../../src/server/http/serve_node.ts";
import { handshake, TlsContext } from "../../../src/server/tls/context.ts";
import { openTlsListener, TlsServiceListener } from "../../../src/server/tls/listener.ts";
import { createServer } from "node:net";
import { TempDir } from "../../support/temp.ts";
import { pythonClient, TEST_CERT, testCertificate } from "../../support/tls.ts";
import { ServiceListener } from "../../../src/server/listen/service_listener.ts";
import { eventually, within } from "../../support/wait.ts";
import { connectTo, inetSocket, type ServiceSocket, unixSocket } from "../service_sockets.ts";

function context(dir: TempDir): TlsContext {
  return new TlsContext(testCertificate(dir));
}

const withoutAdoption = makeNativeBackend({
  tlsListener() {
    throw new AdoptError("a step that does not match");
  },
});

Deno.test("TlsServiceListener has something under way until the caller has the connection", async () => {
  const addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;
  const { activity } = serverLifecycle, before = activity.count;
  const inner = { addr, accept: () => Promise.resolve({}), close() {} } as unknown as Deno.Listener;
  const upgraded = Promise.withResolvers<Deno.TlsConn>();
  const slow = { upgrade: () => upgraded.promise } as unknown as TlsContext;
  const listener = new TlsServiceListener(new ServiceListener(inner, addr), slow);
  let served = false;
  const loop = listener.next().then(() => served = true);
  await new Promise((resolve) => setTimeout(resolve));
  assertGreater(activity.count, before);
  listener.close();
  upgraded.resolve({} as Deno.TlsConn);
  for (; !served; await undefined) assertGreater(activity.count, before);
  await loop;
  await eventually(() => activity.count === before, { what: "the end of it" });
});

for (const kind of ["inet", "inet without adoption", "unix"] as const) {
  Deno.test(`openTlsListener() accepts one after the other, until it is closed (${kind})`, async () => {
    using dir = new TempDir();
    const socket: ServiceSocket = kind === "unix" ? unixSocket(dir.file("socket")) : inetSocket();
    const via = kind === "inet without adoption" ? withoutAdoption : undefined;
    const listener = openTlsListener(socket.fd, socket.fdType, context(dir), { via });
    assertEquals(listener.addr, socket.addr);
    const target = "path" in socket.addr ? socket.addr.path : socket.addr.port;
    for (let round = 0; round < 3; round++) {
      // A client that goes at once is not in the way of the next one.
      (await connectTo(socket)).close();
      const gone = await within(listener.accept(), { what: "a connection" });
      await assertRejects(() => handshake(gone, 10));
      const said = pythonClient(
        `
kind = socket.AF_INET if sys.argv[2].isdigit() else socket.AF_UNIX
raw = socket.socket(kind, socket.SOCK_STREAM)
raw.settimeout(10)
raw.connect(("127.0.0.1", int(sys.argv[2])) if sys.argv[2].isdigit() else sys.argv[2])
client = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
client.sendall(b"hello")
print(client.recv(5), client.recv(5))
`,
        [target],
      );
      const conn = await within(listener.accept(), { what: "a connection" });
      assertEquals((await handshake(conn, 10)).alpnProtocol, null);
      const room = new Uint8Array(10);
      assertEquals(await within(conn.read(room), { what: "a greeting" }), 5);
      await conn.write(room.subarray(0, 5));
      conn.close();
      // Its second read would fail without close_notify.
      assertEquals(await said, "b'hello' b''");
    }
    const waiting = listener.accept();
    listener.close();
    await assertRejects(() => waiting, Deno.errors.BadResource);
  });
}

Deno.test("openTlsListener() ends a loop over it when it is closed", async () => {
  using dir = new TempDir();
  const socket = inetSocket();
  const listener = openTlsListener(socket.fd, "inet", context(dir));
  const client = Deno.connectTls({
    hostname: "localhost",
    port: socket.port,
    caCerts: [TEST_CERT],
  });
  let count = 0;
  for await (const conn of listener) {
    await Promise.all([handshake(conn, 10), client.then((client) => client.handshake())]);
    conn.close();
    count++;
    listener.close();
  }
  assertEquals(count, 1);
  (await client).close();
});

Deno.test("openTlsListener() and serveNode() refuse a descriptor that is no listening socket", () => {
  using dir = new TempDir();
  const [one, two] = socketPair();
  const tls = context(dir), server = createServer();
  assertThrows(() => openTlsListener(one, "fifo", tls), TypeError, "a fifo, expected");
  assertThrows(() => openTlsListener(one, "inet", tls), TypeError, "expected a listening");
  assertThrows(() => serveNode(one, "fifo", server), TypeError, "a fifo, expected");
  assertThrows(() => serveNode(one, "inet", server), TypeError, "expected a listening");
  closeFd(one);
  closeFd(two);
});
