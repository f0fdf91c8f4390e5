import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ControlClient, ControlRequestError } from "../../../src/control/client.ts";
import { MAX_REQUEST_BYTES } from "../../../src/control/messages.ts";
import {
  ControlSocket,
  type ControlSocketOptions,
  MAX_CLIENTS,
} from "../../../src/master/control/control_socket.ts";
import { type CommandHandlers, ControlError } from "../../../src/master/control/requests.ts";
import { systemClock } from "../../../src/os/clock/clock.ts";
import { Poller } from "../../../src/os/fd/poller.ts";
import { countedDescriptors, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";

const NOTHING = { outcome: "committed", rolledBack: [], durationMs: 1, warnings: [] } as const;
const READY = { type: "ready", atMs: 1, service: "a.cf", pid: 7 } as const;
const NO_PLAN = { services: [], listeners: [], warnings: [] };

/** Handlers that answer at once, but for those that a test gives. */
function handlers(own: Partial<CommandHandlers>): CommandHandlers {
  const unexpected = (): never => {
    throw new Error("not expected in this test");
  };
  return {
    hello: () => ({ pid: Deno.pid, version: "1", deno: "2", configDirectory: null }),
    status: unexpected,
    plan: () => NO_PLAN,
    reload: unexpected,
    restart: unexpected,
    start: unexpected,
    stop: unexpected,
    scale: unexpected,
    upgrade: unexpected,
    wait: unexpected,
    events: (_, client) => {
      client.subscribe(() => true);
      return null;
    },
    logs: unexpected,
    ...own,
  };
}

/** Runs a test with an open control socket. */
async function withSocket(
  own: Partial<CommandHandlers>,
  use: (path: string, socket: ControlSocket, log: string[]) => Promise<void>,
  options: Pick<ControlSocketOptions, "admitted" | "paceMs"> = {},
): Promise<void> {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const log: string[] = [];
    const poller = new Poller((error) => {
      throw error;
    });
    const socket = ControlSocket.open({
      path: `${dir.path}/control.sock`,
      name: "control socket",
      poller,
      clock: systemClock,
      commands: handlers(own),
      ...options,
      log: (text) => log.push(text),
    });
    try {
      await use(socket.path, socket, log);
    } finally {
      socket.close();
    }
  });
}

/** A client without a library: sends text, and receives lines. */
class RawClient implements Disposable {
  readonly #conn: Deno.UnixConn;
  #rest = "";

  private constructor(conn: Deno.UnixConn) {
    this.#conn = conn;
  }

  static async connect(path: string): Promise<RawClient> {
    return new RawClient(await Deno.connect({ transport: "unix", path }));
  }

  async send(data: string | Uint8Array): Promise<void> {
    let bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (bytes.length > 0) bytes = bytes.subarray(await this.#conn.write(bytes));
  }

  /** The next line as a value; undefined at the end. */
  async receive(): Promise<Record<string, unknown> | undefined> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return JSON.parse(line);
      }
      const length = await within(this.#conn.read(buffer), { what: "a line" });
      if (length === null) return undefined;
      this.#rest += new TextDecoder().decode(buffer.subarray(0, length));
    }
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

Deno.test("the control socket has the mode 0600, and its file is gone after close()", async () => {
  let left = "";
  await withSocket({}, (path) => {
    left = path;
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    return Promise.resolve();
  });
  await assertRejects(() => Deno.lstat(left), Deno.errors.NotFound);
});

Deno.test("a client of another user is refused, also where it can reach the socket", async () => {
  let asked = 0;
  const plan = () => {
    asked++;
    return NO_PLAN;
  };
  await withSocket({ plan }, async (path) => {
    Deno.chmodSync(path.slice(0, path.lastIndexOf("/")), 0o755);
    Deno.chmodSync(path, 0o666);
    await using other = startFunction(import.meta, async (path) => {
      const { becomeOrdinaryUser } = await import("../../support/privileges.ts");
      becomeOrdinaryUser();
      const conn = await Deno.connect({ transport: "unix", path });
      // The master may have closed it before.
      await conn.write(new TextEncoder().encode('{"v":1,"id":1,"do":"plan"}\n')).catch(() => {});
      const room = new Uint8Array(1_000), length = await conn.read(room);
      console.log(new TextDecoder().decode(room.subarray(0, length ?? 0)).trimEnd());
    }, { arg: path });
    const { ok, error } = JSON.parse(await other.nextLine());
    const isRoot = Deno.uid() === 0;
    assertEquals([ok, asked], isRoot ? [false, 0] : [true, 1]);
    if (isRoot) assertMatch(error.message, /^Cannot obey user 65534: .*expected root$/);
  });
});

Deno.test("an admitted user may connect beside root, and owns the file; any other user is refused", async () => {
  for (const [admitted, isAdmitted] of [[65_534, true], [65_533, false]] as const) {
    await withSocket({}, async (path) => {
      const isRoot = Deno.uid() === 0, { mode, uid } = Deno.statSync(path);
      assertEquals([mode! & 0o777, uid], [0o600, isRoot ? admitted : Deno.uid()]);
      Deno.chmodSync(path.slice(0, path.lastIndexOf("/")), 0o755);
      // Even if it could be reached by its file.
      if (!isAdmitted) Deno.chmodSync(path, 0o666);
      await using other = startFunction(import.meta, async (path) => {
        const { becomeOrdinaryUser } = await import("../../support/privileges.ts");
        becomeOrdinaryUser();
        const conn = await Deno.connect({ transport: "unix", path });
        await conn.write(new TextEncoder().encode('{"v":1,"id":1,"do":"hello"}\n')).catch(() => {});
        const room = new Uint8Array(1_000), length = await conn.read(room);
        console.log(new TextDecoder().decode(room.subarray(0, length ?? 0)).trimEnd());
      }, { arg: path });
      const { ok } = JSON.parse(await other.nextLine());
      assertEquals(ok, isAdmitted || !isRoot);
    }, { admitted });
  }
});

Deno.test("a socket with a pace obeys no client faster, and every one in the end", async () => {
  let asked = 0;
  const plan = () => (asked++, NO_PLAN);
  await withSocket({ plan }, async (path) => {
    const beginMs = systemClock.nowMs();
    using client = await RawClient.connect(path);
    await client.send('{"v":1,"id":1,"do":"plan"}\n'.repeat(6));
    for (let count = 0; count < 6; count++) assertEquals((await client.receive())?.ok, true);
    assert(systemClock.nowMs() - beginMs >= 5 * 30);
    assertEquals(asked, 6);
  }, { paceMs: 30 });
});

Deno.test("ControlClient.request() gets the result, and what the master waits for", async () => {
  const reload: CommandHandlers["reload"] = ({ services }, client) => {
    assertEquals(services, ["a.cf"]);
    client.progress("waiting for a.cf");
    return { ...NOTHING, plan: NO_PLAN };
  };
  await withSocket({ reload }, async (path) => {
    using client = await ControlClient.connect(path);
    const told: string[] = [];
    const outcome = await client.request("reload", { services: ["a.cf"] }, {
      onProgress: (text) => told.push(text),
    });
    assertEquals(outcome?.outcome, "committed");
    assertEquals(told, ["waiting for a.cf"]);
    assertEquals((await client.request("hello")).pid, Deno.pid);
  });
});

Deno.test("ControlClient.request() rejects with the master's failure", async () => {
  const scale = (): never => {
    throw new ControlError("unknown-service", 'Cannot scale "a.cf": no such service');
  };
  await withSocket({ scale }, async (path) => {
    using client = await ControlClient.connect(path);
    const error = await assertRejects(
      () => client.request("scale", { service: "a.cf", count: 1 }),
      ControlRequestError,
      "no such service",
    );
    assertEquals(error.failure.code, "unknown-service");
  });
});

Deno.test("ControlClient.events() gets events until the master closes the socket", async () => {
  await withSocket({}, async (path, socket) => {
    using client = await ControlClient.connect(path);
    const events = await client.events();
    socket.tell([READY]);
    socket.tell([READY]);
    socket.close();
    assertEquals(await within(Array.fromAsync(events), { what: "the events" }), [READY, READY]);
  });
});

const MISTAKES: readonly (readonly [line: string, code: string, message: RegExp])[] = [
  ["hello", "bad-request", /^Cannot read the request "hello": .*, expected JSON such as /],
  ["[]", "bad-request", /found no object|: no object, expected/],
  ['{"v":1,"do":"hello"}', "bad-request", /argument "id": found none, expected a whole number/],
  ['{"v":9,"id":1,"do":"hello"}', "bad-request", /argument "v": found 9, expected 1/],
  ['{"v":1,"id":1}', "bad-request", /argument "do": found none/],
  ['{"v":1,"id":1,"do":"statsu"}', "unknown-command", /no command has this name, expected status$/],
  ['{"v":1,"id":1,"do":"toString"}', "unknown-command", /expected one of hello status/],
  ['{"v":1,"id":1,"do":"hello","x":1}', "bad-request", /an argument x, expected no argument/],
  [
    '{"v":1,"id":1,"do":"scale","service":"a","count":"2"}',
    "bad-request",
    /argument "count": found "2", expected a whole number from 0 on/,
  ],
  ['{"v":1,"id":1,"do":"stop","services":[]}', "bad-request", /expected a list of texts/],
];

Deno.test("a wrong request gets a message that says what is wrong, and the client goes on", async () => {
  await withSocket({}, async (path) => {
    using client = await RawClient.connect(path);
    for (const [line, code, message] of MISTAKES) {
      await client.send(`${line}\n`);
      const answer = await client.receive();
      const error = answer?.error as Record<string, string>;
      assertEquals([answer?.ok, error.code], [false, code], line);
      assertMatch(error.message, message);
    }
    await client.send('{"v":1,"id":7,"do":"hello"}\n');
    assertEquals((await client.receive())?.id, 7);
  });
});

Deno.test("a request that is nested as deeply as it can be gets a message, and no line in the log", async () => {
  await withSocket({}, async (path, _, log) => {
    using client = await RawClient.connect(path);
    const deep = "[".repeat(30_000) + "]".repeat(30_000);
    for (const line of [deep, `{"v":1,"id":${deep}}`, `{"v":1,"id":1,"do":${deep}}`]) {
      await client.send(`${line}\n`);
      assertEquals(((await client.receive())?.error as Record<string, string>).code, "bad-request");
    }
    assertEquals(log, []);
  });
});

Deno.test("an unexpected error of a command is logged with its stack, and told to the client", async () => {
  await withSocket({}, async (path, _, log) => {
    using client = await ControlClient.connect(path);
    const error = await assertRejects(() => client.request("upgrade"), ControlRequestError);
    assertEquals(error.failure.code, "failed");
    assertStringIncludes(error.message, "unexpected error: Error: not expected in this test; the");
    assertEquals(log.length, 1);
    assertMatch(
      log[0],
      /^unexpected error in a command: Error: not expected in this test\n +at .*_test\.ts/,
    );
  });
});

Deno.test("a line that is too long or no UTF-8 gets a message, and ends the connection", async () => {
  const lines = [new Uint8Array(MAX_REQUEST_BYTES + 1).fill(0x20), new Uint8Array([0xff, 0x0a])];
  await withSocket({}, async (path) => {
    for (const line of lines) {
      using client = await RawClient.connect(path);
      await client.send(line);
      const error = (await client.receive())?.error as Record<string, string>;
      assertStringIncludes(error.message, "Cannot read a line: found ");
      assertEquals(await client.receive(), undefined);
    }
  });
});

Deno.test("requests of a client are answered one after the other, in order", async () => {
  let under = 0, most = 0;
  const hello = async () => {
    most = Math.max(most, ++under);
    await new Promise<void>((resolve) => systemClock.setTimer(1, resolve));
    under--;
    return { pid: 1, version: "", deno: "", configDirectory: null };
  };
  await withSocket({ hello }, async (path) => {
    using client = await RawClient.connect(path);
    const ids = Array.from({ length: 20 }, (_, id) => id);
    await client.send(ids.map((id) => `{"v":1,"id":${id},"do":"hello"}\n`).join(""));
    for (const id of ids) assertEquals((await client.receive())?.id, id);
    assertEquals(most, 1);
  });
});

Deno.test("a client that sends requests and never reads keeps little of the memory", async () => {
  let answered = 0;
  const plan = () => {
    answered++;
    const id = "x".repeat(100_000);
    return { ...NO_PLAN, services: [{ id, change: "left", why: "" } as const] };
  };
  await withSocket({ plan }, async (path) => {
    using flood = await RawClient.connect(path);
    const request = new TextEncoder().encode('{"v":1,"id":1,"do":"plan"}\n'.repeat(1_000));
    // It blocks as soon as the master reads no more.
    const sent = flood.send(request).then(() => flood.send(request));
    using other = await ControlClient.connect(path);
    let before = -1;
    await eventually(async () => {
      for (let i = 0; i < 20; i++) await other.request("hello");
      const isStill = answered === before;
      before = answered;
      return isStill;
    }, { what: "the end of the answers" });
    // One MiB, one more answer, and what the kernel keeps.
    assert(answered < 25, `${answered} answers are kept`);
    // Ends the send that is still under way.
    sent.catch(() => {});
  });
});

Deno.test("an answer may be larger than what may wait for a client", async () => {
  const id = "x".repeat(3 << 20);
  const plan = () => ({
    ...NO_PLAN,
    services: [{ id, change: "left", why: "" } as const],
  });
  await withSocket({ plan }, async (path) => {
    using client = await ControlClient.connect(path);
    const { services } = await client.request("plan");
    assertEquals(services[0].id.length, id.length);
    assertEquals((await client.request("hello")).pid, Deno.pid);
  });
});

Deno.test("after withdraw() a client that has not read its answer gets it, and then the end", async () => {
  const id = "x".repeat(900_000), answered = Promise.withResolvers<void>();
  const plan = () => {
    answered.resolve();
    return { ...NO_PLAN, services: [{ id, change: "left", why: "" } as const] };
  };
  await withSocket({ plan }, async (path, socket) => {
    using client = await RawClient.connect(path);
    using other = await ControlClient.connect(path);
    await client.send('{"v":1,"id":1,"do":"plan"}\n');
    await within(answered.promise, { what: "the request" });
    // The answer waits by then: the turns of both clients alternate.
    for (let i = 0; i < 20; i++) await other.request("hello");
    socket.withdraw();
    assertEquals((await client.receive())?.ok, true);
    assertEquals(await client.receive(), undefined);
  });
});

Deno.test("more clients than may be connected are closed, even if they never read", async () => {
  const id = "x".repeat(900_000);
  const plan = () => ({
    ...NO_PLAN,
    services: [{ id, change: "left", why: "" } as const],
  });
  const openFiles = () => countedDescriptors().size;
  await withSocket({ plan }, async (path) => {
    const before = openFiles(), clients: RawClient[] = [];
    for (let i = 0; i < 40; i++) {
      const client = await RawClient.connect(path);
      clients.push(client);
      await client.send('{"v":1,"id":1,"do":"plan"}\n');
    }
    using last = await ControlClient.connect(path);
    await last.request("hello");
    // Its end at this side, those of the clients, and of these 32 at the master's.
    assert(openFiles() - before <= 1 + 40 + 32, `${openFiles() - before} descriptors are open`);
    for (const client of clients) client[Symbol.dispose]();
  });
});

Deno.test("a subscriber that never reads is disconnected", async () => {
  await withSocket({}, async (path, socket) => {
    using client = await RawClient.connect(path);
    await client.send('{"v":1,"id":1,"do":"events"}\n');
    assertEquals((await client.receive())?.ok, true);
    const text = "x".repeat(50_000);
    using other = await ControlClient.connect(path);
    await other.request("hello");
    for (let i = 0; i < 200; i++) {
      socket.tell([{ type: "failed", atMs: i, service: "a.cf", reason: text }]);
    }
    let count = 0;
    while (await client.receive() !== undefined) count++;
    assert(count < 100, `${count} events are kept`);
  });
});

Deno.test("a client that reads is not disconnected, however many lines come at once", async () => {
  const logs: CommandHandlers["logs"] = (_, client) => {
    client.subscribe(() => true);
    return { lines: [] };
  };
  await withSocket({ logs }, async (path, socket) => {
    using client = await RawClient.connect(path);
    await client.send('{"v":1,"id":1,"do":"logs","follow":true}\n');
    await client.receive();
    // In JSON each of these characters is six.
    const line = { type: "line", atMs: 1, level: "info", service: "a.cf", pid: 7 } as const;
    const lines = Array.from({ length: 12 }, (_, index) => {
      return { ...line, stream: "stdout", text: "\0".repeat(16_384), key: `${index}` } as const;
    });
    socket.tell(lines.slice(0, 5));
    socket.tell(lines);
    let received = 0, dropped = 0;
    while (received + dropped < 5 + lines.length) {
      const answer = await client.receive() as
        | { readonly event: { readonly type: string; readonly lines?: number } }
        | undefined;
      assert(answer !== undefined, `disconnected after ${received} lines`);
      if (answer.event.type === "line") received++;
      dropped += answer.event.lines ?? 0;
    }
    assert(received > 5);
    assert(dropped > 0);
  });
});

Deno.test("the client that has been idle longest makes room for a new one", async () => {
  await withSocket({}, async (path) => {
    const clients: ControlClient[] = [];
    for (let i = 0; i < 40; i++) {
      const client = await ControlClient.connect(path);
      clients.push(client);
      await client.request("hello");
    }
    await within(clients[0].closed(), { what: "the end of the first client" });
    assertEquals((await clients[39].request("hello")).pid, Deno.pid);
    for (const client of clients) client.close();
  });
});

Deno.test("ControlClient.request() tells why the master has closed the connection before", async () => {
  await withSocket({}, async (path) => {
    using first = await ControlClient.connect(path);
    await first.request("hello");
    const others: ControlClient[] = [];
    for (let i = 0; i < MAX_CLIENTS; i++) {
      const client = await ControlClient.connect(path);
      others.push(client);
      await client.request("hello");
    }
    const error = await assertRejects(() => first.request("hello"), ControlRequestError);
    assertEquals(error.failure.code, "busy");
    await assertRejects(() => first.request("hello"), Deno.errors.UnexpectedEof);
    for (const client of others) client.close();
  });
});

Deno.test("after withdraw() no client can connect, but one that waits gets its answer", async () => {
  const release = Promise.withResolvers<void>(), asked = Promise.withResolvers<void>();
  const stop = async () => {
    asked.resolve();
    await release.promise;
    return null;
  };
  await withSocket({ stop }, async (path, socket) => {
    using waiting = await ControlClient.connect(path);
    using idle = await ControlClient.connect(path);
    await idle.request("hello");
    const stopped = waiting.request("stop");
    await within(asked.promise, { what: "the request" });
    socket.withdraw();
    await within(idle.closed(), { what: "the end of the idle client" });
    await assertRejects(() => ControlClient.connect(path), Deno.errors.NotFound);
    release.resolve();
    assertEquals(await stopped, null);
  });
});

Deno.test("withdraw() goes on if the socket can't be removed, and says so", async () => {
  await withSocket({}, async (path, socket, log) => {
    const directory = path.slice(0, path.lastIndexOf("/"));
    using client = await ControlClient.connect(path);
    await client.request("hello");
    // Its file is the same, but it is a directory on the way that is none any more.
    Deno.renameSync(directory, `${directory}.moved`);
    Deno.writeTextFileSync(directory, "");
    try {
      socket.withdraw();
      await within(client.closed(), { what: "the end of the client" });
      assertMatch(log.join(), /^the control socket is left: /);
    } finally {
      Deno.removeSync(directory);
      Deno.renameSync(`${directory}.moved`, directory);
    }
  });
});

Deno.test("withdraw() can leave the file to the new master that replaces it", async () => {
  await withSocket({}, async (path, socket) => {
    socket.withdraw({ leavesFile: true });
    assert(Deno.lstatSync(path).isSocket);
    await assertRejects(() => ControlClient.connect(path), Deno.errors.ConnectionRefused);
    // Another file takes its place; it must not have the inode number of this one.
    Deno.removeSync(path);
    const files = Array.from(
      { length: 50 },
      (_, index) => index === 49 ? path : `${path}.${index}`,
    );
    const others = files.map((one) => Deno.listen({ transport: "unix", path: one }));
    socket.removeFile();
    assert(Deno.lstatSync(path).isSocket);
    for (const one of others) one.close();
  });
});

Deno.test("removeFile() removes a file that was left and not replaced", async () => {
  await withSocket({}, async (path, socket) => {
    socket.withdraw({ leavesFile: true });
    socket.removeFile();
    await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
  });
});
