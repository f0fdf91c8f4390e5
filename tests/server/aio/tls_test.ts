import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { ConfigError } from "../../../src/config/errors.ts";
import { TlsContext } from "../../../src/server/tls/context.ts";
import { HandshakeError } from "../../../src/server/tls/errors.ts";
import { TempDir } from "../../support/temp.ts";
import { TEST_CERT, testCertificate } from "../../support/tls.ts";
import { eventually, within } from "../../support/wait.ts";
import {
  outcome,
  type Pair,
  pairTest,
  receiveText,
  send,
  tcpPair,
  unixPair,
} from "./aio_support.ts";

const CLIENT = { hostname: "localhost", caCerts: [TEST_CERT], alpnProtocols: ["test"] };

function context(handshakeSeconds?: number): TlsContext {
  using dir = new TempDir();
  return new TlsContext({ ...testCertificate(dir), alpnProtocols: ["test"], handshakeSeconds });
}

/** Puts TLS on both ends. */
async function secure(pair: Pair, tls = context()): Promise<Deno.TlsConn> {
  const started = outcome((callback) => pair.aio.startTls(tls, callback), "startTls");
  const client = await Deno.startTls(pair.client as Deno.TcpConn, CLIENT);
  await within(client.handshake(), { what: "a handshake" });
  assertEquals([await started, pair.aio.error], [1, undefined]);
  return client;
}

pairTest("Aio.startTls() puts TLS on the connection, and all goes on over it", async () => {
  using pair = await tcpPair();
  const { aio, base } = pair;
  await send(pair.client, "STARTTLS\r\n");
  assertEquals(await outcome((callback) => aio.gets(100, callback)), 10);
  assertEquals(aio.getReadCacheString(10), "STARTTLS\r\n");
  assertEquals(aio.tls, undefined);
  const client = await secure(pair);
  assertEquals(aio.tls?.alpnProtocol, "test");
  await send(client, "hello\nrest");
  assertEquals(await outcome((callback) => aio.gets(100, callback)), 6);
  assertEquals(aio.getReadCacheString(6), "hello\n");
  aio.cachePuts("an answer");
  assertEquals(await outcome((callback) => aio.cacheFlush(callback)), 1);
  assertEquals(await receiveText(client, 9), "an answer");
  assertEquals(base.connectionCount, 1);
  aio.close();
  assertEquals(await receiveText(client), "");
  assertEquals(base.connectionCount, 0);
  client.close();
});

pairTest("Aio.startTls() keeps the time-outs that were set", async () => {
  using pair = await tcpPair();
  pair.aio.setReadWaitTimeout(0.05);
  const client = await secure(pair);
  assertEquals(await outcome((callback) => pair.aio.read(10, callback)), -2);
  client.close();
});

for (const behind of ["RCPT TO:<a>\r\n", "\0"]) {
  pairTest(`Aio.startTls() refuses ${JSON.stringify(behind)} behind the request`, async () => {
    using pair = await tcpPair();
    const { aio } = pair;
    await send(pair.client, `STARTTLS\r\n${behind}`);
    assertEquals(await outcome((callback) => aio.gets(100, callback)), 10);
    aio.getReadCacheString(10);
    assertEquals(await outcome((callback) => aio.startTls(context(), callback)), -1);
    assertInstanceOf(aio.error, HandshakeError);
    assertEquals(aio.error.reason, "plain text");
    assertEquals(aio.tls, undefined);
  });
}

pairTest("Aio.startTls() takes nothing that comes in plain text later for TLS", async () => {
  using pair = await tcpPair();
  const started = outcome((callback) => pair.aio.startTls(context(), callback));
  await send(pair.client, "RCPT TO:<a>\r\n");
  assertEquals(await started, -1);
  assertEquals((pair.aio.error as HandshakeError).reason, "failed");
  // The connection is closed, and every operation says so.
  assertEquals(await outcome((callback) => pair.aio.gets(100, callback)), -1);
});

pairTest("Aio.startTls() has the result -2 for a client that says nothing", async () => {
  using pair = await tcpPair();
  assertEquals(await outcome((callback) => pair.aio.startTls(context(0.05), callback)), -2);
  assertEquals((pair.aio.error as HandshakeError).reason, "late");
  assertEquals(await receiveText(pair.client), "");
});

pairTest("Aio.startTls() has the result -1 for a client that has gone", async () => {
  using pair = await tcpPair();
  pair.client.close();
  assertEquals(await outcome((callback) => pair.aio.startTls(context(), callback)), -1);
});

pairTest("Aio.startTls() lets nothing else be asked of the connection meanwhile", async () => {
  using pair = await tcpPair();
  const { aio } = pair;
  const nothing = () => {};
  const never = () => assert(false, "called back");
  aio.cachePuts("not flushed");
  assertThrows(() => aio.startTls(context(), never), Deno.errors.Busy, "not flushed");
  assertEquals(await outcome((callback) => aio.cacheFlush(callback)), 1);
  aio.read(1, never);
  assertThrows(() => aio.startTls(context(), never), Deno.errors.Busy, "a read is under way");
  await send(pair.client, "x");
  aio.disable();
  assertEquals(await outcome((callback) => aio.read(1, callback)), 1);
  aio.getReadCache(1);

  aio.startTls(context(), never);
  for (
    const ask of [
      () => aio.gets(1, nothing),
      () => aio.cachePuts("x"),
      () => aio.cacheFlush(nothing),
      () => aio.sleep(nothing, 1),
      () => aio.startTls(context(), nothing),
      () => aio.release(),
    ]
  ) assertThrows(ask, Deno.errors.Busy);
  aio.disable();
  const client = await Deno.startTls(pair.client as Deno.TcpConn, CLIENT);
  await receiveText(client, "not flushed".length).catch(() => {});
  client.close();
});

pairTest("Aio.startTls() can be given up by closing, at any moment", async () => {
  for (let turns = 0; turns < 12; turns++) {
    using pair = await tcpPair();
    pair.aio.startTls(context(), () => assert(false, "called back"));
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    pair.aio.close();
    assertEquals(pair.base.connectionCount, 0);
    assertEquals(await receiveText(pair.client), "");
    assertEquals(pair.errors, []);
  }
});

Deno.test("Aio.startTls() can be given up when the plain connection is closed, and that over TLS not known yet", async () => {
  using pair = await tcpPair();
  const { aio } = pair, conn = pair.conn!, close = conn.close.bind(conn);
  conn.close = () => {
    close();
    queueMicrotask(() => aio.close());
  };
  aio.startTls(context(), () => assert(false, "called back"));
  const client = await Deno.startTls(pair.client as Deno.TcpConn, CLIENT);
  await within(client.handshake(), { what: "a handshake" });
  assertEquals(await receiveText(client), "");
  assertEquals([pair.base.connectionCount, pair.errors], [0, []]);
  client.close();
});

pairTest("Aio.startTls() works on a unix socket", async () => {
  using pair = await unixPair();
  const { aio, client } = pair;
  const started = outcome((callback) => aio.startTls(context(0.2), callback));
  await send(client, "no TLS\n");
  assertEquals(await started, -1);
  assertEquals((aio.error as HandshakeError).reason, "failed");
});

pairTest("Aio.startTls() leaves a connection over TLS to release()", async () => {
  using pair = await tcpPair();
  const client = await secure(pair);
  const conn = pair.aio.release();
  await conn.write(new TextEncoder().encode("over TLS"));
  assertEquals(await receiveText(client, 8), "over TLS");
  conn.close();
  await eventually(async () => await receiveText(client) === "", { what: "the end" });
  client.close();
});

pairTest(
  "Aio.startTls() refuses files that are not there, and the connection goes on",
  async () => {
    using pair = await tcpPair();
    const { aio } = pair;
    const tls = { certFile: "/nonexistent", keyFile: "/nonexistent" };
    assertThrows(() => aio.startTls(tls, () => {}), ConfigError, "no such file");
    await send(pair.client, "x");
    assertEquals(await outcome((callback) => aio.read(1, callback)), 1);
  },
);
