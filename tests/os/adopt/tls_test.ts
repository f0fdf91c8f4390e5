import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AdoptError } from "../../../src/os/adopt/listener.ts";
import { TlsAdopter } from "../../../src/os/adopt/tls.ts";
import { connectLoopback, endOf, resetConnection } from "../../../src/os/net/connections.ts";
import { openDescriptors } from "../../../src/os/fd/descriptor.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { closeIfOpen, type ConnPair, tcpPair, unixPair } from "../../server/conn_pairs.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { TEST_CERT, TEST_KEY } from "../../support/tls.ts";
import { within } from "../../support/wait.ts";

const CERTIFICATE = { cert: TEST_CERT, key: TEST_KEY };
const CLIENT = { hostname: "localhost", caCerts: [TEST_CERT] };

/** Puts TLS on both ends. */
async function secure(
  adopter: TlsAdopter,
  { conn, peer }: ConnPair,
): Promise<{ server: Deno.TlsConn; client: Deno.TlsConn }> {
  const adopted = adopter.adopt(conn);
  const client = await Deno.startTls(peer as Deno.TcpConn, CLIENT);
  const server = await within(adopted, { what: "an adoption" });
  await within(Promise.all([server.handshake(), client.handshake()]), { what: "a handshake" });
  return { server, client };
}

/** Sends a byte from one end to the other. */
async function sends(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const room = new Uint8Array(8);
  await from.write(new Uint8Array([7]));
  assertEquals(await within(to.read(room), { what: "a byte" }), 1);
  assertEquals(room[0], 7);
}

Deno.test("TlsAdopter.adopt() puts TLS on a connection, and leaves nothing open", async () => {
  await leavesNothingOpen(async () => {
    const adopter = new TlsAdopter(CERTIFICATE);
    for (let round = 0; round < 10; round++) {
      using pair = await tcpPair();
      const { conn, peer } = pair;
      const { localAddr, remoteAddr } = conn;
      const { server, client } = await secure(adopter, pair);
      assertEquals([server.localAddr, server.remoteAddr], [localAddr, remoteAddr]);
      assertEquals(remoteAddr, peer.localAddr);
      await sends(client, server);
      await sends(server, client);
      server.close();
      assertEquals(await client.read(new Uint8Array(1)), null);
      client.close();
    }
    adopter.close();
  });
});

Deno.test("TlsAdopter.adopt() puts TLS on many connections at once, each its own", async () => {
  await leavesNothingOpen(async () => {
    const adopter = new TlsAdopter(CERTIFICATE);
    const pairs = await Promise.all(Array.from({ length: 50 }, () => tcpPair()));
    const secured = await Promise.all(pairs.map((pair) => secure(adopter, pair)));
    const room = new Uint8Array(1);
    for (const [index, { client, server }] of secured.entries()) {
      await client.write(new Uint8Array([index]));
      await server.read(room);
      assertEquals(room[0], index);
      client.close();
      server.close();
    }
    adopter.close();
  });
});

Deno.test("TlsAdopter.adopt() keeps what it makes from the programs that are started", async () => {
  await leavesNothingOpen(async () => {
    const adopter = new TlsAdopter(CERTIFICATE);
    using pair = await tcpPair();
    const before = openDescriptors();
    const { server, client } = await secure(adopter, pair);
    const made = [...openDescriptors().keys()].filter((fd) => !before.has(fd));
    assertEquals(made.map((fd) => flagsOf(fd).closeOnExec), made.map(() => true));
    server.close();
    client.close();
    adopter.close();
  });
});

Deno.test("TlsAdopter.adopt() is not confused by others who connect to its port", async () => {
  await leavesNothingOpen(async () => {
    const before = openDescriptors();
    const adopter = new TlsAdopter(CERTIFICATE);
    const [fd] = [...openDescriptors().keys()].filter((fd) => !before.has(fd));
    const port = Number(endOf(fd, "local")!.split(":")[1]);
    const strangers = Array.from({ length: 5 }, () => connectLoopback(port));
    using pair = await tcpPair();
    const { server, client } = await secure(adopter, pair);
    await sends(client, server);
    server.close();
    client.close();
    adopter.close();
    strangers.forEach(resetConnection);
  });
});

Deno.test("TlsAdopter.adopt() refuses what it can't adopt, and leaves it as it was", async () => {
  const adopter = new TlsAdopter(CERTIFICATE);
  {
    using pair = await unixPair();
    await assertRejects(() => adopter.adopt(pair.conn), AdoptError, "not known");
    await sends(pair.conn, pair.peer);
  }
  {
    using pair = await tcpPair();
    // The end that has connected is of no server, and the runtime tells no descriptor of it.
    await assertRejects(() => adopter.adopt(pair.peer), AdoptError, "not known");
    await sends(pair.conn, pair.peer);
  }
  adopter.close();
});

Deno.test("TlsAdopter.adopt() refuses a closed connection, whose number is taken again or not", async () => {
  const adopter = new TlsAdopter(CERTIFICATE);
  using pair = await tcpPair();
  pair.conn.close();
  await assertRejects(() => adopter.adopt(pair.conn), Deno.errors.NotConnected, "it is closed");
  using other = await tcpPair();
  await assertRejects(() => adopter.adopt(pair.conn), Deno.errors.NotConnected, "it is closed");
  await sends(other.conn, other.peer);
  adopter.close();
});

Deno.test("TlsAdopter.adopt() puts TLS on a connection of IPv6", async () => {
  await leavesNothingOpen(async () => {
    using listener = Deno.listen({ hostname: "::1", port: 0 });
    const peer = Deno.connect({ hostname: "::1", port: listener.addr.port });
    const adopter = new TlsAdopter(CERTIFICATE);
    const conn = await listener.accept();
    const pair = { conn, peer: await peer, [Symbol.dispose]: () => {} };
    const { server, client } = await secure(adopter, pair);
    await sends(client, server);
    server.close();
    client.close();
    adopter.close();
  });
});

Deno.test("TlsAdopter.adopt() notices that the connection is closed meanwhile", async () => {
  await leavesNothingOpen(async () => {
    const adopter = new TlsAdopter(CERTIFICATE);
    using pair = await tcpPair();
    const adopted = adopter.adopt(pair.conn);
    pair.conn.close();
    await assertRejects(() => adopted, Deno.errors.NotConnected, "it is closed");
    adopter.close();
  });
});

Deno.test("TlsAdopter.adopt() gives up for good when its own connection does not come", async () => {
  await leavesNothingOpen(async () => {
    const clock = new FakeClock();
    const adopter = new TlsAdopter(CERTIFICATE, clock);
    using pair = await tcpPair();
    const adopted = adopter.adopt(pair.conn);
    const rejected = assertRejects(() => adopted, AdoptError);
    await Promise.resolve();
    clock.advance(10_000);
    await within(rejected, { what: "the refusal" });
    await assertRejects(() => adopter.adopt(pair.conn), AdoptError, "closed");
    await sends(pair.conn, pair.peer);
    closeIfOpen(pair.conn);
  });
});

Deno.test("TlsAdopter refuses a key that does not belong to the certificate", () => {
  assertThrows(() => new TlsAdopter({ cert: TEST_CERT, key: "none" }), Error, "No keys");
});
