import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client, greeted, type Target } from "../support/client.ts";
import { type Master, type ModeName, MODES, pidIn, Site } from "../support/master.ts";
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

/** Waits until all services of a site are ready; what the log says of them. */
async function allReady(master: Master): Promise<string> {
  const ready = / info master\[\d+\] all services are ready after \S+ \S+ \((.*)\)\n/;
  return (await master.logs(ready))[1];
}

Deno.test("the master starts as many processes as each service asks for, all ports answer, and processes share the master's own listener", async () => {
  await using site = new Site();
  const ports = { aio: site.port(), coroutine: site.port(), one: site.port() };
  site.serve("a.cf", { mode: "aio", service: ports.aio, "server-proc-count": 2 });
  site.serve("b.cf", { mode: "coroutine", service: ports.coroutine, "server-proc-count": 3 });
  site.serve("c.cf", { mode: "coroutine", service: ports.one });
  const master = await site.start();
  const [, pids] = await Promise.all([master.serving("a.cf", 2), master.serving("b.cf", 3)]);
  await master.serving("c.cf", 1);
  assertEquals(await allReady(master), "services: 3, processes: 6, addresses: 3");
  assertEquals(master.servers().length, 6);
  assertEquals(await greetingAt(ports.aio), "aio - inet");
  assertEquals(await greetingAt(ports.coroutine), "coroutine - inet");
  assertEquals(await greetingAt(ports.one), "coroutine - inet");
  const { inode } = tcpSockets().find(({ listens, localPort }) =>
    listens && localPort === ports.coroutine
  )!;
  for (const pid of [master.pid, ...pids]) {
    assert(socketsOf(pid).includes(`socket:[${inode}]`), `process ${pid} has another socket`);
  }
  await master.stop();
});

/** A service with addresses of all kinds, with names and without. */
function named(site: Site, mode: ModeName) {
  const ports = [site.port(), site.port(), site.port()];
  const paths = [site.socket(`${mode}-a`), site.socket(`${mode}-b`)];
  const fifo = site.dir.file(`${mode}-fifo`);
  const service = `imapd://127.0.0.1:${ports[0]}, imapd-ssl://127.0.0.1:${ports[1]};` +
    `imapd://local:${paths[0]} imapd://${paths[1]},127.0.0.1:${ports[2]} in://fifo:${fifo}`;
  site.serve(`${mode}.cf`, { mode, service, args: ["one", "-own", "two", "three"] });
  return { mode, ports, paths, fifo };
}

Deno.test("what servers are told, where they listen, and who accepts", async (t) => {
  await using site = new Site();
  const services = MODES.map((mode) => named(site, mode));
  const relative = site.socket("sock");
  site.serve("relative.cf", { mode: "coroutine", service: "./sock" });
  const [first, second] = [site.port(), site.port()];
  const service = `127.0.0.1:${first},ssl://127.0.0.1:${second},${site.socket("u")},` +
    `fifo:${site.dir.file("f")}`;
  site.serve("x.cf", { mode: "aio", service, args: ["--one", "-two", "2"] });
  const unserved = site.port();
  site.serve("none.cf", { mode: "coroutine", service: unserved, "server-proc-count": 0 });
  const master = await site.start();
  for (const file of [...MODES.map((mode) => `${mode}.cf`), "relative.cf", "x.cf"]) {
    await master.serving(file, 1);
  }
  await allReady(master);

  for (const { mode, ports, paths, fifo } of services) {
    await t.step(
      `${mode} mode: a server is told the name and the type of each of its services`,
      async () => {
        assertEquals(await greetingAt(ports[0]), `${mode} imapd inet`);
        assertEquals(await greetingAt(ports[1]), `${mode} imapd-ssl inet`);
        assertEquals(await greetingAt(ports[2]), `${mode} - inet`);
        assertEquals(await greetingAt(paths[0]), `${mode} imapd unix`);
        assertEquals(await greetingAt(paths[1]), `${mode} imapd unix`);
        await Deno.writeTextFile(fifo, `through the pipe of ${mode}\n`, { create: false });
        await master.logs(new RegExp(`from the fifo: through the pipe of ${mode}\n`));
        using client = await greeted(ports[0]);
        assertEquals(await client.ask("echo hello"), "hello");
      },
    );

    await t.step(`${mode} mode: a server-command has plain arguments of its own`, async () => {
      using client = await greeted(ports[2]);
      assertEquals(await client.ask("setting own"), "two");
      assertEquals(await client.ask("quit"), "bye");
    });

    await t.step(
      `${mode} mode: connections are accepted by the process, never by the master`,
      async () => {
        const [port] = ports, [pid] = await master.serving(`${mode}.cf`, 1);
        await eventually(() => connectionsOf(pid, port) === 0, { what: "no connection" });
        const before = socketsOf(master.pid);
        const clients = await Promise.all(Array.from({ length: 5 }, () => greeted(port)));
        assertEquals(clients.map(pidIn), Array(5).fill(pid));
        assertEquals(socketsOf(master.pid), before);
        assertEquals(connectionsOf(pid, port), 5);
        clients.forEach((client) => client.close());
      },
    );
  }

  await t.step("a relative unix path starts from the master's working directory", async () => {
    assertEquals(await greetingAt(relative), "coroutine - unix");
  });

  await t.step(
    "a server's arguments name its files, its services and its control descriptor",
    () => {
      const { argv } = master.servers("x.cf")[0];
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
    },
  );

  await t.step("a service with server-proc-count 0 has its port open and no process", async () => {
    const before = socketsOf(master.pid);
    using client = await Client.connect(unserved);
    await client.write("echo anybody?\n");
    const server = await eventually(
      () =>
        tcpSockets().find((socket) =>
          socket.localPort === unserved && socket.remotePort === client.localPort
        ),
      { what: "the server's end of the connection" },
    );
    assertEquals(server.inode, 0, "somebody has accepted the connection");
    assertEquals(socketsOf(master.pid), before);
    assertEquals(master.servers("none.cf"), []);
    assertEquals(master.servers().length, services.length + 2);
  });
  await master.stop();
});

/** How many connections of a port a process has accepted. */
function connectionsOf(pid: number, port: number): number {
  const own = socketsOf(pid);
  return tcpSockets().filter(({ localPort, listens, inode }) =>
    localPort === port && !listens && own.includes(`socket:[${inode}]`)
  ).length;
}
