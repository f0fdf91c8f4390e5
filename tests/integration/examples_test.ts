import { Buffer } from "node:buffer";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Client, greeted, type Target } from "../support/client.ts";
import { example, type Master, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { startDeno, type TestProcess } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";
import { HttpClient } from "../server/http_client.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const AIO_GREETING = "echo server, support command: exit, DETACH";
const COROUTINE_GREETING = "welcome coroutine";

/** An example that runs by itself, on a unix socket. Declare it with `await using`. */
class Alone implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly target: string = this.#dir.file("socket");
  readonly process: TestProcess;

  private constructor(name: string) {
    this.process = startDeno([
      ...["run", "-A", example(name), "alone", "-server-service", this.target],
    ]);
  }

  /**
   * Starts an example, and waits until it answers.
   *
   * @param name Its file.
   */
  static async start(name: string): Promise<Alone> {
    const alone = new Alone(name);
    // It prints nothing.
    await eventually(async () => {
      try {
        (await greeted(alone.target)).close();
        return true;
      } catch (error) {
        if (alone.process.stderr !== "") throw new Error(alone.process.stderr);
        if (error instanceof Deno.errors.NotFound) return false;
        if (error instanceof Deno.errors.ConnectionRefused) return false;
        throw error;
      }
    }, { what: `${name} to answer` });
    return alone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** What each line is answered with, but for its end. */
const ECHOES = [
  {
    name: "aio_server.ts",
    greeting: AIO_GREETING,
    answer: (line: string) => `your input:   ${line.replace(/\r$/, "")}`,
  },
  { name: "coroutine_server.ts", greeting: COROUTINE_GREETING, answer: (line: string) => line },
];

for (const { name, greeting, answer } of ECHOES) {
  const tests: (readonly [text: string, body: (target: Target, alone: Alone) => Promise<void>])[] =
    [];
  const test = (...one: typeof tests[number]) => tests.push(one);
  Deno.test(`examples/${name} alone`, async (t) => {
    await using alone = await Alone.start(name);
    for (const [text, body] of tests) {
      await t.step(text, async () => {
        await body(alone.target, alone);
        assertEquals(alone.process.stderr, "");
      });
    }
  });

  // The first of all: no connection of another test may end meanwhile.
  test("closes when its client does", async (target, { process }) => {
    const client = await greeted(target);
    const before = descriptorCount(process.pid);
    await client.ask("hello");
    await client.closeWrite();
    assertEquals(await client.ending(), "end of file");
    client.close();
    await eventually(() => descriptorCount(process.pid) < before, { what: "a closed connection" });
  });

  test("greets, and answers each line, with LF and with CRLF", async (target) => {
    using client = await greeted(target);
    assertEquals(client.greeting, greeting);
    for (const line of ["hello", "", " two  words ", "your input:   x", "ünïcödé", "exi", "\t"]) {
      assertEquals(await client.ask(line), answer(line), JSON.stringify(line));
      assertEquals(await client.ask(`${line}\r`), answer(`${line}\r`), JSON.stringify(line));
    }
  });

  test("answers what comes one byte at a time", async (target) => {
    using client = await greeted(target);
    for (const line of ["slowly", "typed\r"]) {
      for (const char of `${line}\n`) await client.write(char);
      assertEquals(await client.line(), answer(line));
    }
  });

  test("answers many lines that come at once, in their order", async (target) => {
    using client = await greeted(target);
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);
    const written = client.write(`${lines.join("\n")}\n`);
    for (const line of lines) assertEquals(await client.line(), answer(line));
    await written;
  });

  test("answers many clients at a time", async (target) => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => greeted(target)));
    const answers = clients.map(async (client, index) => {
      for (let i = 0; i < 20; i++) {
        assertEquals(await client.ask(`${index} ${i}`), answer(`${index} ${i}`));
      }
    });
    await Promise.all(answers);
    clients.forEach((client) => client.close());
  });

  for (const end of ["\n", "\r\n"]) {
    test(`answers exit with ${JSON.stringify(end)}, and closes`, async (target) => {
      using other = await greeted(target);
      using client = await greeted(target);
      await client.write(`exit${end}`);
      assertEquals(await client.line(), answer(`exit${end.slice(0, -1)}`));
      assertEquals(await client.ending(), "end of file");
      assertEquals(await other.ask("still here"), answer("still here"));
    });
  }

  test("drains at SIGTERM: it ends when its last client has gone", async (target, { process }) => {
    using client = await greeted(target);
    process.signal("SIGTERM");
    await eventually(async () => {
      try {
        (await Client.connect(target)).close();
        return false;
      } catch (error) {
        return error instanceof Deno.errors.ConnectionRefused ||
          error instanceof Deno.errors.NotFound;
      }
    }, { what: "a closed listener" });
    assertEquals(await client.ask("still here"), answer("still here"));
    await client.write("exit\n");
    await client.line();
    assertEquals(await client.ending(), "end of file");
    await process.succeeds();
  });
}

function descriptorCount(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

Deno.test("examples/aio_server.ts closes on a line that is too long", async () => {
  await using alone = await Alone.start("aio_server.ts");
  using client = await greeted(alone.target);
  await client.write("x".repeat(20_000)).catch(() => {});
  assert(["end of file", "reset"].includes(await client.ending()));
  using other = await greeted(alone.target);
  assertEquals(await other.ask("hello"), "your input:   hello");
});

Deno.test("examples/aio_server.ts counts its clients each second, also while it drains", async () => {
  await using site = new Site();
  const path = site.socket("echo");
  const args = ["alone", "-server-service", path, "--debug"];
  const server = site.run(args, { program: example("aio_server.ts") });
  await server.complains(/ L all:0, current:0/);
  const client = await greeted(path);
  using other = await greeted(path);
  await server.complains(/ [A-Z-] all:2, current:2/);
  assertEquals(await client.ask("exit"), "your input:   exit");
  await server.complains(/ [A-Z-] all:2, current:1/);
  client.close();
  server.signal("SIGTERM");
  await server.complains(/before_softstop, nothing to do/);
  await server.complains(/ [A-Z-] all:2, current:1/);
  await other.write("exit\n");
  await server.succeeds();
});

Deno.test("docs/port.md has each line of examples/aio_server.ts, and no other", () => {
  const [page] = Deno.readTextFileSync(`${ROOT}docs/port.md`).split("## What differs");
  const source = Deno.readTextFileSync(example("aio_server.ts"));
  const code = source.slice(source.indexOf("const LONGEST_LINE"));
  const words = (text: string) => text.replaceAll(/\s+/g, " ").trim();
  const cells = page.matchAll(/^\|[^|]*\| (`+)([^|]*)\1 +\|$/gm);
  const quoted = [...cells].map(([, , text]) => words(text));
  const lines = code.split("\n").map(words);
  const missing = lines.filter((line) => !quoted.some((one) => one.includes(line)));
  assertEquals(missing.filter((line) => !/^[})(;,]*$|^if \(import/.test(line)), []);
  const all = words(code);
  assertEquals(quoted.filter((one) => !all.includes(one)), []);
});

Deno.test("examples/coroutine_server.ts echoes a line that is too long for it, in pieces", async () => {
  await using alone = await Alone.start("coroutine_server.ts");
  using client = await greeted(alone.target);
  const line = "x".repeat(50_000);
  assertEquals(await client.ask(line), line);
});

/** The process that serves a service, once it is another one than before. */
async function servedBy(master: Master, file: string, before?: number): Promise<number> {
  return await eventually(
    () => master.servers(file).map(({ pid }) => pid).find((pid) => pid !== before),
    { what: `a server of ${file}` },
  );
}

Deno.test("examples/coroutine_server.ts ends for EXIT, and another one takes its place", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("echo.cf", {
    "server-command": example("coroutine_server.ts"),
    "server-service": `127.0.0.1:${port}`,
  });
  const master = await site.start();
  using client = await greeted(port);
  const before = await servedBy(master, "echo.cf");
  assertEquals(await client.ask("EXIT now"), "EXIT now");
  await client.ending();
  const after = await servedBy(master, "echo.cf", before);
  using next = await greeted(port);
  assertEquals(await next.ask("hello"), "hello");
  await master.logs(new RegExp(`process ${before} ended after \\S+ \\S+: exit code 0`));
  next.close();
  assert(after !== before);
  await master.stop();
});

Deno.test("examples/start.ts tells what listens where and how to talk to it, and is the master", async () => {
  await using site = new Site();
  const aio = site.port(), coroutine = site.port(), http = site.port(), path = site.socket("s");
  const services = [
    ["a_aio.cf", "aio_server.ts", `aio://127.0.0.1:${aio}`],
    ["b_coroutine.cf", "coroutine_server.ts", `coroutine://127.0.0.1:${coroutine}, ${path}`],
    ["c_http.cf", "http_server.ts", `http://127.0.0.1:${http}`],
  ];
  for (const [file, name, service] of services) {
    site.write(file, { "server-command": example(name), "server-service": service });
  }
  const process = site.run(["--conf", site.conf], { program: example("start.ts") });
  await process.prints(/Stop: .*\n/);
  const lines = process.stdout.split("\n").map((line) => line.trim().split(/ +/));
  const listed = lines.slice(1, 5);
  assertEquals(listed.map((words) => words[0]), [
    `127.0.0.1:${aio}`,
    `127.0.0.1:${coroutine}`,
    path,
    `127.0.0.1:${http}`,
  ]);
  for (
    const command of [
      `nc 127.0.0.1 ${aio}`,
      `nc 127.0.0.1 ${coroutine}`,
      `nc -U ${path}`,
      `curl http://127.0.0.1:${http}/`,
    ]
  ) {
    assertStringIncludes(process.stdout, command);
  }
  assertMatch(process.stdout, new RegExp(`kill -HUP ${process.pid}\\b.* kill ${process.pid}\\b`));

  await eventually(() => site.processes().length === 4, { what: "three servers" });
  for (
    const [target, greeting] of [
      [aio, AIO_GREETING],
      [coroutine, COROUTINE_GREETING],
      [path, COROUTINE_GREETING],
    ] as const
  ) {
    using client = await greeted(target);
    assertEquals(client.greeting, greeting);
  }
  using client = await HttpClient.connect(http);
  const { status, body } = await client.get("/");
  assertEquals([status, body.replace(/\d+/, "PID")], [200, "hello from process PID\n"]);
  client[Symbol.dispose]();
  process.signal("SIGINT");
  await process.succeeds();
  await site.isGone();
});

Deno.test("examples/start.ts explains itself for --help, and refuses a directory that is not there", async () => {
  await using help = startDeno(["run", "-A", example("start.ts"), "--help"]);
  assertMatch(await help.succeeds(), /^Usage: .*--conf DIR/);
  await using wrong = startDeno(["run", "-A", example("start.ts"), "--conf", "/no/such/dir"]);
  const { code, stderr } = await wrong.ended();
  assertEquals(code, 1);
  assertStringIncludes(stderr, "/no/such/dir");
});

Deno.test("examples/one_binary.ts is a master with two servers of its own, and each of them alone", async () => {
  await using site = new Site();
  const [web, echo] = [site.port(), site.port()], program = example("one_binary.ts");
  for (const [name, port] of [["web", web], ["echo", echo]] as const) {
    site.write(`${name}.cf`, {
      "server-command": `self ${name}`,
      "server-service": `${name === "web" ? "http://" : ""}127.0.0.1:${port}`,
    });
  }
  const master = await site.start({ program });
  const answer = async (port: number) => {
    using client = await HttpClient.connect(port);
    const { body } = await client.get("/");
    return body.replace(/\d+/, "PID");
  };
  assertEquals(await answer(web), "hello from process PID\n");
  using client = await Client.connect(echo);
  assertEquals(await client.ask("hello"), "hello");
  client.close();
  await master.stop();
  const alone = site.run(["web", "alone", "-server-service", `http://127.0.0.1:${web}`], {
    program,
  });
  await eventually(() => listenerInode(web) !== undefined, { what: "the server without a master" });
  assertEquals(await answer(web), "hello from process PID\n");
  alone.signal("SIGTERM");
  await alone.succeeds();
});

Deno.test("examples/conf is what the examples say of themselves", () => {
  for (const { name } of Deno.readDirSync(`${ROOT}examples/conf`)) {
    const text = Deno.readTextFileSync(`${ROOT}examples/conf/${name}`);
    const program = /^server-command = (.+)$/m.exec(text)?.[1] ?? "";
    const address = /^server-service = .*:\/\/(127\.0\.0\.1:\d+)$/m.exec(text)?.[1] ?? "";
    const source = Deno.readTextFileSync(`${ROOT}${program}`);
    assertStringIncludes(source, `\`server-command = ${program}\``);
    assertStringIncludes(source, `alone -server-service ${address}\``);
  }
});

Deno.test("deno compile makes programs of the master and of a server, with all that they load late", async () => {
  using dir = new TempDir();
  // The true one is made for that, and can't be had everywhere; all other steps are the same. The
  // types are checked by others.
  const env = { DENORT_BIN: Deno.execPath() };
  const compile = (source: string) =>
    startDeno(
      ["compile", "--no-check", "-A", "-o", dir.file("program"), `${ROOT}${source}`],
      { env },
    );
  for (
    const [source, ...late] of [
      ["master.ts", "log_service.ts"],
      ["examples/coroutine_server.ts", "node_net.ts"],
    ]
  ) {
    await using process = compile(source);
    const { code, stderr } = await process.ended(60_000);
    assertEquals(code, 0, stderr);
    assert(Deno.statSync(dir.file("program")).size > 1_000_000);
    const program = Deno.readFileSync(dir.file("program"));
    for (const name of late) assert(contains(program, name), `${name} is not in it`);
  }
});

/** Whether a name is in a file. */
function contains(file: Uint8Array<ArrayBuffer>, name: string): boolean {
  return Buffer.from(file.buffer).includes(name);
}
