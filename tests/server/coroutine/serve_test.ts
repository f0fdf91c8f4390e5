import { assertEquals, assertMatch } from "@std/assert";
import { Client } from "../../support/client.ts";
import { startFunction, type TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually } from "../../support/wait.ts";

/** A server with one service on a unix socket. Declare it with `await using`. */
class Server implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #path: string;

  private constructor(readonly process: TestProcess, dir: TempDir, path: string) {
    this.#dir = dir;
    this.#path = path;
  }

  /**
   * Starts a server, and waits until it serves.
   *
   * @param body Runs it; it gets the path of its socket, and prints a line when it serves.
   */
  static async start(body: (path: string) => unknown): Promise<Server> {
    const dir = new TempDir();
    const path = dir.file("socket");
    const process = startFunction(import.meta, body, { arg: path });
    await process.prints(/serving\n/);
    return new Server(process, dir, path);
  }

  connect(): Promise<Client> {
    return Client.connect(this.#path);
  }

  /** Stops it, and fails unless it ends as it should. */
  async stop(): Promise<string> {
    this.process.signal("SIGTERM");
    return await this.process.succeeds();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** A server whose handler does what the first line of a connection says. */
async function commanded(path: string): Promise<void> {
  const { coroutineServe, coroutineServerMain } = await import("../../../coroutine_server.ts");
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  const lineOf = async (conn: Deno.Conn) => {
    const room = new Uint8Array(100);
    return decoder.decode(room.subarray(0, await conn.read(room) ?? 0)).trim();
  };
  const commands: Record<string, (conn: Deno.Conn) => unknown> = {
    return: (conn) => conn.write(encoder.encode("bye\n")),
    throw() {
      throw new Error("a fault in a handler");
    },
    close: (conn) => conn.close(),
    dispose: (conn) => conn[Symbol.dispose](),
    async stream(conn) {
      await conn.write(encoder.encode("streaming\n"));
      await conn.readable.pipeTo(conn.writable);
    },
    async ask(conn) {
      await conn.write(encoder.encode("what?\n"));
      await conn.write(encoder.encode(`${await lineOf(conn)}!\n`));
    },
  };
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        coroutineServe(fd, fdType, async (conn) => {
          await commands[await lineOf(conn)](conn);
        });
        console.log("serving");
      },
    }, ["alone", "-server-service", path]),
  );
}

Deno.test("coroutineServe() closes a connection when its handler has returned", async () => {
  await using server = await Server.start(commanded);
  using client = await server.connect();
  assertEquals(await client.ask("return"), "bye");
  assertEquals(await client.ending(), "end of file");
  await server.stop();
  assertEquals(server.process.stderr, "");
});

Deno.test("coroutineServe() closes just the connection whose handler throws, and logs the stack", async () => {
  await using server = await Server.start(commanded);
  using other = await server.connect();
  assertEquals(await other.ask("ask"), "what?");
  using client = await server.connect();
  await client.write("throw\n");
  assertEquals(await client.ending(), "end of file");
  await server.process.complains(
    /error while serving a connection: Error: a fault in a handler\n +at .+/,
  );
  assertEquals(await other.ask("still here"), "still here!");
  using next = await server.connect();
  assertEquals(await next.ask("return"), "bye");
  await server.stop();
});

Deno.test("coroutineServe() takes a handler that closes the connection in another way", async () => {
  await using server = await Server.start(commanded);
  for (const command of ["close", "dispose"]) {
    using client = await server.connect();
    await client.write(`${command}\n`);
    assertEquals(await client.ending(), "end of file", command);
  }
  using streamed = await server.connect();
  assertEquals(await streamed.ask("stream"), "streaming");
  assertEquals(await streamed.ask("echo"), "echo");
  await streamed.closeWrite();
  assertEquals(await streamed.ending(), "end of file");
  await server.stop();
  assertEquals(server.process.stderr, "");
});

for (const kind of ["inet", "inet by node:net", "inet by descriptor"] as const) {
  Deno.test(`serveOne() says nothing of clients that go by a reset (${kind})`, async () => {
    await using child = startFunction(import.meta, async (kind) => {
      const { serveOne } = await import("../../../src/server/coroutine/serve.ts");
      const { testListener } = await import("../service_sockets.ts");
      const { connectRaw } = await import("../raw_client.ts");
      using open = testListener(kind);
      const client = connectRaw((open.socket.addr as Deno.NetAddr).port);
      const conn = await open.listener.accept();
      let failed = "nothing";
      const served = serveOne(conn, async () => {
        const reading = conn.read(new Uint8Array(1));
        client.reset();
        await reading.catch((error) => {
          failed = error.message;
          throw error;
        });
      });
      await served;
      console.log(failed);
    }, { arg: kind });
    assertMatch(await child.succeeds(), /reset|ECONNRESET/i);
    assertEquals(child.stderr, "");
  });
}

Deno.test("coroutineServe() accepts no more at the stop, and the server waits for its handlers", async () => {
  await using server = await Server.start(commanded);
  using one = await server.connect();
  using two = await server.connect();
  assertEquals(await one.ask("ask"), "what?");
  assertEquals(await two.ask("ask"), "what?");
  server.process.signal("SIGTERM");
  // A connection that is pending when the listener is closed is not refused, but reset.
  const refused = () =>
    server.connect().then(
      (client) => client.close(),
      (error) =>
        error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound,
    );
  await eventually(async () => await refused() ?? false, { what: "a closed listener" });
  assertEquals(await one.ask("finished"), "finished!");
  assertEquals(await two.ask("finished too"), "finished too!");
  await server.process.succeeds();
});

Deno.test("coroutineListen(): the server waits at its stop until each connection is closed", async () => {
  await using server = await Server.start(async (path) => {
    const { coroutineGo, coroutineListen, coroutineServerMain } = await import(
      "../../../coroutine_server.ts"
    );
    const encoder = new TextEncoder();
    const ways: ((conn: Deno.Conn) => void)[] = [
      (conn) => conn.close(),
      (conn) => conn[Symbol.dispose](),
    ];
    Deno.exit(
      await coroutineServerMain({
        serviceRegister(_service, fd, fdType) {
          coroutineGo(async () => {
            for await (const conn of coroutineListen(fd, fdType)) {
              const end = ways.pop();
              if (end === undefined) {
                conn.readable.pipeTo(conn.writable);
                continue;
              }
              coroutineGo(async () => {
                await conn.write(encoder.encode("hello\n"));
                await conn.read(new Uint8Array(1));
                end(conn);
              });
            }
            console.log("the loop has ended");
          });
          console.log("serving");
        },
      }, ["alone", "-server-service", path]),
    );
  });
  using one = await server.connect();
  assertEquals(await one.line(), "hello");
  using two = await server.connect();
  assertEquals(await two.line(), "hello");
  using streamed = await server.connect();
  assertEquals(await streamed.ask("echo"), "echo");
  server.process.signal("SIGTERM");
  await server.process.prints(/the loop has ended\n/);
  await one.write("x");
  assertEquals(await one.ending(), "end of file");
  assertEquals(await streamed.ask("still there"), "still there");
  await two.write("x");
  assertEquals(await two.ending(), "end of file");
  await streamed.closeWrite();
  assertEquals(await streamed.ending(), "end of file");
  await server.process.succeeds();
});

Deno.test("coroutineGo() starts at once, and an error ends only its own task", async () => {
  await using child = startFunction(import.meta, async () => {
    const { coroutineGo } = await import("../../../coroutine_server.ts");
    const order: string[] = [];
    coroutineGo(() => {
      order.push("started");
    });
    order.push("returned");
    coroutineGo(() => {
      throw new Error("thrown");
    });
    coroutineGo(async function outer() {
      await Promise.resolve();
      throw new TypeError("rejected");
    });
    coroutineGo(() => Promise.reject("not even an error"));
    coroutineGo(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      order.push("another");
      console.log(order.join());
    });
  });
  const { code, stdout, stderr } = await child.ended();
  assertEquals([code, stdout], [0, "started,returned,another\n"], stderr);
  assertMatch(stderr, /error in a coroutine: Error: thrown\n +at /);
  assertMatch(stderr, /error in a coroutine: TypeError: rejected\n +at .*outer/);
  assertMatch(stderr, /error in a coroutine: not even an error/);
});
