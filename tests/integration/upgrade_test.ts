import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { PidFile } from "../../src/os/process/lock_file.ts";
import { argumentsOf, childrenOf } from "../../src/os/process/processes.ts";
import { Client, Clients, greeted, isRefused } from "../support/client.ts";
import { answering, type MasterOptions, MODES, pidIn, pidText, Site } from "../support/master.ts";
import { gone, successorOf } from "../support/peers.ts";
import { descriptorsOf, listenerInode, type ProcessInfo } from "../support/proc.ts";
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

Deno.test("both modes: an upgrade keeps sockets, queues and connections", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const file = `${mode}.cf`, port = site.port(), path = site.socket(mode);
    const service = `127.0.0.1:${port},${path}`;
    site.serve(file, { mode, service, "server-proc-count": 2 });
    return { file, targets: [port, path], path };
  });
  const versions = new Versions(site);
  const master = await site.start(versions.options);
  using clients = new Clients();
  const before = await Promise.all(services.map(async ({ file, targets, path }) => ({
    pids: await master.serving(file, 2),
    inodes: targets.map(listenerInode),
    ino: Deno.statSync(path).ino,
    kept: await clients.greeted(targets[0]),
  })));
  versions.install("second");
  const old = await master.upgrade();
  await master.logs(/version second/);
  assertNotEquals(master.pid, old);
  assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
  for (const [index, { file, targets, path }] of services.entries()) {
    const { pids: oldPids, inodes, ino, kept } = before[index];
    assertEquals(targets.map(listenerInode), inodes, file);
    assertEquals(Deno.statSync(path).ino, ino, file);
    const pids = await master.serving(file, 2);
    // The word to accept no more is still on its way to the old ones.
    await eventually(() => !oldPids.some((pid) => listens(pid, inodes)), {
      what: `the old processes of ${file} to close their listeners`,
    });
    for (const target of targets) {
      using client = await greeted(target);
      assert(pids.includes(pidIn(client)), `an old process of ${file} has accepted`);
    }
    // The old one is there as long as its clients are.
    assertEquals(await kept.ask("echo still here"), "still here", file);
    assert(existsSync(`/proc/${old}`));
    kept.close();
  }
  await ends(old);
  for (const { path } of services) {
    assert(existsSync(path), "the socket file is gone with the old master");
    (await greeted(path)).close();
  }
  await master.reload();
  await master.stop();
});

Deno.test("three upgrades, one after the other, and nobody else ever gets the lock", async () => {
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
  for (let count = 0; count < 3; count++) {
    const tried = tries;
    const old = await master.upgrade();
    assert(tries > tried, "the lock was not tried during an upgrade");
    using client = await greeted(port);
    assertEquals(await client.ask("echo here"), "here");
    client.close();
    await ends(old);
  }
  await eventually(() => tries > 20, { what: "more tries of the lock" });
  running = false;
  await rival;
  // One more: the socket to the old master, which is closed with it.
  await eventually(() => descriptorsOf(master.pid).size <= first, {
    what: `${descriptorsOf(master.pid).size} descriptors to be ${first} again`,
  });
  await master.stop();
});

Deno.test(`an upgrade hands over ${MANY} listeners, closes those that are named no longer, and opens what is named anew`, async () => {
  await using site = new Site();
  const paths = Array.from({ length: MANY }, (_, index) => site.socket(`s${index}`));
  const service = (count: number) => paths.slice(0, count).join();
  site.serve("a.cf", { mode: "coroutine", service: service(MANY) });
  const master = await site.start();
  const inodes = paths.map(listenerInode);
  const added = site.port();
  site.serve("a.cf", { mode: "coroutine", service: service(MANY - 1) });
  site.serve("b.cf", { mode: "aio", service: added });
  const old = await master.upgrade();
  await master.logs(/listeners: 299 kept, opened inet:\S+, closed unix:/);
  (await greeted(added)).close();
  await ends(old);
  assertEquals(paths.slice(0, -1).map(listenerInode), inodes.slice(0, -1));
  await eventually(() => !existsSync(paths[MANY - 1]), { what: "the last socket to be removed" });
  assertEquals(paths.filter((path) => existsSync(path)).length, MANY - 1);
  (await greeted(paths[MANY - 2])).close();
  await master.stop();
});

/** How a new master can fail, what the log says then, and what else has to be undone. */
const FAILURES: Readonly<
  Record<
    string,
    {
      readonly spoil: (site: Site, port: number) => void;
      readonly restore?: (site: Site) => void;
      readonly why: RegExp;
    }
  >
> = {
  "finds a mistake in a file": {
    spoil: (site) => site.write("b.cf", { "server-service": "nonsense" }),
    restore: (site) => site.remove("b.cf"),
    why: /b\.cf:1: server-service: Cannot /,
  },
  "can't open an address": {
    spoil: (site) => site.serve("b.cf", { mode: "aio", service: site.busyPort() }),
    restore: (site) => site.remove("b.cf"),
    why: /b\.cf:\d+: server-service: .*address in use/,
  },
  "has servers that die": {
    spoil: (site, port) => {
      site.serve("a.cf", { mode: "aio", service: port, "exit-at-start": 3 });
    },
    why: /process \d+ ended after \S+ \S+: exit code 3/,
  },
  "has servers that are never ready": {
    spoil: (site, port) => {
      const settings = { "ready-when": site.dir.file("never"), "server-ready-timeout": 1 };
      site.serve("a.cf", { mode: "aio", service: port, ...settings });
    },
    why: /process \d+ was not ready within 1 s/,
  },
  "can't receive the log lines that it has to": {
    spoil: (site) => site.write("all.gcf", { "log-service": `${site.dir.file("none/log")},x,day` }),
    why: /log-service: Cannot receive log lines at /,
  },
  "finds another pid file in place": {
    spoil: (site) => Deno.renameSync(site.pidFile, `${site.pidFile}.old`),
    restore: (site) => Deno.renameSync(`${site.pidFile}.old`, site.pidFile),
    why: /pid-file: Cannot take over /,
  },
};

Deno.test("all goes on as before when an upgrade fails, and a later one succeeds", async (t) => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const write = () => {
    site.serve("a.cf", { mode: "aio", service: port });
    site.write("all.gcf", {});
  };
  write();
  site.serve("c.cf", { mode: "coroutine", service: path });
  const master = await site.start();
  const pids = [...await master.serving("a.cf", 1), ...await master.serving("c.cf", 1)];
  using kept = await greeted(port);
  for (const [how, { spoil, restore = () => {}, why }] of Object.entries(FAILURES)) {
    await t.step(`the new master ${how}`, async () => {
      const seen = master.log.length;
      spoil(site, port);
      assertMatch(await master.upgradeFailed(), /it has ended: exit code 1/);
      assertMatch(master.log.slice(seen), why);
      restore(site);
      assertEquals(PidFile.tryLock(site.pidFile), undefined);
      assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
      await eventually(() => site.processes().length === 3, { what: "the end of all that is new" });
      assertEquals(site.processes().map(({ pid }) => pid).sort(), [master.pid, ...pids].sort());
      assert(existsSync(path));
      for (const target of [port, path]) {
        using client = await greeted(target);
        assert(pids.includes(pidIn(client)));
      }
      assertEquals(await kept.ask("echo all the time"), "all the time");
      write();
    });
  }
  kept.close();
  const old = await master.upgrade();
  for (const target of [port, path]) (await greeted(target)).close();
  await ends(old);
  await master.stop();
});

Deno.test("an upgrade goes on with the settings that only a start takes, and says so each time", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "aio", service: site.port() });
  const own = site.dir.file("own.cf");
  const write = (bytes: string) => Deno.writeTextFileSync(own, `core-file-size = ${bytes}\n`);
  write("1000000");
  const master = await site.start({ args: ["-config", own] });
  await ends(await master.upgrade());
  assertEquals(master.logged(/Cannot change/), 0);
  write("2000000");
  const told =
    /own\.cf:\d+: core-file-size: Cannot change to "2000000": a master that runs with "1000000", expected a new start/;
  for (const count of [1, 2]) {
    await ends(await master.upgrade());
    await master.logs(told, count);
  }
  await master.stop();
});

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

Deno.test("deaths and signals in the middle of an upgrade", async (t) => {
  await using site = new Site();
  const services = MODES.map((mode) => ({
    ...{ mode, file: `${mode}.cf`, port: site.port(), path: site.socket(mode) },
  }));
  const ready = site.dir.file("ready");
  const write = (settings: Readonly<Record<string, string | number>>) => {
    for (const { mode, file, port, path } of services) {
      site.serve(file, { mode, service: `127.0.0.1:${port},${path}`, ...settings });
    }
  };
  write({});
  const master = await site.start();
  const servers = await Promise.all(
    services.map(async ({ file }) => (await master.serving(file, 1))[0]),
  );
  const answers = () => Promise.all(services.map(({ port }) => answering(port)));

  await t.step("a server that dies within its soak time undoes the upgrade", async () => {
    write({ "server-soak": 30 });
    for (const [index, { file }] of services.entries()) {
      const registered = master.logged(/\] serviceRegister/);
      master.signal("SIGUSR2");
      await master.logs(/\] serviceRegister/, registered + 2);
      const isNew = ({ pid, argv }: ProcessInfo) =>
        !servers.includes(pid) && argv.includes(`${site.conf}/${file}`);
      const fresh = await eventually(() => site.processes().find(isNew), {
        what: "the new server",
      });
      Deno.kill(fresh.pid, "SIGKILL");
      await master.logs(/upgrade failed, all goes on as before/, index + 1);
      assertEquals(await answers(), servers);
    }
  });

  await t.step(
    "a new master that has not taken over and is told to stop, twice, leaves the old one alone",
    async () => {
      write({ "ready-when": site.dir.file("never") });
      const starts = master.logged(/\] beforeService/);
      master.signal("SIGUSR2");
      const [, candidate] = await master.logs(/upgrade: process (\d+) is to take over/, 3);
      await master.logs(/\] beforeService/, starts + 2);
      Deno.kill(Number(candidate), "SIGTERM");
      await master.logs(/stopping; servers have/);
      Deno.kill(Number(candidate), "SIGTERM");
      await master.logs(/upgrade failed, all goes on as before/, 3);
      assertEquals(await answers(), servers);
    },
  );

  await t.step("a SIGUSR2 during a reload comes after it", async () => {
    write({ "ready-when": ready });
    await master.reloadBegun();
    const seen = master.log.length, upgraded = master.upgrade();
    Deno.writeTextFileSync(ready, "");
    await ends(await upgraded);
    const log = master.log.slice(seen);
    assert(log.indexOf(" reloaded") < log.indexOf("is to take over"), log);
    await answers();
  });

  await t.step("a second SIGUSR2 is ignored, and a SIGHUP reaches the new master", async () => {
    Deno.removeSync(ready);
    const reloads = master.logged(/ reloaded$/);
    master.signal("SIGUSR2");
    await master.logs(/upgrade: process/, 5);
    master.signal("SIGUSR2");
    await master.logs(/ignored a SIGUSR2: an upgrade is under way/);
    write({ "ready-when": ready, own: "newest" });
    master.signal("SIGHUP");
    const old = master.pid;
    Deno.writeTextFileSync(ready, "");
    await master.logs(/ reloaded\n/, reloads + 1);
    await ends(old);
    for (const { port, mode } of services) {
      using client = await greeted(port);
      assertEquals(await client.ask("setting own"), "newest", mode);
    }
    master.pid = Number(Deno.readTextFileSync(site.pidFile));
  });

  await t.step("a SIGTERM ends both masters", async () => {
    using clients = new Clients();
    const served = await Promise.all(services.map(({ port }) => clients.greeted(port)));
    Deno.removeSync(ready);
    const starts = master.logged(/\] beforeService/);
    master.signal("SIGUSR2");
    await master.logs(/\] beforeService/, starts + 2);
    master.signal("SIGTERM");
    for (const [index, { port, mode }] of services.entries()) {
      await master.closes(port);
      assertEquals(await served[index].ask("echo in flight"), "in flight", mode);
    }
    clients.dispose();
    await master.stopped();
  });
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

Deno.test("no more old masters drain than there may be, and a SIGTERM ends what the last one has within the time", async () => {
  await using site = new Site();
  const ports = MODES.map((mode) => {
    const port = site.port();
    site.serve(`${mode}.cf`, { mode, service: port });
    return port;
  });
  site.write("all.gcf", { "master-max-generations": 1 });
  const master = await site.start({ args: ["-master-stop-timeout", "3"] });
  using clients = new Clients();
  const firsts = await Promise.all(ports.map((port) => clients.greeted(port)));
  const oldest = await master.upgrade();
  // The servers of the oldest one may still accept for a moment.
  const seconds = await Promise.all(
    ports.map(async (port, index) => clients.use(await successorOf(pidIn(firsts[index]), port))),
  );
  const old = await master.upgrade();
  await ends(oldest);
  for (const first of firsts) assertEquals(await first.ending(), "end of file");
  assert(existsSync(`/proc/${old}`));
  for (const second of seconds) assertEquals(await second.ask("echo mine stays"), "mine stays");
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
  const registered = () => lines().match(/serviceRegister/g)?.length ?? 0;
  await eventually(() => registered() >= 2, { what: "the lines behind it" });
  assertEquals(registered(), 2);
  await master.stop();
});

Deno.test("a new master goes on alone even when its servers fail, once the old one is killed", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const settings = { mode: "coroutine", service: `127.0.0.1:${port},${path}` } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const inode = listenerInode(port), ready = site.dir.file("ready");
  // The old one is killed before that is over.
  site.serve("a.cf", { ...settings, "ready-when": ready, "server-ready-timeout": 5 });
  master.signal("SIGUSR2");
  await master.logs(/\] beforeService/, 2);
  master.signal("SIGKILL");
  // Not its end as a child, after which what the new one prints is followed for a moment only.
  await gone(master.pid);
  await master.logs(/the old master is gone, so this one goes on all the same/);
  using waiting = await Client.connect(port);
  Deno.writeTextFileSync(ready, "");
  assertMatch(await waiting.line(), /^coroutine /);
  waiting.close();
  (await greeted(path)).close();
  assertEquals(listenerInode(port), inode, "not the same socket");
  master.pid = await eventually(() => {
    const pid = Number(Deno.readTextFileSync(site.pidFile));
    return pid !== master.pid && pid;
  }, { what: "the pid of the new master" });
  master.signal("SIGTERM");
  await site.isGone(10_000);
  assert(await isRefused(port));
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

Deno.test("an old master passes on what is meant for the new one, and one in between says who has taken over", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using kept = await greeted(port);
  const first = await master.upgrade(), second = master.pid;
  Deno.kill(first, "SIGHUP");
  await master.logs(new RegExp(`master\\[${second}\\] reloaded`));
  using alsoKept = await greeted(port);
  Deno.kill(first, "SIGUSR2");
  await master.logs(/process \d+ has taken over/, 2);
  master.pid = Number(Deno.readTextFileSync(site.pidFile));
  Deno.kill(second, "SIGUSR2");
  await master.logs(new RegExp(`ignored a SIGUSR2: process ${master.pid} has taken over`));
  alsoKept.close();
  await gone(second);
  kept.close();
  Deno.kill(first, "SIGTERM");
  await master.stopped();
});
