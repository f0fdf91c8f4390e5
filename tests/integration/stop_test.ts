import { assert, assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { Client, greeted } from "../support/client.ts";
import { MODES, Site } from "../support/master.ts";
import { startFunction } from "../support/processes.ts";
import { PidFile } from "../../src/os/process/lock_file.ts";

/** Times in milliseconds, in seconds where the settings have them. */
const SECOND = 1_000;

/** Measures, in milliseconds. */
async function took(action: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a SIGTERM ends all in an orderly way, and at once if nothing is under way`, async () => {
    await using site = new Site();
    const paths = [site.socket("one"), site.socket("two")];
    site.serve("a.cf", { mode, service: site.port(), "server-proc-count": 2 });
    site.serve("b.cf", { mode, service: paths.join(" ") });
    const master = await site.start();
    await Promise.all([master.serving("a.cf", 2), master.serving("b.cf", 1)]);
    assert(paths.every((path) => existsSync(path)));
    assertEquals(PidFile.tryLock(site.pidFile), undefined);
    assert(await took(() => master.stop()) < 5 * SECOND);
    assertEquals(master.logged(/killed/), 0);
  });

  Deno.test(`${mode} mode: a client in the middle of an exchange gets its answer before the end`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    site.serve("a.cf", { mode, service: `127.0.0.1:${port},${path}` });
    const master = await site.start();
    using client = await greeted(port);
    using other = await greeted(path);
    await client.write("echo first half");
    master.process.signal("SIGTERM");
    await master.closes(port);
    assert(!existsSync(path), "the socket file outlives its listener");
    await client.write(" and second half\n");
    assertEquals(await client.line(), "first half and second half");
    assertEquals(await other.ask("echo still there"), "still there");
    assertEquals(await other.ask("quit"), "bye");
    client.close();
    await master.stopped();
  });
}

Deno.test("a stop leaves a file alone that somebody else has put in a socket's place", async () => {
  await using site = new Site();
  const path = site.dir.file("sock"), own = site.socket("own");
  site.serve("a.cf", { mode: "coroutine", service: `${path},${own}` });
  const master = await site.start();
  Deno.removeSync(path);
  using _foreign = Deno.listen({ transport: "unix", path });
  await master.stop();
  assert(Deno.lstatSync(path).isSocket);
  (await Client.connect(path)).close();
});

Deno.test("a server that never ends is killed when master-stop-timeout is over", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start({ args: ["-master-stop-timeout", "3"] });
  using client = await greeted(port);
  await client.write("block\n");
  const elapsed = await took(() => master.stop());
  assert(elapsed > 2.9 * SECOND && elapsed < 6 * SECOND, `${elapsed} ms`);
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
  const elapsed = await took(() => master.stop());
  assert(elapsed < 1.9 * SECOND, `${elapsed} ms`);
});

for (const second of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`a ${second} after a SIGTERM shortens the wait`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode: "coroutine", service: port });
    const master = await site.start();
    using client = await greeted(port);
    master.process.signal("SIGTERM");
    await master.closes(port);
    assertEquals(await client.ask("echo not yet"), "not yet");
    const elapsed = await took(async () => {
      master.process.signal(second);
      await master.stopped();
    });
    assert(elapsed < 5 * SECOND, `${elapsed} ms`);
  });
}

Deno.test("a second SIGTERM bounds even a server that ignores everything", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using client = await greeted(port);
  await client.write("block\n");
  master.process.signal("SIGTERM");
  await master.logs(/stopping; servers have/);
  const elapsed = await took(() => master.stop());
  assert(elapsed < 5 * SECOND, `${elapsed} ms`);
});

Deno.test("a SIGINT alone stops the master as a SIGTERM does", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "aio", service: site.port() });
  const master = await site.start();
  master.process.signal("SIGINT");
  await master.stopped();
});

Deno.test("an interrupt in the terminal, which all processes get, lets connections finish", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  using client = await greeted(port);
  Deno.kill(pid, "SIGINT");
  master.process.signal("SIGINT");
  await master.closes(port);
  assertEquals(await client.ask("echo still there"), "still there");
  client.close();
  await master.stopped();
});

Deno.test("-exit-after stops the master after that time", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start({ args: ["-exit-after", "1"] });
  await master.stopped();
});

Deno.test("a signal between the end of a master and the exit of its program does not change the exit code", async () => {
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
  }, { arg: ["-C", site.conf, "-pid-file", site.pidFile, "-exit-after", "1"] });
  await child.succeeds();
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
  assert(elapsed < 5 * SECOND, `${elapsed} ms`);
  await master.logs(/reload over, rolled back for a\.cf/);
});

Deno.test("the second master on the same paths starts as soon as the first has ended", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("sock");
  site.serve("a.cf", { mode: "aio", service: `127.0.0.1:${port},${path}` });
  for (let count = 0; count < 2; count++) {
    const master = await site.start();
    (await greeted(port)).close();
    (await greeted(path)).close();
    await master.stop();
  }
});
