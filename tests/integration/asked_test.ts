import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, Site } from "../support/master.ts";

const PROGRAM = new URL("../support/masters/asked.ts", import.meta.url).pathname;

/** What the master says of the next reload and of the last one. */
async function ask(master: Master): Promise<Record<string, Record<string, unknown>>> {
  master.signal("SIGWINCH");
  const [line] = await master.process.prints(/\{.*\}\n/);
  return JSON.parse(line);
}

Deno.test("Master.plan() tells what a reload would do, and does nothing", async () => {
  await using site = new Site();
  const port = site.port(), next = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start({ program: PROGRAM });
  const [pid] = await master.serving("a.cf", 1);
  site.serve("b.cf", { mode: "coroutine", service: next });
  for (let time = 0; time < 2; time++) {
    const { plan, lastReload } = await ask(master);
    assertEquals(plan.added, ["b.cf"]);
    assertEquals(plan.replaced, ["a.cf"]);
    assertEquals(plan.opened, [`inet:127.0.0.1:${next}`]);
    assertEquals(lastReload, undefined);
  }
  assertEquals(master.servers().map((server) => server.pid), [pid]);
  site.write("b.cf", { "server-service": "nonsense:" });
  assertMatch(String((await ask(master)).plan.refused), /b\.cf/);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("Master.lastReload keeps what came of the last reload", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const began = Date.now();
  const master = await site.start({ program: PROGRAM });
  await master.serving("a.cf", 1);
  await master.reload();
  const { lastReload: done } = await ask(master);
  assertEquals(done.undone, []);
  assertEquals((done.plan as Record<string, unknown>).replaced, ["a.cf"]);
  assert(Number(done.startedAt) >= began && Number(done.startedAt) <= Date.now());
  assert(Number(done.durationMs) > 0);
  site.serve("a.cf", { mode: "coroutine", service: port, "server-command": "/bin/false" });
  await master.reloadUndone();
  const { lastReload: failed } = await ask(master);
  assertEquals((failed.undone as { services: string[] }[]).map((one) => one.services), [["a.cf"]]);
  site.write("a.cf", { "server-service": "nonsense:" });
  await master.reloadRefused();
  const { lastReload: refused } = await ask(master);
  assertMatch(String(refused.refusal), /a\.cf/);
  assertEquals(refused.plan, undefined);
  (await greeted(port)).close();
  await master.stop();
});
