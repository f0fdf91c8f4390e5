import { assert, assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { Client, Clients, greeted } from "../support/client.ts";
import { MODES, Site } from "../support/master.ts";
import { startFunction } from "../support/processes.ts";
import { PidFile } from "../../src/os/process/lock_file.ts";

/** Times in milliseconds, in seconds where the settings have them. */
const SECOND = 1_000;

/** A stop that waits for connections or for its time limits takes half a minute, any other one far less than this. */
const SOON_MS = 20 * SECOND;

/** Measures, in milliseconds. */
async function took(action: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

Deno.test("a SIGTERM ends all in an orderly way, at once if nothing is under way, and the same paths can be used again", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const port = site.port(), paths = [site.socket(`${mode}-one`), site.socket(`${mode}-two`)];
    site.serve(`${mode}.cf`, {
      mode,
      service: `127.0.0.1:${port},${paths.join()}`,
      "server-proc-count": 2,
    });
    return { mode, port, paths };
  });
  for (let count = 0; count < 2; count++) {
    const master = await site.start();
    await Promise.all(MODES.map((mode) => master.serving(`${mode}.cf`, 2)));
    for (const { port, paths } of services) {
      for (const target of [port, ...paths]) (await greeted(target)).close();
    }
    assertEquals(PidFile.tryLock(site.pidFile), undefined);
    assert(await took(() => master.stop()) < SOON_MS);
    assertEquals(master.logged(/killed/), 0);
  }
});

Deno.test("a client in the middle of an exchange gets its answer before the end, and files of others stay", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const port = site.port(), path = site.socket(mode);
    site.serve(`${mode}.cf`, { mode, service: `127.0.0.1:${port},${path}` });
    return { mode, port, path };
  });
  const replaced = site.dir.file("sock"), own = site.socket("own");
  site.serve("replaced.cf", { mode: "coroutine", service: `${replaced},${own}` });
  const master = await site.start();
  // Somebody else has put a file in the place of a socket.
  Deno.removeSync(replaced);
  using _foreign = Deno.listen({ transport: "unix", path: replaced });
  const clients = await Promise.all(services.map(async ({ port, path }) => {
    const client = await greeted(port), other = await greeted(path);
    await client.write("echo first half");
    return { client, other };
  }));
  master.process.signal("SIGTERM");
  await Promise.all(services.map(async ({ mode, port, path }, index) => {
    const { client, other } = clients[index];
    await master.closes(port);
    assert(!existsSync(path), `the socket file of ${mode} outlives its listener`);
    await client.write(" and second half\n");
    assertEquals(await client.line(), "first half and second half", mode);
    assertEquals(await other.ask("echo still there"), "still there", mode);
    assertEquals(await other.ask("quit"), "bye", mode);
    client.close();
    other.close();
  }));
  await master.stopped();
  assert(Deno.lstatSync(replaced).isSocket);
  (await Client.connect(replaced)).close();
});

Deno.test("a server that never ends is killed when master-stop-timeout is over", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start({ args: ["-master-stop-timeout", "3"] });
  using client = await greeted(port);
  await client.write("block\n");
  const elapsed = await took(() => master.stop());
  assert(elapsed > 2.9 * SECOND && elapsed < SOON_MS, `${elapsed} ms`);
  await master.logs(/a\.cf: process \d+ is killed: it did not end in time/);
});

Deno.test("master-stop-timeout of less than the grace of a SIGTERM is kept", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("all.gcf", { "master-stop-timeout": "1" });
  site.serve("a.cf", { mode: "aio", service: port });
  const master = await site.start();
  using client = await greeted(port);
  await client.write("block\n");
  await master.stop();
  // By the clock of the master: the grace of a SIGTERM is 2 s.
  const stamp = (pattern: RegExp) => Date.parse(pattern.exec(master.log)![1]);
  const elapsed = stamp(/^(\S+) .*is killed: it did not end in time/m) -
    stamp(/^(\S+) .*stopping; servers have/m);
  assert(elapsed < 1.9 * SECOND, `${elapsed} ms`);
});

Deno.test("a SIGINT after a SIGTERM shortens the wait", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using client = await greeted(port);
  master.process.signal("SIGTERM");
  await master.closes(port);
  assertEquals(await client.ask("echo not yet"), "not yet");
  const elapsed = await took(async () => {
    master.process.signal("SIGINT");
    await master.stopped();
  });
  assert(elapsed < SOON_MS, `${elapsed} ms`);
});

Deno.test("a second SIGTERM shortens the wait, even for a server that ignores everything", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using client = await greeted(port);
  await client.write("block\n");
  master.process.signal("SIGTERM");
  await master.logs(/stopping; servers have/);
  const elapsed = await took(() => master.stop());
  assert(elapsed < SOON_MS, `${elapsed} ms`);
});

Deno.test("a SIGINT stops the master as a SIGTERM does; in a terminal all processes get it, and connections can finish", async () => {
  await using site = new Site();
  const services = MODES.flatMap((mode) =>
    ["alone", "terminal"].map((how) => {
      const file = `${how}-${mode}.cf`, port = site.port();
      site.serve(file, { mode, service: port });
      return { file, port, isTerminal: how === "terminal" };
    })
  );
  const master = await site.start();
  using clients = new Clients();
  const connected = await Promise.all(services.map(async ({ file, port, isTerminal }) => {
    const [pid] = await master.serving(file, 1);
    return { file, port, pid, isTerminal, client: await clients.greeted(port) };
  }));
  for (const { pid, isTerminal } of connected) if (isTerminal) Deno.kill(pid, "SIGINT");
  master.process.signal("SIGINT");
  for (const { file, port, client } of connected) {
    await master.closes(port);
    assertEquals(await client.ask("echo still there"), "still there", file);
  }
  clients.dispose();
  await master.stopped();
});

Deno.test("-exit-after stops the master after that time, and a signal between its end and the exit of its program does not change the exit code", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  await using child = startFunction(import.meta, async (args) => {
    const { masterServerMain } = await import("../../mod.ts");
    const code = await masterServerMain({}, args);
    // Delivered before the call returns, where nothing in the process handles it.
    for (const signal of ["SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR2"] as const) {
      Deno.kill(Deno.pid, signal);
    }
    Deno.exit(code);
  }, {
    arg: ["-C", site.conf, "-pid-file", site.pidFile, "-exit-after", "1"],
    env: site.environment,
  });
  await child.succeeds();
  await site.isGone();
});

Deno.test("a stop while a reload is under way ends all the same", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master = await site.start();
  await master.serving("a.cf", 2);
  const service = `127.0.0.1:${port},${site.socket("fresh")}`;
  site.serve("a.cf", { mode: "coroutine", service, "ready-when": site.dir.file("never") });
  await master.reloadBegun();
  await master.logs(/\] beforeService/, 3);
  const elapsed = await took(() => master.stop());
  assert(elapsed < SOON_MS, `${elapsed} ms`);
  await master.logs(/reload over, rolled back for a\.cf/);
});
