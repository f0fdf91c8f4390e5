import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { ConfigError } from "../../../src/config/errors.ts";
import { handshake, handshakeOf, TlsContext } from "../../../src/server/tls/context.ts";
import { HandshakeError } from "../../../src/server/tls/errors.ts";
import { nodeServerTls } from "../../../src/server/backend/node_tls.ts";
import { TempDir } from "../../support/temp.ts";
import { makeCertificate, pythonClient, TEST_CERT, testCertificate } from "../../support/tls.ts";
import { eventually, within } from "../../support/wait.ts";
import { type ConnPair, tcpPair, unixPair } from "../conn_pairs.ts";

/** More than the kernel holds between two sockets. */
const FLOOD = 32 * 1024 * 1024;

const CLIENT = { hostname: "localhost", caCerts: [TEST_CERT], alpnProtocols: ["test"] };

function context(dir: TempDir, handshakeSeconds?: number): TlsContext {
  return new TlsContext({ ...testCertificate(dir), alpnProtocols: ["test"], handshakeSeconds });
}

/** Invalid files, and the error message for the user. */
function complaint(certFile: string, keyFile: string): string {
  const error = assertThrows(() => new TlsContext({ certFile, keyFile }), ConfigError);
  return error.message;
}

Deno.test("TlsContext names the file that is missing or of another kind", async () => {
  using dir = new TempDir();
  const { certFile, keyFile } = testCertificate(dir);
  const other = await makeCertificate(dir, "other");
  const none = dir.file("none"), text = dir.write("text", "no PEM"), folder = dir.path;
  const broken = dir.write("broken", TEST_CERT.replace("MIIBV", "AAAAA"));
  const locked = dir.file("locked");
  await new Deno.Command("openssl", {
    args: ["pkcs8", "-topk8", "-in", keyFile, "-out", locked, "-passout", "pass:secret"],
  }).output();
  for (
    const [cert, key, expected] of [
      [none, keyFile, `Cannot read "${none}": no such file, expected a certificate`],
      [certFile, none, `Cannot read "${none}": no such file, expected a private key`],
      [text, keyFile, `Cannot use "${text}": no PEM in it, expected a certificate in PEM form`],
      [certFile, text, `Cannot use "${text}": no PEM in it, expected a private key in PEM form`],
      [
        keyFile,
        keyFile,
        `Cannot use "${keyFile}": private key, expected a certificate in PEM form`,
      ],
      [certFile, certFile, `Cannot use "${certFile}": certificate, expected a private key in PEM`],
      [certFile, other.keyFile, `Cannot use "${other.keyFile}": not the key of "${certFile}"`],
      [certFile, locked, `Cannot use "${locked}": it has a passphrase, expected a private key`],
      [broken, keyFile, `Cannot use "${broken}": `],
      [folder, keyFile, `Cannot read "${folder}": `],
    ]
  ) {
    const told = complaint(cert, key);
    assertEquals(told.slice(0, expected.length), expected);
  }
});

/** Shakes hands, and sends a line both ways. */
async function exchange(secure: Promise<Deno.TlsConn>, pair: ConnPair): Promise<Deno.TlsConn> {
  const client = await Deno.startTls(pair.peer as Deno.TcpConn, CLIENT);
  const server = await secure;
  const [info] = await Promise.all([handshake(server, 10), client.handshake()]);
  assertEquals(info.alpnProtocol, "test");
  assertEquals(handshakeOf(server), info);
  const room = new Uint8Array(1024);
  for (const [from, to] of [[client, server], [server, client]]) {
    await from.write(new TextEncoder().encode("hello"));
    assertEquals(await within(to.read(room), { what: "a line" }), 5);
  }
  // Of either object, `close` is that of the connection; the client is told.
  pair.conn.close();
  assertEquals(await within(client.read(room), { what: "the end" }), null);
  await assertRejects(() => server.read(room), Deno.errors.BadResource);
  client.close();
  return server;
}

Deno.test("TlsContext reads neither a named pipe, nor a device or a file without an end", async () => {
  using dir = new TempDir();
  const { certFile, keyFile } = testCertificate(dir);
  const pipe = dir.file("pipe"), large = dir.file("large");
  assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
  Deno.writeTextFileSync(large, "");
  Deno.truncateSync(large, 1e12);
  for (const path of [pipe, "/dev/zero", large]) {
    assertMatch(complaint(path, keyFile), /^Cannot read ".*": .*, expected a certificate$/);
    assertMatch(complaint(certFile, path), /^Cannot read ".*": .*, expected a private key$/);
  }
});

Deno.test("TlsContext.upgrade() puts the runtime's TLS on a connection", async () => {
  using dir = new TempDir();
  using pair = await tcpPair();
  const server = await exchange(context(dir).upgrade(pair.conn), pair);
  assertEquals(server.constructor.name, "TlsConn");
});

Deno.test("TlsContext.upgrade() falls back on node:tls", async () => {
  using dir = new TempDir();
  using pair = await tcpPair();
  const { conn } = pair;
  const hidden = Object.create(conn, {
    localAddr: { value: conn.localAddr },
    remoteAddr: { value: conn.remoteAddr },
    read: { value: conn.read.bind(conn) },
    write: { value: conn.write.bind(conn) },
    closeWrite: { value: conn.closeWrite.bind(conn) },
    close: { value: conn.close.bind(conn), writable: true },
  }) as Deno.Conn;
  const certificate = context(dir);
  const secure = nodeServerTls(hidden, certificate);
  hidden.close = () => secure.close();
  const server = await exchange(Promise.resolve(secure), { ...pair, conn: hidden });
  assertInstanceOf(server, Object);
  assertEquals(server.remoteAddr, conn.remoteAddr);
});

for (const kind of ["runtime", "node:tls"]) {
  Deno.test(`handshake() gives a client that says nothing up (${kind})`, async () => {
    using dir = new TempDir();
    using pair = await (kind === "runtime" ? tcpPair() : unixPair());
    const secure = await context(dir).upgrade(pair.conn);
    await assertRejects(() => handshake(secure, 0.1), HandshakeError, "more than 0.1 s");
    assertEquals(await within(pair.peer.read(new Uint8Array(8)), { what: "the end" }), null);
  });

  Deno.test(`handshake() fails for a client that speaks no TLS, or goes (${kind})`, async () => {
    using dir = new TempDir();
    for (const text of ["GET / HTTP/1.1\r\n\r\n", ""]) {
      using pair = await (kind === "runtime" ? tcpPair() : unixPair());
      const secure = await context(dir).upgrade(pair.conn);
      await pair.peer.write(new TextEncoder().encode(text));
      if (text === "") pair.peer.close();
      await assertRejects(
        () => within(handshake(secure, 10), { what: "a failure" }),
        HandshakeError,
      );
    }
  });
}

/** Both ends of a connection over TLS, whose client is a script in Python. */
async function withPython(kind: string, script: string) {
  using dir = new TempDir();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const said = pythonClient(
    `
raw = socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=10)
client = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
${script}
`,
    [listener.addr.port],
  );
  const conn = await listener.accept(), made = context(dir);
  const secure = kind === "runtime" ? await made.upgrade(conn) : nodeServerTls(conn, made);
  await handshake(secure, 10);
  return { secure, said };
}

for (const kind of ["runtime", "node:tls"]) {
  Deno.test(`a connection over TLS distinguishes an end with close_notify from one without (${kind})`, async () => {
    const proven = "client.sendall(b'hello'); client.unwrap()";
    const cut = "client.sendall(b'hello'); client.shutdown(socket.SHUT_WR); client.recv(1)";
    for (const script of [proven, cut]) {
      const { secure, said } = await withPython(kind, script);
      const read = () => within(secure.read(new Uint8Array(10)), { what: "an end" });
      assertEquals(await read(), 5);
      if (script === proven) assertEquals([await read(), await read()], [null, null]);
      else for (let i = 0; i < 2; i++) await assertRejects(read, Deno.errors.UnexpectedEof);
      secure.close();
      await said;
    }
  });

  Deno.test(`a connection over TLS that is closed at once tells its client (${kind})`, async () => {
    const { secure, said } = await withPython(kind, "print(client.recv(5))");
    secure.close();
    // It would fail without close_notify.
    assertEquals(await said, "b''");
  });

  Deno.test(`a connection over TLS holds back a server whose client does not read (${kind})`, async () => {
    using dir = new TempDir();
    using pair = await tcpPair();
    const made = context(dir);
    const secure = kind === "runtime"
      ? await made.upgrade(pair.conn)
      : nodeServerTls(pair.conn, made);
    const client = await Deno.startTls(pair.peer as Deno.TcpConn, CLIENT);
    await Promise.all([handshake(secure, 10), client.handshake()]);
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    const writing = (async () => {
      while (sent < FLOOD) sent += await secure.write(chunk);
    })();
    const ended = assertRejects(() => writing, Error);
    let before = -1, quiet = 0;
    await eventually(() => {
      quiet = sent === before ? quiet + 1 : 0;
      before = sent;
      return quiet === 20;
    }, { what: "a write that waits" });
    assertLess(sent, FLOOD);
    secure.close();
    await ended;
    client.close();
  });
}

Deno.test("TlsContext.upgrade() takes no byte that came in plain text for TLS", async () => {
  using dir = new TempDir();
  using pair = await tcpPair();
  // Behind the request, in the same packet or not: it is in the kernel, and was not read.
  await pair.peer.write(new TextEncoder().encode("RCPT TO:<x>\r\n"));
  const secure = await context(dir).upgrade(pair.conn);
  await assertRejects(() => within(handshake(secure, 10), { what: "a failure" }), HandshakeError);
});
