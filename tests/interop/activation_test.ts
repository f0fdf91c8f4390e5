import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { closeFd, openDescriptors } from "../../src/os/fd/descriptor.ts";
import { type ListenAddress, socketPair } from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { type GivenDescriptor, startGiven } from "../support/activation.ts";
import { Client, greeted } from "../support/client.ts";
import { targetOf } from "../support/descriptors.ts";
import { type Master, MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { gone } from "../support/peers.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

const SYSTEMD_SOCKET_ACTIVATE = "/usr/bin/systemd-socket-activate";

/** A listener of the test, which plays systemd: it holds it before, during and after the master. */
class Held implements Disposable {
  readonly fd: number;
  /** What it is, such as `socket:[4600]`: the same in every process that has it. */
  readonly target: string;

  constructor(address: ListenAddress) {
    this.fd = openListener(address).fd;
    this.target = targetOf(this.fd)!;
  }

  /** Whether a process has the very same one. */
  isIn(pid: number): boolean {
    return [...descriptorsOf(pid).values()].includes(this.target);
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

function held(port: number): Held {
  return new Held({ kind: "inet", hostname: "127.0.0.1", port });
}

function start(site: Site, given: readonly GivenDescriptor[]): Promise<Master> {
  return startGiven(given, (options) => site.start(options));
}

/** The names in the environment that a process was started with. */
function environmentOf(pid: number): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").map((text) =>
    text.split("=")[0]
  );
}

Deno.test("a master serves the very sockets that it was started with, and what waits in them", async () => {
  await using site = new Site();
  const port = site.port(), named = site.port(), opened = site.port(), path = site.dir.file("u");
  using tcp = held(port);
  using other = held(named);
  using unix = new Held({ kind: "unix", path });
  const inode = Deno.lstatSync(path).ino;
  site.serve("a.cf", {
    mode: "coroutine",
    // The second has another address here than where it listens.
    service: `127.0.0.1:${port} web://127.0.0.1:9 ${path} 127.0.0.1:${opened}`,
  });
  using early = await Client.connect(port);
  using earlyToo = await Client.connect(path);
  const master = await start(site, [
    { fd: unix.fd },
    { fd: other.fd, name: "web" },
    { fd: tcp.fd, name: "web" },
  ]);
  const pid = Number((await early.line()).split(" ")[1]);
  await earlyToo.line();
  using byName = await greeted(named);
  assertStringIncludes(byName.greeting, "web");
  (await greeted(opened)).close();
  for (const one of [tcp, other, unix]) {
    assert(one.isIn(master.pid), "the master has another socket");
    assert(one.isIn(pid), "the server has another socket");
  }
  assertMatch(master.log, /listeners: opened inet:\S+ inet:127.0.0.1:9 unix:\S+ inet:\S+;/);
  assertStringIncludes(
    master.log,
    `not opened but given at the start: inet:127.0.0.1:${port} ` +
      `inet:127.0.0.1:${named} as inet:127.0.0.1:9 unix:${path}`,
  );
  assertEquals(environmentOf(pid).filter((name) => name.startsWith("LISTEN_")), []);
  for (const client of [early, earlyToo, byName]) client.close();

  master.process.signal("SIGTERM");
  assertEquals((await master.process.ended()).code, 0);
  assertEquals(listenerInode(opened), undefined, "a listener of its own is left");
  assertEquals(Deno.lstatSync(path).ino, inode);
  for (const target of [port, named, path]) (await Client.connect(target)).close();
});

Deno.test("a reload that drops a given socket keeps it, with its queue, for one that names it again", async () => {
  await using site = new Site();
  const port = site.port(), path = site.dir.file("u"), own = site.port();
  using tcp = held(port);
  using unix = new Held({ kind: "unix", path });
  const both = { mode: "aio", service: `127.0.0.1:${port} ${path}` } as const;
  site.serve("a.cf", both);
  const master = await start(site, [{ fd: tcp.fd, name: "x" }, { fd: unix.fd }]);
  const first = await greeted(port);
  first.close();

  site.serve("a.cf", { ...both, service: own });
  await master.reload();
  await master.logs(
    new RegExp(` warn \\S+ no service has inet:127.0.0.1:${port}, .* 3 with the name x`),
  );
  await master.logs(new RegExp(` warn \\S+ no service has unix:${path}, .* descriptor 4: `));
  await gone(pidIn(first));
  assert(existsSync(path));
  const waiting = await Promise.all([Client.connect(port), Client.connect(path)]);

  site.serve("a.cf", both);
  await master.reload();
  for (const client of waiting) {
    const [, pid] = (await client.line()).split(" ");
    assert(tcp.isIn(Number(pid)) && unix.isIn(Number(pid)));
    client.close();
  }
  master.process.signal("SIGTERM");
  assertEquals((await master.process.ended()).code, 0);
  assert(existsSync(path));
});

Deno.test("a given socket of both families serves an address of IPv4", async () => {
  await using site = new Site();
  const port = site.port();
  const before = openDescriptors();
  // The runtime's is one of both, as systemd's are.
  using listener = Deno.listen({ hostname: "::", port });
  const [fd, target] = [...openDescriptors()].find(([fd, target]) =>
    target.startsWith("socket:") && before.get(fd) !== target
  )!;
  site.serve("a.cf", { mode: "coroutine", service: `0:${port}` });
  const master = await start(site, [{ fd }]);
  using client = await greeted(port);
  assert([...descriptorsOf(pidIn(client)).values()].includes(target));
  assertStringIncludes(master.log, `inet:[::]:${port} as inet:0.0.0.0:${port}`);
  client.close();
  listener.close();
  await master.stop();
});

Deno.test("a master takes its sockets from systemd's own starter", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: `web://0:${port}` });
  if (!existsSync(SYSTEMD_SOCKET_ACTIVATE)) {
    console.log(`without systemd-socket-activate (package "systemd"), so only the rest is tested`);
    using tcp = held(port);
    const master = await start(site, [{ fd: tcp.fd, name: "web" }]);
    (await greeted(port)).close();
    assert(tcp.isIn(master.pid));
    master.process.signal("SIGTERM");
    assertEquals((await master.process.ended()).code, 0);
    return;
  }
  // It starts the program when the first connection is there, and becomes it.
  const prefix = [SYSTEMD_SOCKET_ACTIVATE, "-l", `${port}`, "--fdname=web"];
  for (const name of ["PATH", "HOME", "DENO_DIR", ...Object.keys(site.environment)]) {
    prefix.push("-E", name);
  }
  const starting = site.start({ prefix });
  using client = await eventually(async () => {
    try {
      return await Client.connect(port);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
  }, { what: "systemd-socket-activate to listen" });
  const master = await starting;
  await client.line();
  assertMatch(master.log, /given at the start: inet:\S+:\d+( as inet:0.0.0.0:\d+)?/);
  client.close();
  await master.stop();
});

Deno.test("a master under another master serves that one's sockets, over its own restart", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("u");
  const inner = site.dir.file("inner");
  Deno.mkdirSync(inner);
  const pidFile = site.dir.file("inner.pid");
  site.write("a.cf", {
    "server-command": `deno run -A ${MASTER_PROGRAM} -C ${inner} -pid-file ${pidFile}`,
    "server-protocol": "systemd",
    "server-service": `127.0.0.1:${port} local://${path}`,
  });
  site.serve("../inner/b.cf", {
    mode: "coroutine",
    service: `127.0.0.1:${port} local:///nowhere/u`,
  });
  const master = await site.start();
  using client = await greeted(port);
  (await greeted(path)).close();
  const [{ pid: innerPid }] = master.servers();
  const target = `socket:[${listenerInode(port)}]`;
  for (const pid of [master.pid, innerPid, pidIn(client)]) {
    assert([...descriptorsOf(pid).values()].includes(target), `process ${pid} has another socket`);
  }
  client.close();
  Deno.kill(innerPid, "SIGTERM");
  await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 0/);
  using next = await greeted(port);
  assert(pidIn(next) !== pidIn(client));
  assertEquals(`socket:[${listenerInode(port)}]`, target);
  assert(existsSync(path), "the inner master has removed the outer one's file");
  next.close();
  await master.stop();
});

Deno.test("a master refuses to start with what is no listener, and with variables that are wrong", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const [one, two] = socketPair();
  const args = ["-C", site.conf, "-pid-file", site.pidFile];
  const run = async (env: Record<string, string>) => {
    const { code, stderr } = await startGiven(
      [{ fd: one }],
      (options) => site.run(args, options),
      { env },
    ).ended();
    return { code, stderr: stderr.trim() };
  };
  const socket = targetOf(one);
  assertEquals(await run({}), {
    code: 1,
    stderr:
      `LISTEN_FDS: Cannot serve descriptor 3: ${socket}, expected a listening stream socket or a named pipe`,
  });
  assertEquals(await run({ LISTEN_FDS: "many" }), {
    code: 1,
    stderr: 'LISTEN_FDS: Cannot take "many": no number, expected a number of descriptors',
  });
  assert(!existsSync(site.pidFile));
  closeFd(one);
  closeFd(two);
});

Deno.test("a new master has the sockets that the old one was started with, and keeps them as it did", async () => {
  await using site = new Site();
  const port = site.port(), path = site.dir.file("u"), own = site.port();
  using tcp = held(port);
  using unix = new Held({ kind: "unix", path });
  const both = { mode: "coroutine", service: `127.0.0.1:${port} name://127.0.0.1:9` } as const;
  site.serve("a.cf", { ...both, service: own });
  const master = await start(site, [{ fd: tcp.fd }, { fd: unix.fd, name: "name" }]);
  await master.upgrade();
  assert(tcp.isIn(master.pid) && unix.isIn(master.pid));
  using waiting = await Client.connect(port);
  site.serve("a.cf", { ...both, service: `127.0.0.1:${port} name://${path}.other` });
  await master.reload();
  const [, pid] = (await waiting.line()).split(" ");
  assert(tcp.isIn(Number(pid)) && unix.isIn(Number(pid)));
  waiting.close();
  // The old one has nothing left to do but to wait for its end.
  await master.logs(/its servers have finished, it waits for process \d+/);
  master.signal("SIGTERM");
  await gone(master.pid);
  assert(existsSync(path));
  (await Client.connect(port)).close();
});
