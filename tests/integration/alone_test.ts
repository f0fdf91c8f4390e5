import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, type Target } from "../support/client.ts";
import { example, MODES, SERVERS, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { withDenoInPath } from "../support/peers.ts";
import type { TestProcess } from "../support/processes.ts";
import { eventually } from "../support/wait.ts";

/** Starts a server by hand, and waits until it has registered so many services. */
async function alone(
  site: Site,
  { program, args, services = 1 }: {
    readonly program: string;
    readonly args: readonly string[];
    readonly services?: number;
  },
): Promise<TestProcess> {
  const server = site.run(args, { program });
  for (let count = 0; count < services; count++) await server.complains(/\] serviceRegister /);
  return server;
}

/** Waits until nobody listens there any more. */
async function closed(target: Target): Promise<void> {
  await eventually(() => listenerInode(target) === undefined, { what: `the end of ${target}` });
}

/** Fails unless a server finishes a line after a signal, with its listeners closed, and ends. */
async function finishes(
  server: TestProcess,
  { signal, port, path }: {
    readonly signal: Deno.Signal;
    readonly port: number;
    readonly path: string;
  },
): Promise<void> {
  using client = await greeted(path);
  await client.write("echo half");
  server.signal(signal);
  await closed(port);
  assert(!existsSync(path), "the socket file outlives its listener");
  await client.write(" and half\n");
  assertEquals(await client.line(), "half and half");
  client.close();
  assertEquals((await server.ended()).code, 0);
}

for (const mode of MODES) {
  const program = SERVERS[mode];

  Deno.test(`${mode} mode: alone, a server opens all of its addresses itself, and a SIGTERM lets the connections finish`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port()], path = site.socket("sock");
    const fifo = site.dir.file("fifo");
    const list = `imapd://0:${ports[0]},127.0.0.1:${ports[1]};ssl://local:${path} fifo:${fifo}`;
    site.write("all.gcf", { shared: "by all", both: "shared" });
    const file = site.write("imapd.cf", { own: "of the file", both: "own", given: "file" });
    const args = ["-server-config-path", site.conf, "-config", file, "-given", "argument"];
    const server = await alone(site, {
      program,
      args: ["alone", "-server-service", list, ...args],
      services: 4,
    });
    const expected = [
      [ports[0], `${mode} ${server.pid} imapd inet`],
      [ports[1], `${mode} ${server.pid} - inet`],
      [path, `${mode} ${server.pid} ssl unix`],
    ] as const;
    for (const [target, greeting] of expected) {
      using client = await greeted(target);
      assertEquals(client.greeting, greeting);
      assertEquals(await client.ask("setting shared"), "by all");
      assertEquals(await client.ask("setting own"), "of the file");
      assertEquals(await client.ask("setting both"), "own");
      assertEquals(await client.ask("setting given"), "argument");
    }
    await Deno.writeTextFile(fifo, "by hand\n", { create: false });
    await server.complains(/from the fifo: by hand/);
    await finishes(server, { signal: "SIGTERM", port: ports[0], path });
    await site.isGone();
  });

  Deno.test(`${mode} mode: alone, a SIGINT lets the connections finish`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    const list = `127.0.0.1:${port},${path}`;
    const args = ["alone", "-server-service", list];
    const server = await alone(site, { program, args, services: 2 });
    await finishes(server, { signal: "SIGINT", port, path });
    await site.isGone();
  });

  Deno.test(`${mode} mode: alone, a server takes its addresses from its settings file too, and a second SIGTERM ends the wait for connections`, async () => {
    await using site = new Site();
    const port = site.port();
    const file = site.write("x.cf", { "server-service": `127.0.0.1:${port}` });
    const server = await alone(site, { program, args: ["alone", "-config", file] });
    using client = await greeted(port);
    server.signal("SIGTERM");
    await closed(port);
    server.signal("SIGTERM");
    assertEquals(await client.ending(), "end of file");
    assertEquals((await server.ended()).code, 0);
  });
}

Deno.test("alone, a server that drains leaves the socket of the next server in place", async () => {
  await using site = new Site();
  const path = site.socket("sock");
  const start = () =>
    alone(site, { program: SERVERS.coroutine, args: ["alone", "-server-service", path] });
  const first = await start();
  using client = await greeted(path);
  first.signal("SIGTERM");
  await closed(path);
  const second = await start();
  assertEquals(await client.ask("echo old"), "old");
  client.close();
  assertEquals((await first.ended()).code, 0);
  (await greeted(path)).close();
  second.signal("SIGTERM");
  assertEquals((await second.ended()).code, 0);
  await site.isGone();
});

Deno.test("alone, -exit-after ends a server after that time", async () => {
  await using site = new Site();
  const args = ["alone", "-server-service", site.socket("sock"), "-exit-after", "1"];
  const server = await alone(site, { program: SERVERS.aio, args });
  assertEquals((await server.ended()).code, 0);
  await site.isGone();
});

Deno.test("alone, a server without addresses or shared settings runs on, as LIB-ZC's do", async () => {
  await using site = new Site();
  const dead = `${site.conf}/dead.gcf`;
  Deno.symlinkSync("/no/such/file", dead);
  site.write("all.gcf", { own: "shared" });
  const file = site.write("x.cf", { "exit-after": "5sec", "server-log": "paper" });
  const server = site.run(["alone", "-server-config-path", site.conf, "-config", file], {
    program: SERVERS.aio,
  });
  // Warnings come first, then the hooks.
  await server.complains(/ warn \S+ .*dead\.gcf: Cannot read settings file .*nowhere/);
  await server.complains(/ warn \S+ .*x\.cf:2: server-log: Cannot read "paper": .*as LIB-ZC does/);
  await server.complains(/ warn \S+ .*x\.cf:1: exit-after: Cannot read "5sec": .*as LIB-ZC does/);
  await server.complains(/ warn \S+ no address to serve/);
  await server.complains(/beforeService with shared/);
  server.signal("SIGTERM");
  assertEquals((await server.ended()).code, 0);
  const other = site.run(["alone", "-server-config-path", "/no/such"], { program: SERVERS.aio });
  await other.complains(/ warn \S+ \/no\/such: Cannot read settings directory "\/no\/such"/);
  await other.complains(/beforeService/);
  other.signal("SIGTERM");
  assertEquals((await other.ended()).code, 0);
});

Deno.test("a server that is started without a mode gives a command to copy, which works", async () => {
  await using site = new Site();
  const program = example("aio_server.ts");
  const { code, stderr } = await site.run([], { program }).ended();
  assertEquals(code, 1);
  const command = /such as: (.*)\n/.exec(stderr)?.[1] ?? "";
  assertEquals(command, `deno run -A ${program} alone -server-service 127.0.0.1:8899`, stderr);
  const port = site.port();
  const copied = command.replace("8899", String(port));
  const server = site.execute(["sh", "-c", `exec ${copied}`], { env: withDenoInPath(site) });
  await eventually(() => listenerInode(port) !== undefined, { what: "the listener" });
  // It takes the signal by then.
  (await greeted(port)).close();
  server.signal("SIGTERM");
  assertEquals((await server.ended()).code, 0);
});

/** Command lines that a server can't start with, and what it says. */
const BAD_ARGUMENTS: Readonly<Record<string, (site: Site) => [args: string[], said: RegExp]>> = {
  "no argument": () => [[], /aio_server alone -server-service /],
  "another word": () => [["serve"], /"serve".*aio_server alone -server-service /],
  "a malformed address": () => [
    ["alone", "-server-service", "localhost:80"],
    /argument -server-service: Cannot listen on "localhost:80": a host name, expected /,
  ],
  "an address in use, and a good one": (site) => [
    ["alone", "-server-service", `${site.socket("good")},127.0.0.1:${site.busyPort()}`],
    /argument -server-service: .*127\.0\.0\.1:\d+.*address in use/,
  ],
  "a socket in a directory that is missing": () => [
    ["alone", "-server-service", "/nowhere/socket"],
    /argument -server-service: Cannot listen on "\/nowhere\/socket": .*ENOENT\), expected a path in /,
  ],
  "an argument without its value": () => [
    ["alone", "-server-service"],
    /Cannot read argument "-server-service": no value after it/,
  ],
};

for (const [what, give] of Object.entries(BAD_ARGUMENTS)) {
  Deno.test(`a server with ${what} says what it wants, and exits 1`, async () => {
    await using site = new Site();
    const [args, said] = give(site);
    const server = site.run(args, { program: example("aio_server.ts") });
    const { code, stderr } = await server.ended();
    assertEquals(code, 1);
    assertMatch(stderr, said);
    assert(!stderr.includes(" at "), `a stack where none is needed\n${stderr}`);
    await site.isGone();
  });
}
