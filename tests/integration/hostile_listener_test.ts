import { assert, assertEquals, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { ControlClient } from "../../src/control/client.ts";
import { startGiven } from "../support/activation.ts";
import { greeted, type Target } from "../support/client.ts";
import { flagsOf } from "../support/descriptors.ts";
import { attacked, hostile } from "../support/hostile.ts";
import { ATTACKS } from "../support/listener_attacks.ts";
import { type Master, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { peer, serveSmall } from "../support/peers.ts";
import { descriptorsOf, listenerInode, tcpSockets } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** The descriptor by which a process has the listener of a port or path. */
function listenerIn(pid: number, target: Target): number | undefined {
  const socket = `socket:[${listenerInode(target)}]`;
  return [...descriptorsOf(pid)].find(([, it]) => it === socket)?.[0];
}

/** Waits until clients of a port or path are greeted, however long its listener was of no use. */
async function isServed(target: Target): Promise<number> {
  return await eventually(async () => {
    try {
      using client = await greeted(target);
      return pidIn(client);
    } catch {
      return undefined;
    }
  }, { what: `a greeting from ${target}` });
}

/** Kills a process, which may just have ended. */
function end(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

interface Attack {
  readonly attack: string;
  readonly once?: boolean;
}

/** Where a service is that is attacked in this way. */
function targetsOf({ attack }: Attack, { port, path }: { port: number; path: string }): Target[] {
  if (attack.endsWith("remove")) return [path];
  return attack.endsWith("filter") ? [port] : [port, path];
}

/** Writes the settings of a service whose first process attacks its listeners, on a port and on a path. */
function writeAttack(
  site: Site,
  { attack, once = true, ...settings }:
    & Attack
    & Readonly<Record<string, string | number | boolean>>,
  file = "x.cf",
) {
  const port = site.port(), path = site.socket(`${file}.u`);
  const targets = targetsOf({ attack }, { port, path });
  const name = once ? `${attack} ${site.dir.file(`${file}.attacked`)}` : attack;
  const service = targets.map((target) => target === port ? `127.0.0.1:${port}` : target).join();
  site.write(file, hostile(name, service, settings as Record<string, string | number>));
  return { targets, port, path };
}

/** A master with such a service. */
async function underAttack(site: Site, attack: Parameters<typeof writeAttack>[1]) {
  const written = writeAttack(site, attack);
  return { master: await site.start(), ...written };
}

/** A master with a service for each of the attacks, and where all of them are. */
async function underAttacks(site: Site, attacks: readonly string[]) {
  const services = attacks.map((attack) => ({
    attack,
    ...writeAttack(site, { attack }, `${attack}.cf`),
  }));
  const targets = services.flatMap(({ targets }) => targets);
  return { master: await site.start(), targets, services };
}

/** Fails unless the master goes on as if nothing had happened, up to an orderly end. */
async function livesOn(master: Master, targets: readonly Target[]): Promise<void> {
  for (const target of targets) await isServed(target);
  await master.reload();
  for (const target of targets) await isServed(target);
  assertEquals(master.logged(/unexpected error|[Uu]ncaught/), 0, master.log);
  await master.stop();
}

/** What the master logs of a listener after each attack, where the attack leaves a mark on it. */
const DAMAGES: Readonly<Record<string, { readonly inet?: string; readonly unix?: string }>> = {
  shutdown: {
    inet: "was shut down, and was opened anew",
    unix: "was shut down, and was opened anew",
  },
  filter: { inet: "was filtered for good, and was opened anew" },
  remove: { unix: "had lost its file, and was opened anew" },
  spoil: { inet: "was closed to distant hosts and changed in SO_LINGER, which is undone" },
  block: { inet: "was blocking, which is undone", unix: "was blocking, which is undone" },
};

/** Waits for the log lines of an attack on a service, by its port and path. */
async function logsDamage(
  master: Master,
  { attack, port, path }: { attack: string; port: number; path: string },
): Promise<void> {
  const { inet, unix } = DAMAGES[attack.replace("last-", "")];
  const logs = (address: string, damage: string) =>
    master.logs(new RegExp(` warn \\S+ ${RegExp.escape(`${address} ${damage}`)}`));
  if (inet !== undefined) await logs(`inet:127.0.0.1:${port}`, inet);
  if (unix !== undefined) await logs(`unix:${path}`, unix);
}

Deno.test("after each attack of a process its service is served, reloaded and stopped", async (t) => {
  await using site = new Site();
  const attacks = Object.keys(DAMAGES);
  const { master, targets: all, services } = await underAttacks(site, attacks);
  await attacked(master, attacks.length);
  for (const { attack, targets, ...place } of services) {
    await t.step(attack, async () => {
      // What does not show by itself shows when a process ends.
      if (attack !== "shutdown") Deno.kill(master.servers(`${attack}.cf`)[0].pid, "SIGKILL");
      await logsDamage(master, { attack, ...place });
      for (const target of targets) {
        await isServed(target);
        // As long as a process has the damaged one, a unix path is listed twice.
        const fd = await eventually(() => listenerIn(master.pid, target), {
          what: `the master's listener of ${target}`,
        });
        assert(flagsOf(fd, master.pid).nonblocking);
      }
    });
  }
  await livesOn(master, all);
});

Deno.test("after each attack of a process a new master serves as before", async () => {
  await using site = new Site();
  const attacks = Object.keys(DAMAGES);
  const { master, targets, services } = await underAttacks(site, attacks);
  await attacked(master, attacks.length);
  await master.upgrade();
  for (const service of services) await logsDamage(master, service);
  await livesOn(master, targets);
});

Deno.test("a process that shuts its listeners down again and again keeps its master neither busy nor from ending", async () => {
  await using site = new Site();
  const { master, targets } = await underAttack(site, { attack: "shutdown", once: false });
  const other = site.port();
  await attacked(master, 3);
  serveSmall(site, "good.cf", other);
  await master.reload();
  await isServed(other);
  assertLess(master.logged(/was shut down/), 40);
  assertEquals(master.logged(/unexpected error|[Uu]ncaught/), 0, master.log);
  assert(targets.length === 2);
  await master.stop();
});

Deno.test("a service is served again after one process has shut its port down, in both modes and kinds of balance, or a unix socket at which the others hang", async (t) => {
  await using site = new Site();
  const ports = ["shared", "reuseport"].flatMap((balance) =>
    MODES.map((mode) => {
      const port = site.port(), file = `${mode}-${balance}.cf`;
      site.serve(file, { mode, service: port, "server-proc-count": 2, "server-balance": balance });
      return { balance, mode, port, file };
    })
  );
  const path = site.socket("u"), good = site.port();
  site.serve("u.cf", { mode: "coroutine", service: path, "server-proc-count": 2 });
  serveSmall(site, "good.cf", good);
  const master = await site.start();

  for (const { balance, mode, port, file } of ports) {
    await t.step(`${mode} mode, ${balance}`, async () => {
      const old = await master.serving(file, 2);
      using client = await greeted(port);
      assertEquals(await client.ask("shutdown"), "it is shut down");
      await master.logs(
        new RegExp(`inet:127\\.0\\.0\\.1:${port} was shut down, and was opened anew`),
      );
      // It finishes what it has.
      assertEquals(await client.ask("echo still here"), "still here");
      client.close();
      const going = balance === "shared" ? old : [pidIn(client)];
      await master.reaps(going);
      const seen = new Set<number>();
      await eventually(async () => {
        seen.add(await isServed(port));
        return seen.size > 1;
      }, { what: "an answer of both" });
      assert(going.every((pid) => !seen.has(pid)));
    });
  }

  await t.step("servers that hang since their unix socket was shut down are ended", async () => {
    const old = await master.serving("u.cf", 2);
    using client = await greeted(path);
    // There is no answer: the runtime does nothing else any more.
    await client.write("shutdown\n");
    await master.logs(/unix:\S+ was shut down, and was opened anew/);
    await isServed(path);
    await isServed(good);
    // They hang: the master ends them.
    await master.reaps(old);
  });
  await livesOn(master, [...ports.map(({ port }) => port), path, good]);
});

/** Programs of every kind that can be given a listener. */
const PROGRAMS: Readonly<Record<string, Record<string, string | number>>> = {
  coroutine: { "server-command": SERVERS.coroutine },
  aio: { "server-command": SERVERS.aio },
  "without FFI": {
    "server-command": SERVERS.coroutine,
    "server-permissions": "--allow-read --allow-env --allow-sys",
  },
  C: { "server-command": peer("server") },
};

Deno.test("a given port that somebody has shut down listens again when no process of any kind has it, and at the start of its master", async (t) => {
  await using site = new Site();
  const other = site.port(), early = site.port();
  const given = Object.entries(PROGRAMS).map(([name, command]) => {
    const port = site.port();
    const { fd } = openListener({ kind: "inet", hostname: "127.0.0.1", port });
    const file = `${name.replace(" ", "-")}.cf`;
    site.write(file, { ...command, "server-service": `127.0.0.1:${port}` });
    return { name, port, fd, file };
  });
  const { fd: closed } = openListener({ kind: "inet", hostname: "127.0.0.1", port: early });
  const held = new Set([...given.map(({ fd }) => fd), closed]);
  try {
    ATTACKS.shutDown(closed);
    serveSmall(site, "early.cf", early);
    site.serve("good.cf", { mode: "aio", service: other });
    const all = [...held].map((fd) => ({ fd }));
    const master = await startGiven(all, (options) => site.start(options));
    await t.step("a port that was shut down before the start", async () => {
      const told = `descriptor ${
        3 + given.length
      } did not listen (only bound, or shut down), and listens now`;
      await master.logs(new RegExp(RegExp.escape(told)));
      await isServed(early);
    });
    for (const { name, port, fd, file } of given) {
      await t.step(`a process of kind "${name}" has it`, async () => {
        await isServed(port);
        ATTACKS.shutDown(fd);
        // One without FFI listens again by itself, perhaps before its master has looked.
        const isRevived = () => name === "without FFI" && listenerInode(port) !== undefined;
        const told = new RegExp(
          ` warn \\S+ inet:\\S+:${port} was shut down(; only its activator|, and listens again)`,
        );
        await eventually(() => told.test(master.log) || isRevived(), { what: "the shutdown" });
        await isServed(other);
        // Some end of themselves, and some listen again themselves.
        for (const { pid } of master.servers(file)) end(pid);
        await isServed(port);
      });
    }
    for (const fd of held) closeFd(fd);
    held.clear();
    await livesOn(master, [...given.map(({ port }) => port), early, other]);
  } finally {
    for (const fd of held) closeFd(fd);
  }
});

Deno.test("a unix socket that was given to the master and shut down is told, and starts nothing", async () => {
  await using site = new Site();
  const path = site.dir.file("given"), port = site.port();
  const { fd } = openListener({ kind: "unix", path });
  site.serve("x.cf", {
    mode: "coroutine",
    service: path,
    "server-idle-exit": 1,
  });
  serveSmall(site, "good.cf", port);
  const master = await startGiven([{ fd }], (options) => site.start(options));
  (await greeted(path)).close();
  await eventually(() => master.servers("x.cf").length === 0, { what: "the service to sleep" });
  const starts = master.logged(/x\.cf: new process/);
  ATTACKS.shutDown(fd);
  await master.logs(/ warn \S+ unix:\S+ was shut down; only its activator can open it anew/);
  await isServed(port);
  assertEquals(master.logged(/x\.cf: new process/), starts);
  assertEquals(master.logged(/only its activator/), 1);
  assertEquals(await master.reloadUndone(), "x.cf");
  await master.logs(/Cannot serve descriptor \d+: .*, which was shut down, expected a listening/);
  closeFd(fd);
  await isServed(port);
  await master.stop();
});

Deno.test("a service that sleeps is woken by a client after its listeners were shut down", async () => {
  await using site = new Site();
  const settings = { attack: "shutdown", "server-idle-exit": 60 } as const;
  const { master, targets } = await underAttack(site, settings);
  await attacked(master);
  await eventually(() => master.servers("x.cf").length === 0, { what: "the service to sleep" });
  await master.logs(/was opened anew/);
  for (const target of targets) {
    await isServed(target);
    await eventually(() => master.servers("x.cf").length === 0, { what: "the service to sleep" });
  }
  // The attacker, perhaps one that is to replace it, and one for each client.
  assertLess(master.logged(/x\.cf: new process/), 5);
  await livesOn(master, targets);
});

Deno.test("all sockets of a port get their connections again after one of them was locked up", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, {
    attack: "filter",
    "server-proc-count": 3,
    "server-balance": "reuseport",
  });
  await attacked(master);
  const before = tcpSockets().filter(({ localPort, listens }) => listens && localPort === port);
  const old = master.servers("x.cf").map(({ pid }) => pid);
  await master.reload();
  await master.logs(/was filtered for good, and was opened anew/);
  // Until then they have the one that was locked up.
  await master.reaps(old);
  const after = tcpSockets().filter(({ localPort, listens }) => listens && localPort === port);
  assertEquals(after.length, 3);
  assertNotEquals(after, before);
  const seen = new Set<number>();
  await eventually(async () => {
    seen.add(await isServed(port));
    return seen.size === 3;
  }, { what: "an answer of all three" });
  await livesOn(master, [port]);
});

Deno.test("after each attack of a process that is told to stop the next process is served", async () => {
  await using site = new Site();
  const attacks = Object.keys(DAMAGES).map((attack) => `last-${attack}`);
  const { master, targets, services } = await underAttacks(site, attacks);
  for (const target of targets) await isServed(target);
  await master.reload();
  await attacked(master, attacks.length);
  for (const service of services) await logsDamage(master, service);
  await livesOn(master, targets);
});

Deno.test("a queue that a process has made as short as can be has its length back when the process is killed", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, { attack: "shorten" });
  using control = await ControlClient.connect(`${site.pidFile}.sock`);
  const queueLimit = async () => {
    const { listeners } = await control.request("status");
    return listeners.find(({ kind }) => kind === "inet")!.queueLimit!;
  };
  await attacked(master);
  assertEquals(await queueLimit(), 0);
  end(master.servers("x.cf")[0].pid);
  await eventually(async () => (await queueLimit()) > 1, { what: "a longer queue" });
  await isServed(port);
  await master.stop();
});

Deno.test("a listener that a process has made a connection, as its last act, does not hold up the end", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, { attack: "last-connect" });
  await isServed(port);
  await master.stop();
  assertMatch(master.log, /attack of \d+: 2 listeners/);
});
