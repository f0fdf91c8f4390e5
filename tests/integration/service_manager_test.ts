import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { TestServiceManager } from "../support/service_manager.ts";

/** A service manager with a master of its own that serves one port. */
async function notified(
  site: Site,
  env: Record<string, string> = {},
): Promise<{ master: Master; manager: TestServiceManager }> {
  const manager = new TestServiceManager(site.dir.file("notify"));
  const master = await site.start({ env: { ...env, NOTIFY_SOCKET: manager.address } });
  return { master, manager };
}

Deno.test("a service manager is told of start, reloads, an upgrade and the end", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const { master, manager } = await notified(site);
  using _ = manager;
  const { READY, STATUS } = await manager.until("READY");
  assertEquals(READY, "1");
  assertMatch(STATUS, /^listeners: .*opened/);
  await master.serving("a.cf", 1);

  await master.reload();
  assertEquals((await manager.next()).RELOADING, "1");
  assertEquals(await manager.next(), { READY: "1", STATUS: "reloaded" });

  site.write("b.cf", { "server-service": "nonsense:" });
  await master.reloadRefused();
  assertEquals((await manager.next()).RELOADING, "1");
  assertMatch((await manager.next()).STATUS, /^reload refused, all goes on as before: .*b\.cf/);
  site.remove("b.cf");

  await master.upgrade();
  assertEquals(await manager.next(), { MAINPID: String(master.pid) });
  await master.reload();
  assertEquals((await manager.next()).RELOADING, "1");
  assertEquals(await manager.next(), { READY: "1", STATUS: "reloaded" });
  (await greeted(port)).close();
  await master.stop();
  assertEquals(await manager.next(), { STOPPING: "1" });
});

Deno.test("a service manager is told of the services that have failed, also when another one is ready again", async () => {
  await using site = new Site();
  const { bad, worse, good } = { bad: site.port(), worse: site.port(), good: site.port() };
  const failing = { "server-start-limit": "1/1m" };
  serveSmall(site, "bad.cf", bad, failing);
  serveSmall(site, "worse.cf", worse, failing);
  serveSmall(site, "good.cf", good);
  const { master, manager } = await notified(site);
  using _ = manager;
  await manager.until("READY");
  const kill = async (name: string) => {
    Deno.kill((await master.serving(name, 1))[0], "SIGKILL");
    return (await manager.until("STATUS")).STATUS;
  };
  const failed = /^bad\.cf has failed: 1 starts of one slot within 60 s \(server-start-limit\)/;
  assertMatch(await kill("bad.cf"), failed);
  assertMatch(await kill("good.cf"), failed);
  assertMatch(await kill("worse.cf"), /^bad\.cf has failed: .*; worse\.cf has failed: /);
  await master.reload();
  assertEquals(await manager.until("STATUS"), { READY: "1", STATUS: "reloaded" });
  assertEquals(await kill("good.cf"), "good.cf is ready again");
  await master.stop();
});

Deno.test("the processes of a master can't speak to its service manager", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const { master, manager } = await notified(site, { WATCHDOG_USEC: "60000000" });
  using _ = manager;
  assertEquals(await manager.next(), { WATCHDOG: "1" });
  const [pid] = await master.serving("a.cf", 1);
  const environment = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
  assert(environment.some((variable) => variable.startsWith("ZC_TEST_SITE=")));
  assert(!environment.some((variable) => /^(NOTIFY_SOCKET|WATCHDOG_USEC)=/.test(variable)));
  await master.stop();
});

Deno.test("an upgrade that fails leaves the service manager with the old master", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const { master, manager } = await notified(site);
  using _ = manager;
  await manager.until("READY");
  site.write("b.cf", { "server-service": "nonsense:" });
  await master.upgradeFailed();
  site.remove("b.cf");
  await master.stop();
  assertEquals(await manager.next(), { STOPPING: "1" });
});
