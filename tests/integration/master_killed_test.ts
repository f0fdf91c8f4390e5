import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { Master, MODES, Site } from "../support/master.ts";
import { gone } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** How long servers may live on without their master, in milliseconds: a second, on a busy machine longer. */
const OUTLIVE_MS = 10_000;

for (const mode of MODES) {
  Deno.test(`${mode} mode: no server outlives a killed master, and a new one starts at once`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    const settings = { mode, service: `127.0.0.1:${port},${path}`, "server-proc-count": 2 };
    site.serve("a.cf", settings);
    site.serve("b.cf", { mode, service: site.port() });
    const first = await site.start();
    await Promise.all([first.serving("a.cf", 2), first.serving("b.cf", 1)]);
    const clients = await Promise.all(Array.from({ length: 4 }, () => greeted(port)));
    first.process.signal("SIGKILL");
    await first.process.ended();
    const second = await site.start();
    using client = await greeted(path);
    assertEquals(await client.ask("echo again"), "again");
    client.close();
    for (const client of clients) await client.ending();
    clients.forEach((client) => client.close());
    await second.stop();
  });

  Deno.test(`${mode} mode: idle and busy servers of a killed master end soon`, async () => {
    await using site = new Site();
    const [idle, busy, draining] = [site.port(), site.port(), site.port()];
    site.serve("idle.cf", { mode, service: idle, "server-proc-count": 2 });
    site.serve("busy.cf", { mode, service: busy });
    site.serve("draining.cf", {
      mode,
      service: draining,
      args: ["--before-softstop"],
      "server-stop-on-softstop-after": 3600,
    });
    const master = await site.start();
    await master.serving("idle.cf", 2);
    const clients: Client[] = [await greeted(busy), await greeted(draining), await greeted(busy)];
    await master.reload();
    await master.logs(/\] beforeSoftstop/);
    await Promise.all([master.serving("idle.cf", 2), master.serving("draining.cf", 2)]);
    const exchange = clients[0].ask("echo under way");
    master.process.signal("SIGKILL");
    assertEquals(await exchange, "under way");
    await site.isGone(OUTLIVE_MS);
    clients.forEach((client) => client.close());
  });

  Deno.test(`${mode} mode: a server that has not begun to serve does not outlive its master`, async () => {
    await using site = new Site();
    site.serve("a.cf", { mode, service: site.port(), "ready-when": site.dir.file("never") });
    const master = await site.start();
    await master.logs(/\] beforeService/);
    master.process.signal("SIGKILL");
    await site.isGone(OUTLIVE_MS);
  });

  Deno.test(`${mode} mode: neither a blocked nor a stopped server outlives its killed master`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("blocked.cf", { mode, service: port });
    site.serve("stopped.cf", { mode, service: site.port() });
    const master = await site.start();
    const [[blocked], [stopped]] = await Promise.all([
      master.serving("blocked.cf", 1),
      master.serving("stopped.cf", 1),
    ]);
    using client = await greeted(port);
    const before = processorTimeOf(blocked);
    await client.write("block\n");
    // Far more than it takes to read the line.
    await eventually(() => processorTimeOf(blocked) - before > 30, { what: "the endless loop" });
    Deno.kill(stopped, "SIGSTOP");
    master.process.signal("SIGKILL");
    await site.isGone(OUTLIVE_MS);
  });
}

/** The processor time of a process so far, in clock ticks of mostly 10 ms (proc_pid_stat(5)). */
function processorTimeOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11]);
}

Deno.test("programs that never ask who their parent is do not outlive their master", async () => {
  await using site = new Site();
  for (const protocol of ["libzc", "control"]) {
    site.write(`${protocol}.cf`, {
      "server-command": "sh -c 'exec sleep 47'",
      "server-protocol": protocol,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-proc-count": 2,
    });
  }
  const master = await site.start();
  await eventually(() => master.servers().length === 4, { what: "all processes" });
  master.process.signal("SIGKILL");
  await site.isGone(OUTLIVE_MS);
});

Deno.test("a master has one guardian, at once another one when it is killed, and leaves none", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master = await site.start();
  const pids = await master.serving("a.cf", 2);
  const [{ pid, parent }, ...others] = site.guardians();
  assertEquals([parent, others], [master.pid, []]);
  Deno.kill(pid, "SIGKILL");
  const next = await eventually(() => site.guardians().find((one) => one.pid !== pid), {
    what: "another guardian",
  });
  assertEquals(next.parent, master.pid);
  // No server was started for that.
  assertEquals(await master.serving("a.cf", 2), pids);
  await master.stop();
  assertEquals(site.guardians(), []);
});

Deno.test("no server outlives a master whose guardian was killed before", async () => {
  await using site = new Site();
  site.write("sleep.cf", {
    "server-command": "sh -c 'exec sleep 47'",
    "server-protocol": "libzc",
    "server-service": `127.0.0.1:${site.port()}`,
    "server-proc-count": 2,
  });
  const master = await site.start();
  await eventually(() => master.servers().length === 2, { what: "all processes" });
  const [{ pid }] = site.guardians();
  Deno.kill(pid, "SIGKILL");
  await eventually(() => site.guardians().some((one) => one.pid !== pid), {
    what: "another guardian",
  });
  master.process.signal("SIGKILL");
  await site.isGone(OUTLIVE_MS);
});

Deno.test("servers that are just being started do not outlive their master", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "aio", service: site.port(), "server-proc-count": 4 });
  const master = await site.start();
  master.process.signal("SIGKILL");
  await site.isGone(OUTLIVE_MS);
});

Deno.test("a server that a client keeps busy ends with its killed master all the same", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using client = await greeted(port);
  const talk = (async () => {
    for (let count = 0;; count++) {
      try {
        await client.ask(`echo ${count}`);
      } catch {
        return count;
      }
    }
  })();
  master.process.signal("SIGKILL");
  await site.isGone(OUTLIVE_MS);
  await talk;
});

Deno.test("a start waits for addresses that the servers of a killed master still have, and says for whom", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  site.serve("a.cf", { mode: "coroutine", service: `127.0.0.1:${port},${path}` });
  const first = await site.start();
  const [server] = await first.serving("a.cf", 1);
  // It can't close anything, and the guardian can't kill it.
  const [guardian] = site.guardians();
  for (const pid of [server, guardian.pid]) Deno.kill(pid, "SIGSTOP");
  first.process.signal("SIGKILL");
  // Its output stays open for as long as its server has it.
  await gone(first.pid);
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"]);
  const [, waiting] = await process.complains(/waiting for up to 2 s: ([^]*?)\n(?! )/);
  Deno.kill(server, "SIGKILL");
  Deno.kill(guardian.pid, "SIGCONT");
  await process.complains(/listeners: .*\n/);
  const by = `by process ${server} ("deno") `;
  for (const address of [`127.0.0.1:${port}`, path]) {
    assertStringIncludes(waiting, `Cannot listen on "${address}": address in use ${by}`);
  }
  for (const target of [port, path]) (await greeted(target)).close();
  await new Master(site, process).stop();
});

Deno.test("a start that waits for an address ends at a SIGTERM, and opens nothing", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.busyPort() });
  const waiting = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  await waiting.complains(/waiting for up to 2 s/);
  waiting.signal("SIGTERM");
  const { code, stderr } = await waiting.ended();
  assertEquals(code, 0, stderr);
  await site.isGone();
});
