/** `server-ready-timeout` bounds every start, and whoever waits for the start of a master hears of it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { MODES, pidIn, Site } from "../support/master.ts";
import { TestServiceManager } from "../support/service_manager.ts";
import { eventually } from "../support/wait.ts";

const LATE =
  /a\.cf: process (\d+) was not ready within 3 s \(server-ready-timeout\): it is told to end, and the next one is started (in \d+ ms|at once)/;

for (const mode of MODES) {
  Deno.test(`${mode} mode: a replacement that hangs before it is ready is ended, and another one serves`, async () => {
    await using site = new Site();
    const port = site.port(), go = site.dir.write("go", "");
    site.serve("a.cf", { mode, service: port, "server-ready-timeout": 3, "ready-when": go });
    const master = await site.start();
    using first = await greeted(port);
    Deno.removeSync(go);
    Deno.kill(pidIn(first), "SIGKILL");
    // Its beforeService does not return.
    const hung = Number((await master.logs(LATE))[1]);
    // So does that of the next one, which is stopped besides: SIGTERM does not end it.
    const next = await eventually(
      () => master.servers("a.cf").find(({ pid }) => pid !== hung)?.pid,
      { what: "the next process" },
    );
    Deno.kill(next, "SIGSTOP");
    site.dir.write("go", "");
    using served = await greeted(port);
    assert(![hung, next].includes(pidIn(served)));
    assertEquals(await served.ask("echo served"), "served");
    await master.logs(new RegExp(`process ${next} was not ready within 3 s`));
    await master.logs(new RegExp(`process ${next} is killed: it did not end in time`));
    served.close();
    await master.stop();
  });
}

Deno.test("a start is over when every service serves or has had its time, and says which does not", async () => {
  await using site = new Site();
  const manager = new TestServiceManager(site.dir.file("notify"));
  using _ = manager;
  site.write("all.gcf", { "server-log": "stdout" });
  const [bad, late, good] = [site.port(), site.port(), site.port()];
  const go = site.dir.file("go");
  const settings = { mode: "coroutine", "server-ready-timeout": 3 } as const;
  site.serve("bad.cf", { ...settings, service: bad, "exit-at-start": 1 });
  site.serve("late.cf", { ...settings, service: late, "ready-when": go });
  site.serve("good.cf", { mode: "aio", service: good });
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile], {
    env: { NOTIFY_SOCKET: manager.address },
  });
  const bads = /bad\.cf: process \d+ ended after \S+ \S+: exit code 1/;
  const messages = [await manager.next()];
  while (messages.at(-1)?.READY === undefined) messages.push(await manager.next());
  assertEquals(Object.keys(messages[0]), ["EXTEND_TIMEOUT_USEC", "STATUS"]);
  assert(messages.some(({ STATUS }) => STATUS.startsWith("waiting for ") && bads.test(STATUS)));
  const { STATUS } = messages.at(-1)!;
  const lates = /late\.cf: process \d+ was not ready within 3 s/;
  for (const pattern of [/^not ready: /, bads, lates]) assertMatch(STATUS, pattern);
  assert(!STATUS.includes("good.cf"), STATUS);
  // Not only in the log, which goes elsewhere here.
  await process.complains(/not ready: .*clients of these services wait until they serve/);

  Deno.writeTextFileSync(go, "");
  for (const [name, service] of [["bad.cf", bad], ["late.cf", late]] as const) {
    site.serve(name, { mode: "coroutine", service });
  }
  process.signal("SIGHUP");
  await eventually(async () => (await manager.next()).STATUS === "reloaded", {
    what: "the reload",
  });
  for (const port of [bad, late, good]) (await greeted(port)).close();
  process.signal("SIGTERM");
  await process.succeeds();
});
