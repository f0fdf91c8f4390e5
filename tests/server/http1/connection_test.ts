import { assert, assertEquals, assertLess, assertMatch, assertThrows } from "@std/assert";
import { Http1Connection } from "../../../src/server/http1/connection.ts";
import { BadRequest, HeadReader, MOST_HEAD_BYTES } from "../../../src/server/http1/head.ts";
import { BodyInput, Http1Input } from "../../../src/server/http1/input.ts";
import type { HttpHandler } from "../../../src/server/http/handler.ts";
import { EventStreams } from "../../../src/server/http/streamed_answers.ts";
import { FUZZ_COUNT, FUZZ_SEED, seededRandom } from "../../support/random.ts";
import { eventually, within } from "../../support/wait.ts";
import { type ConnPair, tcpPair } from "../conn_pairs.ts";

const encoder = new TextEncoder(), decoder = new TextDecoder("latin1");

/** A connection over which these pieces come, and then its end. */
function memoryConn(pieces: readonly Uint8Array[]): { conn: Deno.Conn; written: () => string } {
  const left = [...pieces];
  let text = "";
  const addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;
  const conn = {
    localAddr: addr,
    remoteAddr: addr,
    async read(room: Uint8Array): Promise<number | null> {
      await Promise.resolve();
      const piece = left.shift();
      if (piece === undefined) return null;
      const part = piece.subarray(0, room.length);
      if (part.length < piece.length) left.unshift(piece.subarray(part.length));
      room.set(part);
      return part.length;
    },
    write(bytes: Uint8Array): Promise<number> {
      text += decoder.decode(bytes);
      return Promise.resolve(bytes.length);
    },
    closeWrite: () => Promise.resolve(),
    [Symbol.dispose]() {},
  };
  return { conn: conn as unknown as Deno.Conn, written: () => text };
}

/** Serves a connection with a handler. */
function connection(conn: Deno.Conn, handler: HttpHandler): Http1Connection {
  return new Http1Connection(conn, {
    handler,
    onError: (error) => new Response(String(error), { status: 500 }),
    place: { address: { kind: "inet", hostname: "127.0.0.1", port: 80 }, isTls: false },
    events: new EventStreams(),
  });
}

/** Serves one end of a pair of sockets; the other end is a client's. */
async function served(handler: HttpHandler) {
  const pair: ConnPair = await tcpPair();
  const http = connection(pair.conn, handler);
  let isOver = false;
  const over = http.serve().then(() => isOver = true);
  const send = async (text: string) => {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await pair.peer.write(bytes.subarray(sent));
  };
  return {
    http,
    over,
    pair,
    send,
    isOver: () => isOver,
    async [Symbol.asyncDispose]() {
      pair[Symbol.dispose]();
      await within(over, { what: "the end of the connection" });
    },
  };
}

/** What comes until a mark, or until the end. */
async function receive(conn: Deno.Conn, mark?: RegExp): Promise<string> {
  let text = "";
  const room = new Uint8Array(64 * 1024);
  while (mark === undefined || !mark.test(text)) {
    const count = await within(conn.read(room), { what: `${mark} behind ${text.slice(-200)}` });
    if (count === null) break;
    text += decoder.decode(room.subarray(0, count));
  }
  return text;
}

const echo: HttpHandler = async (request) =>
  new Response(`${request.method} ${request.url} ${await request.text()}`);

const CONVERSATION = "\r\nGET /one?x HTTP/1.1\r\nHost: a\r\nx-y:  z \r\n\r\n" +
  "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" +
  "POST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "3;a=b\r\nabc\r\n02\r\nde\r\n0\r\nx-t: 1\r\n\r\n" +
  "HEAD /four HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async function answersTo(pieces: readonly Uint8Array[]): Promise<string> {
  const { conn, written } = memoryConn(pieces);
  await connection(conn, echo).serve();
  return written().replaceAll(/date: .*\r\n/g, "");
}

Deno.test("Http1Connection answers the same, wherever a conversation is split", async () => {
  const bytes = encoder.encode(CONVERSATION);
  const whole = await answersTo([bytes]);
  assertEquals(whole.match(/HTTP\/1\.1 200 OK/g)?.length, 4);
  assertMatch(whole, /POST http:\/\/a\/three abcde/);
  for (let at = 1; at < bytes.length; at++) {
    // The available part of a body only decides whether the connection is kept.
    const split = await answersTo([bytes.subarray(0, at), bytes.subarray(at)]);
    assertEquals(split, whole, `split at ${at}`);
  }
  assertEquals(await answersTo(Array.from(bytes, (byte) => new Uint8Array([byte]))), whole);
});

Deno.test("Http1Connection answers anything, and throws nothing but what is no request", async () => {
  const bytes = encoder.encode(CONVERSATION);
  const random = seededRandom(FUZZ_SEED);
  for (let round = 0; round < FUZZ_COUNT / 10; round++) {
    const broken = bytes.slice();
    for (let times = 0; times <= random(4); times++) broken[random(broken.length)] = random(256);
    const at = random(broken.length);
    const text = await answersTo([broken.subarray(0, at), broken.subarray(at)]);
    assert(text === "" || /^HTTP\/1\.[01] (?:200|400|500|100) /.test(text), text);
  }
});

Deno.test("HeadReader refuses a head that could hide one request in another", () => {
  for (
    const lines of [
      ["Content-Length: 5", "Transfer-Encoding: chunked"],
      ["Content-Length: 5", "Content-Length: 6"],
      ["Content-Length: 5, 5"],
      ["Content-Length: +5"],
      ["Content-Length: 0x5"],
      ["Content-Length:"],
      ["Transfer-Encoding: chunked, chunked"],
      ["Transfer-Encoding: chunked, gzip"],
      ["Transfer-Encoding: xchunked"],
      ["Transfer-Encoding: \x0bchunked"],
      ["Transfer-Encoding: chunked\xa0"],
      ["Transfer-Encoding: \xa0chunked"],
      ["Transfer-Encoding : chunked"],
      [" Transfer-Encoding: chunked"],
      ["Host: a", "Host: b"],
      ["x: a\rTransfer-Encoding: chunked"],
    ]
  ) {
    const reader = new HeadReader();
    let refused = false;
    try {
      for (const line of ["POST / HTTP/1.1", ...lines, ""]) reader.take(line);
    } catch (error) {
      refused = error instanceof BadRequest;
    }
    assert(refused, lines.join("|"));
  }
});

Deno.test("HeadReader reads a field with many blanks in a moment, and refuses one", () => {
  const since = performance.now(), blanks = " \t".repeat(MOST_HEAD_BYTES / 2);
  const head = () => {
    const reader = new HeadReader();
    reader.take("GET / HTTP/1.1");
    return reader;
  };
  for (let round = 0; round < 10; round++) {
    const reader = head();
    reader.take(`A:${blanks}a${blanks}b${blanks}`);
    assertEquals(reader.take("")?.fields, [["A", `a${blanks}b`]]);
    assertThrows(() => head().take(`A:${blanks}\x01`), BadRequest);
  }
  // In quadratic time it would be half a minute.
  assertLess(performance.now() - since, 10_000);
});

Deno.test("Http1Connection refuses a head that never ends", async () => {
  const { conn, written } = memoryConn([
    encoder.encode("GET / HTTP/1.1\r\n"),
    encoder.encode("x".repeat(MOST_HEAD_BYTES)),
    encoder.encode("x".repeat(MOST_HEAD_BYTES)),
  ]);
  await connection(conn, echo).serve();
  assertMatch(written(), /^HTTP\/1\.1 400 Bad Request\r\n/);
});

for (const [what, body] of [["a line", "5" + "0".repeat(5_000)], ["trailers", "0\r\n"]]) {
  Deno.test(`BodyInput refuses ${what} without an end`, async () => {
    const { conn } = memoryConn([
      encoder.encode(body),
      ...Array.from({ length: 40 }, () => encoder.encode("x: y\r\n".repeat(500))),
    ]);
    const input = new Http1Input(conn);
    const all = new BodyInput(input, "chunks");
    let error: unknown;
    try {
      while (await all.next() !== undefined);
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof BadRequest, `${error}`);
  });
}

for (const size of [300_000, 3_000_000]) {
  Deno.test(`Http1Connection goes on behind ${size} bytes that its handler does not read`, async () => {
    await using server = await served(() => new Response("unread"));
    await server.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const answered = receive(server.pair.peer, /unread$/);
    await server.send("x".repeat(size));
    assertMatch(await answered, /^HTTP\/1\.1 200 OK\r\n/);
    await server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertMatch(await receive(server.pair.peer, /unread$/), /^HTTP\/1\.1 200 OK\r\n/);
  });
}

Deno.test("Http1Connection closes behind a body that is too long to be dropped, and says so", async () => {
  await using server = await served(() => new Response("unread"));
  await server.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n12345");
  const text = await receive(server.pair.peer);
  assertMatch(text, /connection: close\r\n/);
  assert(text.endsWith("unread"));
});

Deno.test("Http1Connection does not wait for a handler that stops reading a body", async () => {
  await using server = await served(async (request) => {
    await request.body!.getReader().read();
    return new Response("in part");
  });
  await server.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n12345`);
  assertMatch(await receive(server.pair.peer), /connection: close\r\n[^]*in part$/);
});

Deno.test("Http1Connection ends when a client that has sent several requests leaves", async () => {
  const started = Promise.withResolvers<void>();
  await using server = await served(async (request) => {
    started.resolve();
    await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
    return new Response("too late");
  });
  await server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5));
  await started.promise;
  server.pair.peer.close();
  await within(server.over, { what: "the end of the connection" });
});

Deno.test("Http1Connection writes nothing into an answer that is under way", async () => {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (given) => void (controller = given),
  });
  await using server = await served(() => new Response(body));
  await server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  controller.enqueue(encoder.encode("first"));
  const begun = await receive(server.pair.peer, /first/);
  await server.send("no request at all\r\n\r\n");
  controller.enqueue(encoder.encode("second"));
  controller.close();
  const text = begun + await receive(server.pair.peer);
  assertMatch(text, /5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\nHTTP\/1\.1 400 Bad Request\r\n/);
});

Deno.test("Http1Connection says at once that an answer has begun, before its body has", async () => {
  const never = new ReadableStream<Uint8Array<ArrayBuffer>>();
  await using server = await served(() => new Response(never));
  await server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  assertMatch(await receive(server.pair.peer, /\r\n\r\n/), /^HTTP\/1\.1 200 OK\r\n/);
});

Deno.test("Http1Connection closes an idle connection when it drains, but not one with a head that has begun", async () => {
  await using idle = await served(echo);
  await using begun = await served(echo);
  await begun.send("GET / HTTP/1.1\r\nHo");
  // It is there when a byte of it was taken.
  await eventually(() => !begun.isOver(), { what: "a connection" });
  const sinceMs = performance.now();
  idle.http.drain();
  assertEquals(await receive(idle.pair.peer), "");
  assertLess(performance.now() - sinceMs, 8_000);
  begun.http.drain();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await begun.send("st: a\r\n\r\n");
  assertMatch(await receive(begun.pair.peer), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n/);
});

Deno.test("Http1Connection refuses to upgrade, by onError", async () => {
  await using server = await served((request) => Deno.upgradeWebSocket(request).response);
  await server.send(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const text = await receive(server.pair.peer, /allow-net$/);
  assertMatch(text, /^HTTP\/1\.1 500 .*TypeError: Cannot upgrade a connection/s);
});
