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
import { type Master, pidText, Site } from "../support/master.ts";
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

/** Fails unless there is one master that serves, reloads and stops. */
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
  master.signal("SIGTERM");
  await site.isGone(10_000);
}

for (const [who, message] of POINTS) {
  for (const when of ["before", "after"]) {
    Deno.test(`somebody serves when ${who} is killed ${when} it says "${message}"`, async () => {
      await using site = new Site();
      const port = site.port();
      site.serve("a.cf", { mode: "coroutine", service: port });
      const once = site.dir.file("dead");
      const env = { DIE: `${message} ${when}`, DIE_ONCE: once };
      const master = await site.start({ program: MORTAL, env });
      const inode = listenerInode(port);
      master.signal("SIGUSR2");
      const dead = await eventually(
        () => existsSync(once) && parseInt(Deno.readTextFileSync(once)),
        { what: "the death" },
      );
      await gone(dead);
      const isKept = !(who === "the old master" && message === "inherit");
      await goesOn(site, master, port);
      // The very same socket all the time, unless it has gone with the old master.
      if (isKept) assertEquals(master.log.match(/opened inet/g)?.length, 1, master.log);
      assert(inode !== undefined);
    });
  }
}

Deno.test("the old master goes on when the new one hangs while it takes over, also when that one wakes up", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  site.serve("a.cf", { mode: "coroutine", service: `127.0.0.1:${port},${path}` });
  const once = site.dir.file("stopped");
  const env = { DIE: "taken before", DIE_ONCE: once, DIE_BY: "SIGSTOP" };
  const master = await site.start({ program: MORTAL, env });
  const inodes = [port, path].map(listenerInode);
  master.signal("SIGUSR2");
  const stopped = await eventually(
    () => existsSync(once) && parseInt(Deno.readTextFileSync(once)),
    { what: "the new master that hangs" },
  );
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
});

/** A master after an upgrade, and the old one, which drains: it has a client that stays. */
async function upgraded(site: Site, service: string | number) {
  site.serve("a.cf", { mode: "coroutine", service });
  const master = await site.start();
  const kept = await greeted(Number(String(service).split(/[:,]/)[1] ?? service));
  const old = await master.upgrade();
  return { master, kept, old };
}

Deno.test("the old master takes everything up again when the new one is killed while it drains", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  const { master, kept, old } = await upgraded(site, `127.0.0.1:${port},${path}`);
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
  assertEquals(await kept.ask("echo still here"), "still here");
  kept.close();
  // It can be replaced again.
  master.pid = old;
  await master.reload();
  await master.upgrade();
  assertNotEquals(master.pid, old);
  await master.stop();
});

Deno.test("the old master serves what it served, and not what has changed in the files", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { mode: "coroutine", service: port } as const;
  site.serve("a.cf", { ...settings, own: "old" });
  const master = await site.start();
  using kept = await greeted(port);
  site.serve("a.cf", { ...settings, own: "new" });
  const old = await master.upgrade();
  master.signal("SIGKILL");
  await eventually(() => isMaster(site, old), { what: "the old master to be the master" });
  using client = await greeted(port);
  assertEquals(await client.ask("setting own"), "old");
  kept.close(), client.close();
  master.pid = old;
  await master.stop();
});

Deno.test("another master can start at once when the new one is killed after a reload", async () => {
  await using site = new Site();
  const port = site.port();
  const { master, kept, old } = await upgraded(site, port);
  using _ = kept;
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

Deno.test("the lock is the new master's alone while the old one drains", async () => {
  await using site = new Site();
  const { master, kept } = await upgraded(site, site.port());
  using _ = kept;
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

Deno.test("an address that a reload after an upgrade drops is free, though the old master drains", async () => {
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
  assertEquals(await kept.ask("echo still drains"), "still drains");
  kept.close();
  await master.stop();
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
