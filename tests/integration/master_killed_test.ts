import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { Master, MODES, Site } from "../support/master.ts";
import { gone } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** How long servers may live on without their master, in milliseconds: a second, on a busy machine longer. */
const OUTLIVE_MS = 10_000;

Deno.test("no server outlives a killed master, and a new one starts at once", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const port = site.port(), path = site.socket(mode);
    const settings = { mode, service: `127.0.0.1:${port},${path}`, "server-proc-count": 2 };
    site.serve(`${mode}.cf`, settings);
    return { mode, port, path };
  });
  const first = await site.start();
  await Promise.all(MODES.map((mode) => first.serving(`${mode}.cf`, 2)));
  const clients = await Promise.all(
    services.flatMap(({ port }) => Array.from({ length: 4 }, () => greeted(port))),
  );
  first.process.signal("SIGKILL");
  await first.process.ended();
  const second = await site.start();
  for (const { mode, path } of services) {
    using client = await greeted(path);
    assertEquals(await client.ask("echo again"), "again", mode);
  }
  for (const client of clients) await client.ending();
  clients.forEach((client) => client.close());
  await second.stop();
});

Deno.test("idle, busy and draining servers of a killed master end soon, and those that have not begun to serve", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const [busy, draining] = [site.port(), site.port()];
    site.serve(`idle-${mode}.cf`, { mode, service: site.port() });
    site.serve(`busy-${mode}.cf`, { mode, service: busy });
    site.serve(`draining-${mode}.cf`, {
      mode,
      service: draining,
      args: ["--before-softstop"],
      "server-stop-on-softstop-after": 3600,
    });
    return { mode, busy, draining };
  });
  const master = await site.start();
  const idle = await Promise.all(MODES.map((mode) => master.serving(`idle-${mode}.cf`, 1)));
  const clients: Client[] = await Promise.all(
    services.flatMap(({ busy, draining }) => [greeted(busy), greeted(draining), greeted(busy)]),
  );
  for (const mode of MODES) {
    const never = site.dir.file("never");
    site.serve(`late-${mode}.cf`, { mode, service: site.port(), "ready-when": never });
  }
  await master.reloadBegun();
  await master.logs(/\] beforeSoftstop/, 2);
  await Promise.all(MODES.map(async (mode, index) => {
    await master.reaps(idle[index]);
    await master.serving(`idle-${mode}.cf`, 1);
    await master.serving(`draining-${mode}.cf`, 2);
    const late = await eventually(() => master.servers(`late-${mode}.cf`).at(0), {
      what: `a process of late-${mode}.cf`,
    });
    await master.logs(new RegExp(`\\[${late.pid}\\] beforeService`));
  }));
  const exchanges = services.map((_, index) => clients[3 * index].ask("echo under way"));
  master.process.signal("SIGKILL");
  assertEquals(await Promise.all(exchanges), ["under way", "under way"]);
  await site.isGone(OUTLIVE_MS);
  clients.forEach((client) => client.close());
});

Deno.test("neither a blocked nor a stopped server outlives its killed master", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const port = site.port();
    site.serve(`blocked-${mode}.cf`, { mode, service: port });
    site.serve(`stopped-${mode}.cf`, { mode, service: site.port() });
    return { mode, port };
  });
  const master = await site.start();
  const clients = await Promise.all(services.map(async ({ mode, port }) => {
    const [[blocked], [stopped]] = await Promise.all([
      master.serving(`blocked-${mode}.cf`, 1),
      master.serving(`stopped-${mode}.cf`, 1),
    ]);
    const client = await greeted(port);
    const before = processorTimeOf(blocked);
    await client.write("block\n");
    // Far more than it takes to read the line.
    await eventually(() => processorTimeOf(blocked) - before > 30, { what: "the endless loop" });
    Deno.kill(stopped, "SIGSTOP");
    return client;
  }));
  master.process.signal("SIGKILL");
  await site.isGone(OUTLIVE_MS);
  clients.forEach((client) => client.close());
});

/** The processor time of a process so far, in clock ticks of mostly 10 ms (proc_pid_stat(5)). */
function processorTimeOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[11]);
}

Deno.test("programs that never ask who their parent is do not outlive their master, be its guardian the first one or another one after a kill", async () => {
  await using site = new Site();
  for (const protocol of ["libzc", "control"]) {
    site.write(`${protocol}.cf`, {
      "server-command": "sh -c 'exec sleep 47'",
      "server-protocol": protocol,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-proc-count": 2,
    });
  }
  // First the guardian of the start kills them, then one that has come in its place.
  for (const isReplaced of [false, true]) {
    const master = await site.start();
    await eventually(() => master.servers().length === 4, { what: "all processes" });
    if (isReplaced) {
      const [{ pid }] = site.guardians();
      Deno.kill(pid, "SIGKILL");
      await eventually(() => site.guardians().some((one) => one.pid !== pid), {
        what: "another guardian",
      });
    }
    master.process.signal("SIGKILL");
    await site.isGone(OUTLIVE_MS);
  }
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
