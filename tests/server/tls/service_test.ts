import { assert, assertEquals } from "@std/assert";
import { descriptorsOf } from "../../support/proc.ts";
import { ReservedPort } from "../../support/ports.ts";
import { startFunction, type TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { TEST_CERT, testCertificate } from "../../support/tls.ts";
import { eventually, within } from "../../support/wait.ts";
import { connectRaw } from "../raw_client.ts";

/** How each test server is written; all of them send back what they get. */
const SERVERS = ["coroutine loop", "coroutine listener", "aio", "STARTTLS"] as const;

/** Sends back what comes over TLS, in one of the ways that there are. */
async function echo(arg: string): Promise<void> {
  const [how, address, certFile, keyFile] = arg.split("|");
  const { aioServerGeneralAioRegister, aioServerMain, defaultAioBase, ...server } = await import(
    "../../../mod.ts"
  );
  const tls = { certFile, keyFile, alpnProtocols: ["echo"], handshakeSeconds: 2 };
  type Aio = InstanceType<typeof server.Aio>;
  const again = (aio: Aio) => aio.result < 1 ? aio.close() : aio.read(4096, back);
  const back = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    aio.cacheWrite(aio.getReadCache(aio.result));
    aio.cacheFlush(again);
  };
  const copy = (conn: Deno.Conn) => conn.readable.pipeTo(conn.writable);
  const context = new server.TlsContext(tls);
  Deno.exit(
    await aioServerMain({
      serviceRegister(_service, fd, fdType) {
        switch (how) {
          case "coroutine loop":
            server.coroutineServeTls(fd, fdType, copy, { tls });
            break;
          case "coroutine listener":
            server.coroutineGo(async () => {
              for await (const conn of server.coroutineListenTls(fd, fdType, tls)) {
                copy(conn).catch(() => {});
              }
            });
            break;
          case "aio":
            aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
              console.log("over", aio.tls?.alpnProtocol);
              again(aio);
            }, { tls });
            break;
          default:
            server.coroutineServe(fd, fdType, async (conn) => {
              await conn.read(new Uint8Array(100));
              await conn.write(new TextEncoder().encode("ready\n"));
              const unread = new Uint8Array();
              await copy(await server.coroutineStartTls(conn, { tls: context, unread }));
            });
        }
        console.log("serving");
      },
      beforeSoftstop: () => console.log("stopping"),
    }, ["alone", "-server-service", address, "--debug"]),
  );
}

/** A running server. Declare it with `await using`. */
interface Server extends AsyncDisposable {
  readonly process: TestProcess;
  readonly port: number;
  connect(): Promise<Deno.TlsConn>;
  /** A connection that speaks no TLS yet. */
  connectPlain(): Promise<Deno.TcpConn>;
}

async function start(how: typeof SERVERS[number]): Promise<Server> {
  const dir = new TempDir(), reserved = new ReservedPort(), { port } = reserved;
  const { certFile, keyFile } = testCertificate(dir);
  const arg = [how, `127.0.0.1:${port}`, certFile, keyFile].join("|");
  const process = startFunction(import.meta, echo, { arg });
  await process.prints(/serving\n/);
  const connectPlain = async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    if (how !== "STARTTLS") return conn;
    await conn.write(new TextEncoder().encode("start\n"));
    assertEquals(await within(conn.read(new Uint8Array(100)), { what: "an answer" }), 6);
    return conn;
  };
  return {
    process,
    port,
    connectPlain,
    async connect() {
      const options = { hostname: "localhost", caCerts: [TEST_CERT], alpnProtocols: ["echo"] };
      const conn = await Deno.startTls(await connectPlain(), options);
      const { alpnProtocol } = await within(conn.handshake(), { what: "a handshake" });
      assertEquals(alpnProtocol, "echo");
      return conn;
    },
    async [Symbol.asyncDispose]() {
      await process[Symbol.asyncDispose]();
      reserved[Symbol.dispose]();
      dir[Symbol.dispose]();
    },
  };
}

/** Sends a text, and waits until it has come back. */
async function ask(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text), room = new Uint8Array(bytes.length);
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
  for (let got = 0; got < bytes.length;) {
    const count = await within(conn.read(room.subarray(got)), { what: "an echo" });
    assert(count !== null, "end of file");
    got += count;
  }
  assertEquals(room, bytes);
}

/** Whether a connection has ended, by whatever means. */
function ends(conn: Deno.Conn): Promise<unknown> {
  const ended = async () => {
    const room = new Uint8Array(1024);
    while (await conn.read(room).catch(() => null) !== null);
  };
  return within(ended(), { what: "the end of a connection" });
}

for (const how of SERVERS) {
  Deno.test(`${how}: serves many over TLS, and clients that fail are no news`, async () => {
    await using server = await start(how);
    using kept = await server.connect();
    await ask(kept, "hello");

    using plain = await server.connectPlain();
    await plain.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await ends(plain);
    for (let i = 0; i < 20; i++) connectRaw(server.port).reset();
    using half = await server.connectPlain();
    // The beginning of a ClientHello, and no more of it.
    await half.write(new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
    if (how !== "coroutine listener") await ends(half);

    const conns = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
    await Promise.all(conns.map((conn, index) => ask(conn, `${index}`.repeat(1000))));
    await ask(kept, "x".repeat(100_000));
    for (const conn of conns) conn.close();
    assertEquals(server.process.stderr.match(/error (in|while)/), null, server.process.stderr);
  });

  Deno.test(`${how}: finishes its connections after the stop, and tells their end`, async () => {
    await using server = await start(how);
    const conn = await server.connect();
    await ask(conn, "hello");
    server.process.signal("SIGTERM");
    await server.process.prints(/stopping\n/);
    await ask(conn, "after the stop");
    await conn.closeWrite();
    // Without close_notify it would be an UnexpectedEof.
    assertEquals(await within(conn.read(new Uint8Array(1)), { what: "close_notify" }), null);
    conn.close();
    await server.process.succeeds();
  });
}

Deno.test("coroutineServeTls() closes a client that says nothing, and holds no place for it", async () => {
  await using server = await start("coroutine loop");
  using first = await server.connect();
  await ask(first, "hello");
  const open = () => [...descriptorsOf(server.process.pid).values()].filter(isSocket).length;
  const before = open();
  const silent = await Promise.all(Array.from({ length: 10 }, () => server.connectPlain()));
  await eventually(() => open() === before + 10, { what: "the silent ones to be accepted" });
  await Promise.all(silent.map(ends));
  await eventually(() => open() === before, { what: "their descriptors to be closed" });
  for (const conn of silent) conn.close();
  await server.process.complains(/TLS handshake: it took more than 2 s/);
  using conn = await server.connect();
  await ask(conn, "hello");
});

function isSocket(target: string): boolean {
  return target.startsWith("socket:");
}
