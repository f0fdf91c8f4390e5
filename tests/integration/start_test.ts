import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client, greeted, type Target } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";
import { descriptorsOf, tcpSockets } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** Connects, and gives the greeting without the process. */
async function greetingAt(target: Target): Promise<string> {
  using client = await greeted(target);
  return client.greeting.replace(/ \d+ /, " ");
}

function socketsOf(pid: number): string[] {
  return [...descriptorsOf(pid).values()].filter((target) => target.startsWith("socket:"));
}

Deno.test("the master starts as many processes as each service asks for, and all ports answer", async () => {
  await using site = new Site();
  const ports = { aio: site.port(), coroutine: site.port(), one: site.port() };
  site.serve("a.cf", { mode: "aio", service: ports.aio, "server-proc-count": 2 });
  site.serve("b.cf", { mode: "coroutine", service: ports.coroutine, "server-proc-count": 3 });
  site.serve("c.cf", { mode: "coroutine", service: ports.one });
  const master = await site.start();
  await Promise.all([master.serving("a.cf", 2), master.serving("b.cf", 3)]);
  await master.serving("c.cf", 1);
  const ready = / info master\[\d+\] all services are ready after \S+ \S+ \((.*)\)\n/;
  assertEquals((await master.logs(ready))[1], "services: 3, processes: 6, addresses: 3");
  assertEquals(master.servers().length, 6);
  assertEquals(await greetingAt(ports.aio), "aio - inet");
  assertEquals(await greetingAt(ports.coroutine), "coroutine - inet");
  assertEquals(await greetingAt(ports.one), "coroutine - inet");
  await master.stop();
});

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server is told the name and the type of each of its services`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port(), site.port()];
    const paths = [site.socket("a"), site.socket("b")];
    const fifo = site.dir.file("fifo");
    const list = `imapd://127.0.0.1:${ports[0]}, imapd-ssl://127.0.0.1:${ports[1]};` +
      `imapd://local:${paths[0]} imapd://${paths[1]},127.0.0.1:${ports[2]} in://fifo:${fifo}`;
    site.serve("imapd.cf", { mode, service: list });
    const master = await site.start();
    assertEquals(await greetingAt(ports[0]), `${mode} imapd inet`);
    assertEquals(await greetingAt(ports[1]), `${mode} imapd-ssl inet`);
    assertEquals(await greetingAt(ports[2]), `${mode} - inet`);
    assertEquals(await greetingAt(paths[0]), `${mode} imapd unix`);
    assertEquals(await greetingAt(paths[1]), `${mode} imapd unix`);
    await Deno.writeTextFile(fifo, "through the pipe\n", { create: false });
    await master.logs(/from the fifo: through the pipe\n/);
    assertEquals(await exchange(ports[0], "echo hello"), "hello");
    await master.stop();
  });
}

async function exchange(target: Target, line: string): Promise<string> {
  using client = await greeted(target);
  return await client.ask(line);
}

Deno.test("a relative unix path starts from the master's working directory", async () => {
  await using site = new Site();
  const path = site.socket("sock");
  site.serve("a.cf", { mode: "coroutine", service: "./sock" });
  const master = await site.start();
  assertEquals(await greetingAt(path), "coroutine - unix");
  await master.stop();
});

Deno.test("a server's arguments name its files, its services and its control descriptor", async () => {
  await using site = new Site();
  const [first, second] = [site.port(), site.port()];
  const service = `127.0.0.1:${first},ssl://127.0.0.1:${second},${site.socket("u")},` +
    `fifo:${site.dir.file("f")}`;
  site.serve("x.cf", { mode: "aio", service, args: ["--one", "-two", "2"] });
  const master = await site.start();
  await master.serving("x.cf", 1);
  const { argv } = master.servers()[0];
  const start = argv.indexOf("--one");
  const control = argv.at(-1)!;
  assertEquals(argv.slice(start), [
    ...["--one", "-two", "2", "MASTER"],
    ...["-server-config-path", site.conf],
    ...["-config", `${site.conf}/x.cf`],
    ...["-server-service", ":i5,ssl:i6,:u7,:f8"],
    ...["-server-control", control],
  ]);
  assertMatch(control, /^\d+$/);
  await master.stop();
});

Deno.test("a service with server-proc-count 0 has its port open and no process", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 0 });
  const master = await site.start();
  const before = socketsOf(master.pid);
  using client = await Client.connect(port);
  await client.write("echo anybody?\n");
  const server = await eventually(
    () =>
      tcpSockets().find((socket) =>
        socket.localPort === port && socket.remotePort === client.localPort
      ),
    { what: "the server's end of the connection" },
  );
  assertEquals(server.inode, 0, "somebody has accepted the connection");
  assertEquals(socketsOf(master.pid), before);
  assertEquals(master.servers(), []);
  await master.stop();
});

for (const mode of MODES) {
  Deno.test(`${mode} mode: connections are accepted by the process, never by the master`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port });
    const master = await site.start();
    const [pid] = await master.serving("a.cf", 1);
    const before = socketsOf(master.pid);
    const clients = await Promise.all(Array.from({ length: 5 }, () => greeted(port)));
    assertEquals(clients.map(pidIn), Array(5).fill(pid));
    assertEquals(socketsOf(master.pid), before);
    assertConnectionsOf(pid, { port, count: 5 });
    clients.forEach((client) => client.close());
    await master.stop();
  });
}

function assertConnectionsOf(pid: number, { port, count }: { port: number; count: number }): void {
  const own = socketsOf(pid);
  const found = tcpSockets().filter(({ localPort, listens, inode }) =>
    localPort === port && !listens && own.includes(`socket:[${inode}]`)
  );
  assertEquals(found.length, count);
}

Deno.test("the processes of a service share the master's own listener", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master: Master = await site.start();
  const pids = await master.serving("a.cf", 2);
  const { inode } = tcpSockets().find((socket) => socket.listens && socket.localPort === port)!;
  for (const pid of [master.pid, ...pids]) {
    assert(socketsOf(pid).includes(`socket:[${inode}]`), `process ${pid} has another socket`);
  }
  await master.stop();
});

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server-command has plain arguments of its own`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port, args: ["one", "-own", "two", "three"] });
    const master = await site.start();
    using client = await greeted(port);
    assertEquals(await client.ask("setting own"), "two");
    assertEquals(await client.ask("quit"), "bye");
    await master.stop();
  });
}
