import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { PidFile } from "../../src/os/process/lock_file.ts";
import { argumentsOf, childrenOf } from "../../src/os/process/processes.ts";
import { Client, greeted, isRefused } from "../support/client.ts";
import { type MasterOptions, MODES, pidIn, pidText, Site } from "../support/master.ts";
import { gone } from "../support/peers.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

const VERSIONED_MASTER = new URL("../support/masters/versioned.ts", import.meta.url).pathname;

/** More listeners than one message can carry. */
const MANY = 300;

/** Waits until a master has no server any more: it has ended then, or stays as a parent alone. */
async function ends(pid: number): Promise<void> {
  const isServer = (child: number) => argumentsOf(child).includes("MASTER");
  await eventually(() => !childrenOf(pid).some(isServer), {
    what: `the end of the servers of process ${pid}`,
  });
}

/** Whether a process that may have ended has one of some listeners. */
function listens(pid: number, inodes: readonly (number | undefined)[]): boolean {
  try {
    const open = [...descriptorsOf(pid).values()];
    return inodes.some((inode) => open.includes(`socket:[${inode}]`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A master whose program can be replaced by another version. */
class Versions {
  readonly #path: string;

  constructor(site: Site) {
    this.#path = site.dir.file("version.mjs");
    this.install("first");
  }

  get options(): MasterOptions {
    return { program: VERSIONED_MASTER, env: { VERSION: this.#path } };
  }

  /** Puts a version in place that says its name, and does something before it serves. */
  install(name: string, before = ""): void {
    Deno.writeTextFileSync(
      this.#path,
      `export async function beforeService() {\n  console.error("version ${name}");\n${before}\n}\n`,
    );
  }

  /** Puts something in place that can't even be loaded. */
  installNonsense(): void {
    Deno.writeTextFileSync(this.#path, "this is no program");
  }
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: an upgrade keeps sockets, queues and connections`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    site.serve("a.cf", { mode, service: `127.0.0.1:${port},${path}`, "server-proc-count": 2 });
    const versions = new Versions(site);
    const master = await site.start(versions.options);
    const before = await master.serving("a.cf", 2);
    const inodes = [port, path].map(listenerInode), file = Deno.statSync(path).ino;
    using kept = await greeted(port);
    versions.install("second");
    const old = await master.upgrade();
    await master.logs(/version second/);
    assertNotEquals(master.pid, old);
    assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
    assertEquals([port, path].map(listenerInode), inodes);
    assertEquals(Deno.statSync(path).ino, file);
    const pids = await master.serving("a.cf", 2);
    // The word to accept no more is still on its way to the old ones.
    await eventually(() => !before.some((pid) => listens(pid, inodes)), {
      what: "the old processes to close their listeners",
    });
    for (const target of [port, path]) {
      using client = await greeted(target);
      assert(pids.includes(pidIn(client)), "an old process has accepted");
    }
    // The old one is there as long as its clients are.
    assertEquals(await kept.ask("echo still here"), "still here");
    assert(existsSync(`/proc/${old}`));
    kept.close();
    await ends(old);
    assert(existsSync(path), "the socket file is gone with the old master");
    (await greeted(path)).close();
    await master.reload();
    await master.stop();
  });
}

Deno.test("five upgrades, one after the other, and nobody else ever gets the lock", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  let tries = 0, running = true;
  const rival = (async () => {
    while (running) {
      const lock = PidFile.tryLock(site.pidFile);
      assertEquals(lock, undefined, "the lock was free");
      assertMatch(Deno.readTextFileSync(site.pidFile), /^\d+\n+$/);
      tries++;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  const first = [...descriptorsOf(master.pid).values()].length;
  for (let count = 0; count < 5; count++) {
    const old = await master.upgrade();
    using client = await greeted(port);
    assertEquals(await client.ask("echo here"), "here");
    client.close();
    await ends(old);
  }
  running = false;
  await rival;
  assert(tries > 20, `the lock was tried ${tries} times only`);
  // One more: the socket to the old master, which is closed with it.
  await eventually(() => descriptorsOf(master.pid).size <= first, {
    what: `${descriptorsOf(master.pid).size} descriptors to be ${first} again`,
  });
  await master.stop();
});

Deno.test(`an upgrade hands over ${MANY} listeners, and closes those that are named no longer`, async () => {
  await using site = new Site();
  const paths = Array.from({ length: MANY }, (_, index) => site.socket(`s${index}`));
  const service = (count: number) => paths.slice(0, count).join();
  site.serve("a.cf", { mode: "coroutine", service: service(MANY) });
  const master = await site.start();
  const inodes = paths.map(listenerInode);
  site.serve("a.cf", { mode: "coroutine", service: service(MANY - 1) });
  const old = await master.upgrade();
  await master.logs(/listeners: 299 kept, closed unix:/);
  await ends(old);
  assertEquals(paths.slice(0, -1).map(listenerInode), inodes.slice(0, -1));
  await eventually(() => !existsSync(paths[MANY - 1]), { what: "the last socket to be removed" });
  assertEquals(paths.filter((path) => existsSync(path)).length, MANY - 1);
  (await greeted(paths[MANY - 2])).close();
  await master.stop();
});

Deno.test("an upgrade opens what the files name meanwhile", async () => {
  await using site = new Site();
  const [first, second] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "aio", service: first });
  const master = await site.start();
  site.serve("b.cf", { mode: "aio", service: second });
  await master.upgrade();
  for (const port of [first, second]) (await greeted(port)).close();
  await master.stop();
});

/** How a new master can fail, and what the log says then. */
const FAILURES: Readonly<
  Record<string, { readonly spoil: (site: Site, port: number) => void; readonly why: RegExp }>
> = {
  "finds a mistake in a file": {
    spoil: (site) => site.write("b.cf", { "server-service": "nonsense" }),
    why: /it has ended: exit code 1/,
  },
  "can't open an address": {
    spoil: (site) => site.serve("b.cf", { mode: "aio", service: site.busyPort() }),
    why: /it has ended: exit code 1/,
  },
  "has servers that die": {
    spoil: (site, port) => {
      site.serve("a.cf", { mode: "aio", service: port, "exit-at-start": 3 });
    },
    why: /it has ended: exit code 1/,
  },
  "has servers that are never ready": {
    spoil: (site, port) => {
      const settings = { "ready-when": site.dir.file("never"), "server-ready-timeout": 1 };
      site.serve("a.cf", { mode: "aio", service: port, ...settings });
    },
    why: /it has ended: exit code 1/,
  },
};

for (const [how, { spoil, why }] of Object.entries(FAILURES)) {
  Deno.test(`all goes on as before when the new master ${how}`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    site.serve("a.cf", { mode: "aio", service: port });
    site.serve("c.cf", { mode: "coroutine", service: path });
    const master = await site.start();
    const pids = [...await master.serving("a.cf", 1), ...await master.serving("c.cf", 1)];
    using kept = await greeted(port);
    spoil(site, port);
    assertMatch(await master.upgradeFailed(), why);
    assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
    await eventually(() => site.processes().length === 3, { what: "the end of all that is new" });
    assertEquals(site.processes().map(({ pid }) => pid).sort(), [master.pid, ...pids].sort());
    assert(existsSync(path));
    using client = await greeted(path);
    assert(pids.includes(pidIn(client)));
    assertEquals(await kept.ask("echo all the time"), "all the time");
    client.close(), kept.close();
    await master.stop();
  });
}

Deno.test("all goes on as before when the new program does not even start, or never ends starting", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const versions = new Versions(site);
  const master = await site.start(versions.options);
  const pids = await master.serving("a.cf", 1);
  versions.install("broken", "throw new Error('no');");
  assertMatch(await master.upgradeFailed(), /it has ended: exit code 1/);
  versions.installNonsense();
  assertMatch(await master.upgradeFailed(), /it has ended: exit code 1/);
  assertEquals(master.logged(/is told to end: it has ended/), 0, master.log);
  assertEquals(await master.serving("a.cf", 1), pids);
  // Only the one that never ends starting may meet this: on a busy machine all others take longer.
  site.write("all.gcf", { "master-upgrade-timeout": 1 });
  await master.reload();
  const before = await master.serving("a.cf", 1);
  versions.install("slow", "await new Promise((resolve) => setTimeout(resolve, 60_000));");
  assertMatch(
    await master.upgradeFailed(),
    /it was not ready within 1 s \(master-upgrade-timeout\)/,
  );
  assertEquals(await master.serving("a.cf", 1), before);
  versions.install("good");
  site.write("all.gcf", {});
  await master.reload();
  await master.upgrade();
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("a server that dies within its soak time undoes an upgrade", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { mode: "coroutine", service: port } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  site.serve("a.cf", { ...settings, "server-soak": 30 });
  master.signal("SIGUSR2");
  await master.logs(/\] serviceRegister/, 2);
  const fresh = await eventually(
    () => site.processes().find(({ pid, argv }) => pid !== old && argv.includes("MASTER")),
    { what: "the new server" },
  );
  Deno.kill(fresh.pid, "SIGKILL");
  await master.logs(/upgrade failed, all goes on as before/);
  using client = await greeted(port);
  assertEquals(pidIn(client), old);
  client.close();
  await master.stop();
});

Deno.test("a SIGTERM in the middle of an upgrade ends both masters", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const settings = { mode: "aio", service: `127.0.0.1:${port},${path}` } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  using client = await greeted(port);
  site.serve("a.cf", { ...settings, "ready-when": site.dir.file("never") });
  master.signal("SIGUSR2");
  await master.logs(/\] beforeService/, 2);
  master.signal("SIGTERM");
  await master.closes(port);
  assertEquals(await client.ask("echo in flight"), "in flight");
  client.close();
  await master.stopped();
});

Deno.test("a new master that has not taken over yet and is told to stop, twice, leaves the old one alone", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { mode: "coroutine", service: port } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const [server] = await master.serving("a.cf", 1);
  site.serve("a.cf", { ...settings, "ready-when": site.dir.file("never") });
  master.signal("SIGUSR2");
  const [, candidate] = await master.logs(/upgrade: process (\d+) is to take over/);
  await master.logs(/\] beforeService/, 2);
  Deno.kill(Number(candidate), "SIGTERM");
  await master.logs(/stopping; servers have/);
  Deno.kill(Number(candidate), "SIGTERM");
  await master.logs(/upgrade failed, all goes on as before/);
  assertEquals(await master.serving("a.cf", 1), [server]);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("a SIGTERM after an upgrade ends what the old master still has, within the time", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port });
  const master = await site.start({ args: ["-master-stop-timeout", "3"] });
  using _kept = await greeted(port);
  const old = await master.upgrade();
  assert(existsSync(`/proc/${old}`));
  await master.stop();
});

Deno.test("a second SIGUSR2 during an upgrade is ignored, and a SIGHUP reaches the new master", async () => {
  await using site = new Site();
  const port = site.port(), ready = site.dir.file("ready");
  const settings = { mode: "coroutine", service: port, "ready-when": ready } as const;
  Deno.writeTextFileSync(ready, "");
  site.serve("a.cf", settings);
  const master = await site.start();
  Deno.removeSync(ready);
  master.signal("SIGUSR2");
  await master.logs(/upgrade: process/);
  master.signal("SIGUSR2");
  await master.logs(/ignored a SIGUSR2: an upgrade is under way/);
  site.serve("a.cf", { ...settings, own: "newest" });
  master.signal("SIGHUP");
  const old = master.pid;
  Deno.writeTextFileSync(ready, "");
  await master.logs(/ reloaded\n/);
  await ends(old);
  using client = await greeted(port);
  assertEquals(await client.ask("setting own"), "newest");
  master.pid = Number(Deno.readTextFileSync(site.pidFile));
  client.close();
  await master.stop();
});

Deno.test("a SIGUSR2 during a reload comes after it", async () => {
  await using site = new Site();
  const port = site.port(), ready = site.dir.file("ready");
  const settings = { mode: "coroutine", service: port } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  site.serve("a.cf", { ...settings, "ready-when": ready });
  await master.reloadBegun();
  const upgraded = master.upgrade();
  Deno.writeTextFileSync(ready, "");
  await upgraded;
  assert(master.log.indexOf(" reloaded ") < master.log.indexOf("is to take over"));
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("a new master goes on alone when the old one is killed in the middle", async () => {
  await using site = new Site();
  const port = site.port(), ready = site.dir.file("ready");
  const settings = { mode: "coroutine", service: port } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  site.serve("a.cf", { ...settings, "ready-when": ready });
  master.signal("SIGUSR2");
  await master.logs(/\] beforeService/, 2);
  master.signal("SIGKILL");
  await master.process.ended();
  using waiting = await Client.connect(port);
  Deno.writeTextFileSync(ready, "");
  assertMatch(await waiting.line(), /^coroutine /);
  master.pid = await eventually(() => {
    const pid = Number(Deno.readTextFileSync(site.pidFile));
    return pid !== master.pid && pid;
  }, { what: "the pid of the new master" });
  waiting.close();
  master.signal("SIGTERM");
  await site.isGone(10_000);
  assert(await isRefused(port));
});

Deno.test("a server that has detached goes on after an upgrade", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port });
  const master = await site.start();
  using client = await greeted(port);
  assertEquals(await client.ask("detach"), "detached");
  await master.logs(/has detached/);
  const old = await master.upgrade();
  const servers = () => site.processes().filter(({ argv }) => argv.includes("MASTER"));
  await eventually(() => servers().length === 2, { what: "the end of the old server" });
  await master.reload();
  // With it the detached server would end, too.
  assert(existsSync(`/proc/${old}`), "the old master has ended");
  assertEquals(await client.ask("echo alive"), "alive");
  client.close();
  await master.stop();
});

Deno.test("no more old masters drain than there may be", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  site.write("all.gcf", { "master-max-generations": 1 });
  const master = await site.start();
  using first = await greeted(port);
  const oldest = await master.upgrade();
  using second = await greeted(port);
  const old = await master.upgrade();
  await ends(oldest);
  assertEquals(await first.ending(), "end of file");
  assert(existsSync(`/proc/${old}`));
  assertEquals(await second.ask("echo mine stays"), "mine stays");
  second.close();
  await ends(old);
  await master.stop();
});

Deno.test("an upgrade loses no line of the log service", async () => {
  await using site = new Site();
  const port = site.port(), socket = site.socket("log.socket");
  Deno.mkdirSync(site.dir.file("logs"));
  const target = `masterlog,${socket}`;
  site.serve("a.cf", { mode: "coroutine", service: port, "server-log": target, own: "first" });
  const args = ["-log-service", `${socket},${site.dir.file("logs")}/,day`];
  const master = await site.start({ args });
  const file = Deno.statSync(socket).ino;
  const lines = () =>
    [...Deno.readDirSync(site.dir.file("logs"))].map(({ name }) =>
      Deno.readTextFileSync(`${site.dir.file("logs")}/${name}`)
    ).join("");
  await eventually(() => lines().includes("beforeService with first"), { what: "the first line" });
  site.serve("a.cf", { mode: "coroutine", service: port, "server-log": target, own: "second" });
  const old = await master.upgrade();
  await ends(old);
  assertEquals(Deno.statSync(socket).ino, file);
  await eventually(() => lines().includes("beforeService with second"), {
    what: "the second line",
  });
  assertEquals(lines().match(/serviceRegister/g)?.length, 2);
  await master.stop();
});

Deno.test("all goes on as before when the new master can't take over what it has to", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  site.serve("a.cf", { mode: "aio", service: `127.0.0.1:${port},${path}` });
  const master = await site.start();
  const [server] = await master.serving("a.cf", 1);
  site.write("all.gcf", { "log-service": `${site.dir.file("none/log")},x,day` });
  assertMatch(await master.upgradeFailed(), /it has ended: exit code 1/);
  assertStringIncludes(master.log, "log-service: Cannot receive log lines at ");
  assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
  assertEquals(PidFile.tryLock(site.pidFile), undefined);
  for (const target of [port, path]) {
    using client = await greeted(target);
    assertEquals(pidIn(client), server);
  }
  site.write("all.gcf", {});
  await master.upgrade();
  (await greeted(path)).close();
  await master.stop();
});

Deno.test("a new master goes on alone even when its servers fail, once the old one is killed", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const settings = { mode: "coroutine", service: `127.0.0.1:${port},${path}` } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const inode = listenerInode(port), ready = site.dir.file("ready");
  site.serve("a.cf", { ...settings, "ready-when": ready, "server-ready-timeout": 2 });
  master.signal("SIGUSR2");
  await master.logs(/\] beforeService/, 2);
  master.signal("SIGKILL");
  await master.logs(/the old master is gone, so this one goes on all the same/);
  Deno.writeTextFileSync(ready, "");
  (await greeted(path)).close();
  assertEquals(listenerInode(port), inode, "not the same socket");
  master.pid = await eventually(() => {
    const pid = Number(Deno.readTextFileSync(site.pidFile));
    return pid !== master.pid && pid;
  }, { what: "the pid of the new master" });
  master.signal("SIGTERM");
  await site.isGone(10_000);
});

Deno.test("a stop does not wait for an old master that hangs longer than it may", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
  using _kept = await greeted(port);
  const old = await master.upgrade();
  Deno.kill(old, "SIGSTOP");
  master.signal("SIGTERM");
  await master.logs(new RegExp(`the old master, process ${old}, is killed`));
  await site.isGone(10_000);
});

Deno.test("an old master ends though its program does nothing for it", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const program = new URL("../support/masters/quiet_end.ts", import.meta.url).pathname;
  const master = await site.start({ program });
  const old = await master.upgrade();
  await ends(old);
  const next = await master.upgrade();
  // The first one stays as the parent, the second one has nothing to stay for.
  await gone(next);
  await master.logs(/the master has ended with 0/);
  await master.stop();
  await master.logs(/the master has ended with 0/, 3);
});

Deno.test("an upgrade fails where somebody has put another pid file in place", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  Deno.renameSync(site.pidFile, `${site.pidFile}.old`);
  assertMatch(await master.upgradeFailed(), /it has ended: exit code 1/);
  assertStringIncludes(master.log, "pid-file: Cannot take over ");
  Deno.renameSync(`${site.pidFile}.old`, site.pidFile);
  const old = await master.upgrade();
  await ends(old);
  await master.stop();
});

Deno.test("an old master passes on what is meant for the new one", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using kept = await greeted(port);
  const old = await master.upgrade();
  Deno.kill(old, "SIGHUP");
  await master.logs(new RegExp(`master\\[${master.pid}\\] reloaded`));
  Deno.kill(old, "SIGUSR2");
  await master.logs(new RegExp(`process \\d+ has taken over`), 2);
  kept.close();
  await gone(master.pid);
  master.pid = Number(Deno.readTextFileSync(site.pidFile));
  Deno.kill(old, "SIGTERM");
  await master.stopped();
});

Deno.test("a master that was replaced by one of the first one's says who has taken over", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.upgrade();
  using kept = await greeted(port);
  const second = await master.upgrade();
  Deno.kill(second, "SIGUSR2");
  await master.logs(new RegExp(`ignored a SIGUSR2: process ${master.pid} has taken over`));
  kept.close();
  await gone(second);
  await master.stop();
});
