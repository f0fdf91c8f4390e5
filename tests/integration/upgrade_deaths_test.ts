/**
 * The death of one of two masters at each point of an upgrade, and later: somebody serves within moments,
 * and whoever serves has the lock.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import { PidFile } from "../../src/os/process/lock_file.ts";
import { Client, greeted } from "../support/client.ts";
import { type Master, type MasterOptions, pidText, Site } from "../support/master.ts";
import { gone, isRunning } from "../support/peers.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually, within } from "../support/wait.ts";

const MORTAL = new URL("../support/masters/mortal.ts", import.meta.url).pathname;

/** The points of the exchange: each message, and who sends it. */
const POINTS = [
  ["the old master", "inherit"],
  ["the new master", "proven"],
  ["the old master", "takeover"],
  ["the new master", "taken"],
  ["the new master", "bound"],
] as const;

/** Whether a process has the duty: its pid is in the file, it runs, and somebody has the lock. */
function isMaster(site: Site, pid: number): boolean {
  return Deno.readTextFileSync(site.pidFile) === pidText(pid) && isRunning(pid) &&
    PidFile.holderOf(site.pidFile) !== undefined;
}

/** A master that dies at a point of its next upgrade. */
class Mortal {
  readonly #file: string;
  readonly options: MasterOptions;

  constructor(site: Site, env: Readonly<Record<string, string>> = {}) {
    this.#file = site.dir.write("die", "");
    this.options = { program: MORTAL, env: { DIE: this.#file, ...env } };
  }

  /** Starts an upgrade, or a reload, and returns the process that has come to the point. */
  async dies(master: Master, point: string, signal: Deno.Signal = "SIGUSR2"): Promise<number> {
    Deno.writeTextFileSync(this.#file, point);
    master.signal(signal);
    return await eventually(() => {
      const pid = /^(\d+)\n/.exec(Deno.readTextFileSync(this.#file));
      return pid !== null && Number(pid[1]);
    }, { what: `the death ${point}` });
  }
}

/** Fails unless there is one master that serves and reloads. */
async function goesOn(site: Site, master: Master, port: number): Promise<void> {
  master.pid = await eventually(() => {
    const all = site.processes();
    const [server] = all.filter(({ argv }) => argv.includes("MASTER"));
    return all.length === 2 && server !== undefined && isMaster(site, server.parent) &&
      server.parent;
  }, { what: "one master and one server" }).catch((error) => {
    throw new Error(master.log, { cause: error });
  });
  using client = await greeted(port);
  assertEquals(await client.ask("echo served"), "served");
  client.close();
  await master.reload();
  (await greeted(port)).close();
}

Deno.test("somebody serves when a master is killed before or after it says a word of an upgrade", async (t) => {
  await using site = new Site();
  const port = site.port();
  // What is reloaded is left alone: a process more at each point would prove nothing.
  site.serve("a.cf", { mode: "coroutine", service: port, "server-reload": "changed" });
  const mortal = new Mortal(site);
  const master = await site.start(mortal.options);
  const points = POINTS.flatMap(([who, message]) =>
    ["before", "after"].map((when) => ({ who, message, when }))
  );
  for (const { who, message, when } of points) {
    await t.step(`${who} is killed ${when} it says "${message}"`, async () => {
      const inode = listenerInode(port);
      await gone(await mortal.dies(master, `${message} ${when}`));
      await goesOn(site, master, port);
      // The very same socket all the time, unless it has gone with the old master.
      const isKept = !(who === "the old master" && message === "inherit");
      assert(inode !== undefined);
      if (isKept) assertEquals(listenerInode(port), inode, master.log);
    });
  }
  master.signal("SIGTERM");
  await site.isGone(10_000);
});

Deno.test("the old master goes on when the new one hangs while it takes over, also when that one wakes up", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  site.serve("a.cf", { mode: "coroutine", service: `127.0.0.1:${port},${path}` });
  const mortal = new Mortal(site, { DIE_BY: "SIGSTOP" });
  const master = await site.start(mortal.options);
  const inodes = [port, path].map(listenerInode);
  const stopped = await mortal.dies(master, "taken before");
  await master.logs(/has not taken over within 10 s/);
  try {
    // What it is told by a signal reaches it now; it considers itself the master.
    Deno.kill(stopped, "SIGCONT");
  } catch (error) {
    assert(error instanceof Deno.errors.NotFound || !isRunning(stopped));
  }
  await master.logs(/upgrade failed, all goes on as before/);
  assertEquals([port, path].map(listenerInode), inodes);
  for (const target of [port, path]) (await greeted(target)).close();
  const client = await ControlClient.connect(`${site.pidFile}.sock`);
  assertEquals((await client.request("hello")).pid, master.pid);
  client.close();
  await goesOn(site, master, port);
  master.signal("SIGTERM");
  await site.isGone(10_000);
});

/**
 * A master after an upgrade, and the old one, which drains: it has a client that stays. The file has `own` for
 * the old one and `next` for the new one.
 */
async function upgraded(
  site: Site,
  service: string | number,
  { own = "same", next = own, ...options }: MasterOptions & {
    readonly own?: string;
    readonly next?: string;
  } = {},
) {
  site.serve("a.cf", { mode: "coroutine", service, own });
  const master = await site.start(options);
  const kept = await greeted(Number(String(service).split(/[:,]/)[1] ?? service));
  if (next !== own) site.serve("a.cf", { mode: "coroutine", service, own: next });
  const old = await master.upgrade();
  return { master, kept, old };
}

Deno.test("the old master takes up again what it served, and not what has changed in the files, when the new one is killed while it drains", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const { master, kept, old } = await upgraded(site, `127.0.0.1:${port},${path}`, {
    own: "old",
    next: "new",
  });
  using _ = kept;
  const inodes = [port, path].map(listenerInode), killed = master.pid;
  master.signal("SIGKILL");
  // Nobody is refused meanwhile: the old master has the sockets, and their queues.
  const waiting = await Promise.all([port, path].map((target) => Client.connect(target)));
  for (const client of waiting) {
    assertMatch(await client.line(), /^coroutine /);
    client.close();
  }
  assertEquals([port, path].map(listenerInode), inodes);
  await master.logs(
    new RegExp(
      `process ${killed}, which had taken over, has ended: signal SIGKILL; this one goes on`,
    ),
  );
  await eventually(() => isMaster(site, old), { what: "the old master to be the master" });
  // The servers of the killed one have their connections to the end, but no new ones.
  for (const target of [port, path]) {
    await eventually(async () => {
      using client = await greeted(target);
      return await client.ask("setting own") === "old";
    }, { what: "the settings of before" });
  }
  assertEquals(await kept.ask("echo still here"), "still here");
  kept.close();
  // It can be replaced again.
  master.pid = old;
  await master.reload();
  await master.upgrade();
  assertNotEquals(master.pid, old);
  await master.stop();
});

Deno.test("the old master goes on when the new one is killed before a reload is over, and another master can start at once when it is killed after that", async () => {
  await using site = new Site();
  const port = site.port(), mortal = new Mortal(site);
  const { master, kept, old } = await upgraded(site, port, mortal.options);
  using _ = kept;
  await gone(await mortal.dies(master, "settled before", "SIGHUP"));
  await master.logs(/this one goes on as before the upgrade/);
  assertEquals(master.logged(/ reloaded$/), 0, "nobody was told of a reload that was to be undone");
  master.pid = old;
  await master.upgrade();
  // What the old master would bring back is not wanted any more.
  await master.reload();
  master.signal("SIGKILL");
  await gone(master.pid);
  const third = await site.start();
  (await greeted(port)).close();
  assert(isMaster(site, third.pid));
  // Whoever has started the old master waits for its end, which no client holds up.
  assertEquals(await kept.ending(), "end of file");
  await gone(old);
  await third.stop();
});

Deno.test("an address that a reload after an upgrade drops is free, and the lock is the new master's alone, though the old one drains", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  site.serve("b.cf", { mode: "aio", service: ports[1] });
  const { master, kept } = await upgraded(site, ports[0]);
  using _ = kept;
  site.remove("b.cf");
  await master.reload();
  await eventually(() => listenerInode(ports[1]) === undefined, {
    what: "the end of the listener",
  });
  assertEquals(PidFile.tryLock(site.pidFile), undefined);
  master.signal("SIGTERM");
  await eventually(() => {
    const lock = PidFile.tryLock(site.pidFile);
    lock?.release();
    return lock !== undefined;
  }, { what: "the lock" });
  assertEquals(await kept.ask("echo still drains"), "still drains");
  kept.close();
  await master.stopped();
});

/** Connects to the control socket of a master, if that one listens by now. */
async function reached(path: string, pid: number): Promise<ControlClient | undefined> {
  try {
    const client = await ControlClient.connect(path);
    if ((await client.request("hello")).pid === pid) return client;
    client.close();
  } catch {
    // The threads of a killed process may hold the socket for a moment.
  }
}

Deno.test("an old master that can't go on refuses commands, and removes its control socket", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: ports[0] });
  site.serve("b.cf", { mode: "aio", service: ports[1] });
  const master = await site.start(), path = `${site.pidFile}.sock`;
  await master.serving("b.cf", 1);
  using _kept = await greeted(ports[0]);
  site.remove("b.cf");
  const old = await master.upgrade();
  await eventually(() => listenerInode(ports[1]) === undefined, { what: "the free address" });
  using _taken = Deno.listen({ hostname: "127.0.0.1", port: ports[1] });
  await eventually(() => existsSync(path), { what: "the control socket of the new master" });
  master.signal("SIGKILL");
  await gone(master.pid);
  // It waits for the address that another program has by now, and has its socket meanwhile.
  using client = await eventually(() => reached(path, old), {
    what: "the control socket of the old master",
  });
  const refused = await within(
    assertRejects(() => client.request("reload"), ControlRequestError),
    { what: "the answer" },
  );
  assertEquals(refused.failure.code, "busy");
  await master.logs(/this one can't go on as before: .*address in use/);
  await eventually(() => !existsSync(path), { what: "the end of the control socket" });
  await gone(old);
});
