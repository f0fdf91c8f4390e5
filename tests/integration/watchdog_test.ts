import { assert, assertEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { type ModeName, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { wakeUpsOf, wakeUpsSince } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

const WATCHDOG_MS = 1_000, SECOND_MS = 1_000;
/** What a busy machine may take longer for anything. */
const SLACK_MS = 15_000;

function watched(site: Site, file: string, mode: ModeName): number {
  const port = site.port();
  site.write(file, {
    "server-command": `deno run -A --v8-flags=--expose-gc ${SERVERS[mode]}`,
    "server-service": `127.0.0.1:${port}`,
    "server-watchdog": "1",
  });
  return port;
}

/** Ways to hang. */
const HANGS: Readonly<Record<string, (client: Client, pid: number) => unknown>> = {
  block: (client) => client.write("block\n"),
  stop: (_client, pid) => Deno.kill(pid, "SIGSTOP"),
  collect: (client) => client.write("collect\n"),
};

/** Sets up a program that knows nothing of the framework. */
function programWithoutHeartbeat(site: Site): string {
  const program = site.dir.write("server", "#!/bin/sh\nexec sleep 100\n");
  Deno.chmodSync(program, 0o755);
  site.write("silent.cf", {
    "server-command": program,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-watchdog": "1",
    "server-protocol": "libzc",
  });
  return "silent.cf";
}

Deno.test("a server that is blocked, stopped or collects garbage without end is found, aborted and replaced", async () => {
  await using site = new Site();
  const cases = MODES.flatMap((mode) =>
    Object.entries(HANGS).map(([name, hang]) => {
      const file = `${mode}-${name}.cf`;
      return { file, hang, port: watched(site, file, mode) };
    })
  );
  const silent = programWithoutHeartbeat(site);
  const master = await site.start({ args: ["-master-stop-timeout", "0"] });
  const hangs = async ({ file, hang, port }: (typeof cases)[number]) => {
    using client = await greeted(port);
    const pid = pidIn(client);
    await master.logs(new RegExp(`ready is process ${pid}`));
    const startedAt = performance.now();
    await hang(client, pid);
    await master.logs(
      new RegExp(`${file}: process ${pid} hangs: no heartbeat for 1 s \\(server-watchdog\\)`),
    );
    const foundMs = performance.now() - startedAt;
    assert(foundMs < WATCHDOG_MS + SECOND_MS + SLACK_MS, `${file}: found after ${foundMs} ms`);
    using next = await greeted(port);
    assert(pidIn(next) !== pid);
    await master.logs(new RegExp(`reaped process ${pid}, which was stopping`));
  };
  await Promise.all(cases.map(hangs));
  // Not even a stopped one, which is made to go on for its SIGABRT.
  assertEquals(master.logged(/is killed: it did not end in time/), 0);
  // A program that sends no heartbeats is not watched, of which the master warns.
  const warning = `${silent}:3: server-watchdog: Cannot use "server-watchdog": .*libzc`;
  await master.logs(new RegExp(` warn \\S+ .*${warning}`));
  assertEquals(master.logged(new RegExp(`${silent}: process`)), 0);
  await master.stop();
});

Deno.test("a master that was stopped itself blames nobody: neither who was with it nor who was not", async () => {
  await using site = new Site();
  const ports = MODES.map((mode) => watched(site, `${mode}.cf`, mode));
  const master = await site.start();
  const clients = await Promise.all(ports.map((port) => greeted(port)));
  await master.logs(/ready is process/, 2);
  const stopped = [master.pid, pidIn(clients[0])];
  for (const pid of stopped) Deno.kill(pid, "SIGSTOP");
  // Only time shows it.
  await new Promise((resolve) => setTimeout(resolve, 2 * WATCHDOG_MS + SECOND_MS / 2));
  for (const pid of stopped) Deno.kill(pid, "SIGCONT");
  // Longer than a verdict takes, and shorter than a server may be silent.
  const answers = clients.map((client) => client.ask(`block-for ${WATCHDOG_MS / 2}`));
  assertEquals(await Promise.all(answers), ["back", "back"]);
  assertEquals(master.logged(/hangs/), 0);
  assertEquals(master.servers().map(({ pid }) => pid).sort(), clients.map(pidIn).sort());
  clients.forEach((client) => client.close());
  await master.stop();
});

/** A timer of the runtime wakes its thread up on the way to its time, once or twice. */
const WAKE_UPS_PER_TIMER = 3;

Deno.test("a server that is watched beats once a second when it has nothing else to do", async () => {
  await using site = new Site();
  const port = watched(site, "a.cf", "coroutine");
  const master = await site.start();
  using client = await greeted(port);
  const pid = pidIn(client);
  await master.logs(/ready is process/);
  const seconds = 2;
  await eventually(async () => {
    const before = wakeUpsOf(pid);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    return wakeUpsSince(before, pid) <= seconds * WAKE_UPS_PER_TIMER;
  }, { what: "quiet seconds", withinMs: 15_000 });
  client.close();
  await master.stop();
});
