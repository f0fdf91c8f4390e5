/**
 * Masters under a parent that takes the end of its child for the end of everything.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { hasSignal } from "../support/credentials.ts";
import { leaveOut } from "../support/left_out.ts";
import { Master, MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { executable, gone, isRunning, serveSmall } from "../support/peers.ts";
import type { TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

const STAND_IN = new URL("../support/exits_with_child.py", import.meta.url).pathname;

/** Whether a program is there; the stand-in does the same where it is not. */
function isThere(program: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).outputSync().success;
}

/** How often a master is replaced; a second time only where the parent is in every installation. */
const REPLACEMENTS = { first: 2, others: 1 };

/** What starts a master and exits with it. */
const PARENTS: Readonly<Record<string, readonly string[]>> = {
  "a parent that exits with its child": [...plainPython(), STAND_IN],
  ...isThere("tini") && { "tini -s": ["tini", "-s", "--"] },
  ...isThere("dumb-init") && {
    "dumb-init": ["dumb-init", "--"],
    "dumb-init --single-child": ["dumb-init", "--single-child", "--"],
  },
};

/** A master under a parent, to which all signals are sent. */
class Child extends Master {
  readonly #site: Site;
  /** The first master, which stays. */
  readonly first: number;

  private constructor(site: Site, parent: TestProcess, first: number) {
    super(site, parent);
    this.#site = site;
    this.first = this.pid = first;
  }

  static async start(
    site: Site,
    parent: readonly string[],
    further: readonly string[] = [],
  ): Promise<Child> {
    const args = ["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG", ...further];
    const process = site.execute([
      ...parent,
      Deno.execPath(),
      "run",
      "-A",
      MASTER_PROGRAM,
      ...args,
    ]);
    await process.complains(/listeners: .*\n/);
    return new Child(site, process, Number(Deno.readTextFileSync(site.pidFile)));
  }

  override signal(signal: Deno.Signal): void {
    this.process.signal(signal);
  }

  /** Replaces the master, and waits until no server of an older one is left. */
  async replace(): Promise<void> {
    await this.upgrade();
    await eventually(() => {
      const servers = this.#site.processes().filter(({ argv }) => argv.includes("MASTER"));
      return servers.length === 1 && servers[0].parent === this.pid;
    }, { what: "the end of the old servers" });
  }
}

for (const [index, [name, parent]] of Object.entries(PARENTS).entries()) {
  Deno.test(`under ${name} a master can be replaced again and again, and everything ends with the last one`, async () => {
    await using site = new Site();
    const port = site.port();
    serveSmall(site, "a.cf", port);
    const master = await Child.start(site, parent);
    let before = 0;
    const replacements = index === 0 ? REPLACEMENTS.first : REPLACEMENTS.others;
    for (let round = 0; round < replacements; round++) {
      await master.replace();
      using client = await greeted(port);
      assertNotEquals(pidIn(client), before);
      before = pidIn(client);
    }
    await master.logs(/its servers have finished, it waits for process \d+/);
    assert(isRunning(master.first) && isRunning(master.process.pid));
    // The first master and the last one; those between them have ended.
    await eventually(
      () => site.processes().filter(({ argv }) => argv.includes(MASTER_PROGRAM)).length <= 3,
      { what: "the end of the masters in between" },
    );
    await master.reload();
    (await greeted(port)).close();
    master.signal("SIGTERM");
    const { code, stderr } = await master.process.ended();
    assertEquals(code, 0, stderr);
    assertEquals(master.logged(/a second signal shortens that/), 1, "told twice to stop");
    await site.isGone(5_000);
  });
}

const [[, parent]] = Object.entries(PARENTS);

const SIGTERM = 15;

Deno.test("a parent learns how the last master has ended", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await Child.start(site, parent);
  await master.replace();
  const between = master.pid;
  await master.replace();
  await gone(between);
  Deno.kill(master.pid, "SIGKILL");
  assertEquals((await master.process.ended()).code, 128 + 9);
  await site.isGone(5_000);
});

Deno.test("a parent ends with the last master, whatever arguments a program has that a server of another user has left behind", async (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o755);
  const left = "sh -c 'while sleep 1; do :; done' sh -master-upgrade 3 <&- >&- 2>&- &";
  serveSmall(site, "a.cf", site.port());
  site.write("b.cf", {
    "server-command": executable(site, {
      name: "leaving",
      text: `#!/bin/sh\n${left}\nexec sleep 1000\n`,
    }),
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "systemd",
    "server-user": "nobody",
  });
  const master = await Child.start(site, parent);
  await master.upgrade();
  await master.logs(/its servers have finished, it waits for process \d+/);
  master.signal("SIGTERM");
  const { code, stderr } = await master.process.ended();
  assertEquals(code, 0, stderr);
});

Deno.test("a parent passes a stop on to the master that still drains when the newest one was killed", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "a.cf", port);
  const master = await Child.start(site, parent, ["-master-stop-timeout", "1"]);
  await master.replace();
  // Its process waits for an hour.
  serveSmall(site, "a.cf", port, { "server-stop-on-softstop-after": 3_600 });
  await master.reload();
  const draining = master.pid;
  await master.upgrade();
  await master.reload();
  // The master that drains does not hear of the end before the stop.
  Deno.kill(draining, "SIGSTOP");
  Deno.kill(master.pid, "SIGKILL");
  await gone(master.pid);
  master.signal("SIGTERM");
  await eventually(() => hasSignal(draining, "ShdPnd", SIGTERM), {
    what: "the stop to be passed on",
  });
  Deno.kill(draining, "SIGCONT");
  assertEquals((await master.process.ended()).code, 128 + 9);
  await site.isGone(5_000);
});

Deno.test("a parent need not wait for clients when the new master is killed after a reload", async () => {
  await using site = new Site();
  const port = site.port();
  // Its old process would wait for the client for an hour.
  serveSmall(site, "a.cf", port, { "server-stop-on-softstop-after": 3_600 });
  const master = await Child.start(site, parent);
  using _kept = await greeted(port);
  await master.upgrade();
  await master.reload();
  Deno.kill(master.pid, "SIGKILL");
  assertEquals((await master.process.ended()).code, 128 + 9);
  await site.isGone(5_000);
});

Deno.test("under a parent, too, the old master goes on when the new one is killed while it drains", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await Child.start(site, parent);
  using kept = await greeted(port);
  await master.upgrade();
  Deno.kill(master.pid, "SIGKILL");
  await master.logs(/this one goes on as before the upgrade/);
  (await greeted(port)).close();
  kept.close();
  master.pid = master.first;
  await master.replace();
  master.signal("SIGTERM");
  assertEquals((await master.process.ended()).code, 0);
  await site.isGone(5_000);
});

Deno.test("a master whose starter is gone ends when its servers have finished after an upgrade", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "a.cf", port);
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"];
  // As a control script starts it.
  const starter = site.execute([
    "sh",
    "-c",
    '"$@" & echo started',
    "sh",
    ...[Deno.execPath(), "run", "-A", MASTER_PROGRAM, ...args],
  ]);
  await starter.prints(/started/);
  await eventually(() => !isRunning(starter.pid), { what: "the end of the starter" });
  await starter.complains(/listeners: .*\n/);
  (await greeted(port)).close();
  const master = new Master(site, starter);
  master.pid = Number(Deno.readTextFileSync(site.pidFile));
  const old = await master.upgrade();
  await gone(old);
  await master.logs(/has taken over, this one ends when its servers have finished/);
  master.signal("SIGTERM");
  await site.isGone(10_000);
});
