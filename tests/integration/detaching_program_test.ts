/** Programs of LIB-ZC's protocol that close their status pipes: each counts as detached. */
import { assert, assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const DETACHED = /bad\.cf: process \d+ has detached/;
const BOUND =
  /bad\.cf: (\d+) processes have detached or drain, without having been told to; none is started until one of them ends/;

/** A service whose program closes what connects it with the master, and stays. */
function detaching(site: Site, settings: Readonly<Record<string, string | number>>): void {
  const pipe = site.dir.file("pipe");
  assert(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().success);
  // There is never a writer: it waits without another process.
  const text = `#!/bin/sh\nexec 3>&- 4>&-\nread line <${pipe}\n`;
  const program = site.dir.write("program", text);
  Deno.chmodSync(program, 0o755);
  site.write("bad.cf", {
    "server-command": program,
    "server-protocol": "libzc",
    "server-service": `127.0.0.1:${site.port()}`,
    ...settings,
  });
}

Deno.test("a program that closes its status pipes at its start is started ever more rarely", async () => {
  await using site = new Site();
  detaching(site, {});
  const master = await site.start();
  await master.logs(/bad\.cf: processes end early; the next start is in (?:0\.[4-9]|[1-9]\S*) s/);
  const count = master.logged(DETACHED);
  assert(count <= 8, `${count} processes`);
  assert(master.servers("bad.cf").length >= count, "a detached one was ended");
  await master.stop();
  await site.isGone();
});

Deno.test("processes that detach again and again are bounded, also without a back-off", async () => {
  await using site = new Site();
  const port = site.port(), procCount = 16;
  detaching(site, { "server-backoff-max": 0, "server-proc-count": procCount });
  site.serve("good.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [, most] = await master.logs(BOUND);
  // Those that were running by then may detach as well.
  await eventually(() => master.logged(DETACHED) === master.servers("bad.cf").length, {
    what: "all to have detached",
  });
  const pids = master.servers("bad.cf").map(({ pid }) => pid);
  assert(pids.length >= Number(most) && pids.length < Number(most) + procCount, `${pids.length}`);
  using client = await greeted(port);
  assertEquals([pidIn(client)], await master.serving("good.cf", 1));
  assertEquals(master.logged(BOUND), 1);
  // When some of them end, there are others, up to the same bound.
  for (const pid of pids.slice(0, procCount + 1)) Deno.kill(pid, "SIGKILL");
  await master.logs(BOUND, 2);
  assert(master.servers("bad.cf").length < Number(most) + procCount);
  client.close();
  await master.stop();
  await site.isGone();
});
