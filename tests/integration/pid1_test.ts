import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { greeted, greetedOnceOpen } from "../support/client.ts";
import { leaveOut } from "../support/left_out.ts";
import { MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { childrenOf, obstacle, unshare } from "../support/namespaces.ts";
import type { TestProcess } from "../support/processes.ts";
import { eventually } from "../support/wait.ts";

/** A master as process 1 of a namespace of its own. */
const UNSHARE = [...unshare(), "--mount-proc"];

const ORPHANS = 3;

/** Sets up a service of each protocol, of which the second leaves orphans. */
function setUp(site: Site): { readonly port: number; readonly args: string[] } {
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const leaving = "#!/bin/sh\nfor i in 1 2 3; do (sleep 0.2 &); done\nexec sleep 100\n";
  const program = site.dir.write("server", leaving);
  Deno.chmodSync(program, 0o755);
  site.write("b.cf", {
    "server-command": program,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "libzc",
  });
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG", "--debug"];
  return { port, args: [...args, "-master-stop-timeout", "1"] };
}

/** Fails unless a master reaps orphans, learns how its own servers end, and stops in an orderly way. */
async function reapsOrphans(
  site: Site,
  { outer, master, port }: { outer: TestProcess; master: () => number; port: number },
): Promise<void> {
  await outer.complains(/ready is process \d+[^]*ready is process \d+/);
  const pid = master();
  await eventually(() => [...outer.stderr.matchAll(/reaped orphan/g)].length >= ORPHANS, {
    what: "the end of the orphans",
  });
  const zombies = () => childrenOf(pid).filter(({ state }) => state === "Z");
  await eventually(() => zombies().length === 0, { what: "no zombies" });

  // The program of the second one may still be the script that becomes it.
  const servers = await eventually(() => {
    const found = childrenOf(pid).filter(({ pid }) => {
      const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
      return /coroutine|sleep 100/.test(command);
    });
    return found.length === 2 && found;
  }, { what: "both servers" });
  for (const { pid } of servers) Deno.kill(pid, "SIGKILL");
  for (const file of ["a.cf", "b.cf"]) {
    const end = new RegExp(`${file}: process \\d+ ended after \\S+ \\S+: signal SIGKILL`);
    await eventually(() => end.test(outer.stderr), { what: `the news of an end in ${file}` });
  }
  using client = await greeted(port);
  assertEquals(await client.ask("echo served"), "served");
  client.close();
  Deno.kill(pid, "SIGTERM");
  const { code, stderr } = await outer.ended();
  assertEquals(code, 0, stderr);
  await site.isGone();
}

Deno.test("as process 1 the master reaps orphans, and still learns how its own servers end", async (t) => {
  const problem = await obstacle([...UNSHARE, "true"]);
  // The test of a subreaper shows the same.
  if (problem !== undefined) return leaveOut(t, problem);
  await using site = new Site();
  const { port, args } = setUp(site);
  await using outer = site.execute(
    [...UNSHARE, Deno.execPath(), "run", "-A", MASTER_PROGRAM, ...args],
  );
  const master = () => childrenOf(outer.pid)[0].pid;
  await reapsOrphans(site, { outer, master, port });
  // As it saw itself.
  assert(outer.stderr.includes(" master[1] "));
});

Deno.test("as a subreaper the master reaps orphans, and still learns how its own servers end", async () => {
  await using site = new Site();
  const { port, args } = setUp(site);
  const program = new URL("../support/masters/subreaper.ts", import.meta.url).pathname;
  await using outer = site.run(args, { program });
  await reapsOrphans(site, { outer, master: () => outer.pid, port });
});

Deno.test("a master that was started by an init of a container stays at an upgrade, and so does the init", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  // It waits for its child and ends with it, as tini(1) does.
  const init = `"$@" & wait "$!"`;
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile], {
    prefix: ["bash", "-c", `exec -a tini bash -c '${init}' sh "$@"`, "sh"],
  });
  (await greetedOnceOpen(port)).close();
  const pid = Number(Deno.readTextFileSync(site.pidFile));
  Deno.kill(pid, "SIGUSR2");
  await process.complains(/has taken over, this one stays as its parent/);
  await process.complains(/its servers have finished, it waits for process \d+/);
  (await greeted(port)).close();
  assertNotEquals(Number(Deno.readTextFileSync(site.pidFile)), pid);
  Deno.kill(pid, "SIGTERM");
  await process.ended();
  await site.isGone();
});

Deno.test("as process 1 the master stays, while new ones take its place, and ends with the last", async (t) => {
  const problem = await obstacle([...UNSHARE, "true"]);
  // A parent that exits with its child shows the same, in parent_test.ts.
  if (problem !== undefined) return leaveOut(t, problem);
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"];
  await using outer = site.execute(
    [...UNSHARE, Deno.execPath(), "run", "-A", MASTER_PROGRAM, ...args],
  );
  await outer.complains(/listeners: .*\n/);
  const [{ pid: first }] = childrenOf(outer.pid);
  let before = 0;
  for (let round = 1; round <= 2; round++) {
    Deno.kill(first, "SIGUSR2");
    await eventually(() => [...outer.stderr.matchAll(/has taken over/g)].length === round, {
      what: "another master",
    });
    await eventually(async () => {
      using client = await greeted(port);
      const pid = pidIn(client);
      return pid !== before && (before = pid);
    }, { what: "another server" });
  }
  Deno.kill(first, "SIGHUP");
  await outer.complains(/reloaded/);
  Deno.kill(first, "SIGTERM");
  const { code, stderr } = await outer.ended();
  assertEquals(code, 0, stderr);
  await site.isGone(5_000);
});
