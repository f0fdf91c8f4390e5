/** Deadlines do not count the time in which the master and its servers were stopped. */
import { assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { controlOf } from "../support/commands.ts";
import { type Master, Site } from "../support/master.ts";

/** Long enough for a server that starts on a busy machine. */
const DEADLINE_SECONDS = 8;

/** Stops a master and its servers (SIGSTOP) for longer than the deadline. */
async function stopBeyond(
  site: Site,
  { pid, servers }: Pick<Master, "pid" | "servers">,
): Promise<void> {
  // Once it answers, its timers are set: a suspension between a deadline and its timer does not show.
  using client = await controlOf(site);
  await client.request("status");
  const pids = [pid, ...servers().map(({ pid }) => pid)];
  for (const pid of pids) Deno.kill(pid, "SIGSTOP");
  // Only time shows it.
  await new Promise((resolve) => setTimeout(resolve, (DEADLINE_SECONDS + 1) * 1_000));
  for (const pid of pids) Deno.kill(pid, "SIGCONT");
}

/** Stops both while a reload waits for a new process. */
async function reloads(): Promise<void> {
  await using site = new Site();
  const settings = {
    mode: "coroutine",
    service: site.port(),
    "server-ready-timeout": DEADLINE_SECONDS,
  } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  const go = site.dir.file("go");
  site.serve("a.cf", { ...settings, "ready-when": go });
  await master.reloadBegun();
  await master.logs(/beforeService with/, 2);
  await stopBeyond(site, { pid: master.pid, servers: () => master.servers() });
  site.dir.write("go", "");
  await master.logs(/\] reloaded\n/);
  await master.reaps(old);
  await master.stop();
}

/** Stops both while the master waits for a client of its server. */
async function stops(): Promise<void> {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port });
  // The first step is SIGTERM, two seconds before.
  const master = await site.start({ args: ["-master-stop-timeout", `${DEADLINE_SECONDS + 2}`] });
  using client = await greeted(port);
  master.signal("SIGTERM");
  await master.logs(/softstop of process/);
  await stopBeyond(site, { pid: master.pid, servers: () => master.servers() });
  assertEquals(await client.ask("echo still here"), "still here");
  client.close();
  await master.stopped();
  assertEquals(master.logged(/is killed|terminate of process/), 0, master.log);
}

Deno.test("neither a reload nor a stop counts the time in which master and servers were stopped", async () => {
  await Promise.all([reloads(), stops()]);
});
