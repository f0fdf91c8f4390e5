import { assert, assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** The setting that keeps a service from ever coming to serve. */
const BROKEN = { "peer-exit-at-start": "1" };

const STEP = /bad\.cf: process \d+ ended .*; the next one is started in (\S+) (ms|s)\b/;
const DEATH = /bad\.cf: process \d+ ended after \S+ \S+: exit code/;

Deno.test("a service that crashes at its start is started ever more rarely; the others never notice", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "bad.cf", site.port(), { ...BROKEN, "server-backoff-max": "1" });
  serveSmall(site, "good.cf", port);
  const master = await site.start();
  using client = await greeted(port);
  await master.logs(DEATH);
  const beganMs = performance.now();
  await master.logs(DEATH, 8);
  // 100 ms from the first end, and then from start to start 200, 400, 800 and three times 1000 ms, of
  // which up to a quarter is left to chance. The first end may have been seen late.
  const tookMs = performance.now() - beganMs, lateMs = 1_000;
  assert(tookMs >= 100 + 0.75 * (200 + 400 + 800 + 3 * 1000) - lateMs, `${tookMs} ms`);
  const waits = [...master.log.matchAll(new RegExp(STEP, "g"))]
    .map(([, time, unit]) => Number(time) * (unit === "s" ? 1_000 : 1));
  assert(waits[0] > 0 && waits[0] <= 100, `${waits}`);
  assert(waits.every((ms) => ms <= 1_000), `${waits}`);
  assertEquals(await client.ask("echo still here"), "still here");
  assertEquals(await master.serving("good.cf", 1), [pidIn(client)]);
  client.close();

  // A reload mends it, and doesn't wait for the old delay.
  serveSmall(site, "bad.cf", site.port(), { "server-backoff-max": "1h" });
  await master.reload();
  await master.serving("bad.cf", 1);
  await master.stop();
});

Deno.test("processes that are killed while they serve are replaced at once, all of them, again and again", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port(), { "server-proc-count": 2 });
  const master = await site.start();
  for (let round = 0; round < 3; round++) {
    const pids = await master.serving("a.cf", 2);
    await eventually(() => pids.every((pid) => master.log.includes(`ready is process ${pid}`)), {
      what: "all to be ready",
    });
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    await master.reaps(pids);
  }
  await master.serving("a.cf", 2);
  // No wait was ever longer than the time that it takes to start a process anew.
  assertEquals(
    master.logged(/a\.cf: process \d+ ended .*; the next one is started in [1-9]\S* (?:s|min)\b/),
    0,
  );
  await master.stop();
});

Deno.test("beyond its start limit a service has failed until a reload, which always tries it again", async () => {
  await using site = new Site();
  const [bad, good] = [site.port(), site.port()];
  const settings = { mode: "coroutine" as const, service: bad, "server-reload": "changed" };
  site.serve("bad.cf", {
    ...settings,
    "server-start-limit": "2/1m",
    "ready-when": site.dir.file("go"),
    "exit-at-start": "",
  });
  serveSmall(site, "good.cf", good, { "server-reload": "changed" });
  const master = await site.start();
  using client = await greeted(good);
  for (let count = 1; count <= 2; count++) {
    const pid = await eventually(() => master.servers("bad.cf")[0]?.pid, { what: "a process" });
    Deno.kill(pid, "SIGKILL");
    await master.logs(/bad\.cf: process \d+ ended .*SIGKILL/, count);
  }
  await master.logs(
    /bad\.cf: FAILED: 2 starts of one slot within 60 s \(server-start-limit\); .*next reload/,
  );
  assertEquals(master.servers("bad.cf"), []);
  assertEquals(await client.ask("echo unmoved"), "unmoved");
  // Not a setting has changed.
  site.dir.write("go", "");
  await master.reload();
  const [pid] = await master.serving("bad.cf", 1);
  assertEquals(pidIn(client), (await master.serving("good.cf", 1))[0]);
  using served = await greeted(bad);
  assertEquals(pidIn(served), pid);
  served.close();
  client.close();
  assertEquals(master.logged(/FAILED/), 1);
  await master.stop();
});

Deno.test("a server that ends with exit code 78 is not started again until a reload", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("bad.cf", { mode: "aio", service: port, "exit-at-start": "78" });
  const master = await site.start();
  await master.logs(
    /bad\.cf: FAILED: process \d+ says that its settings are wrong \(exit code 78\)/,
  );
  assertEquals(master.servers(), []);
  assertEquals(await master.reloadUndone(), "bad.cf");
  assertEquals(master.servers(), []);
  site.serve("bad.cf", { mode: "aio", service: port });
  await master.reload();
  await master.serving("bad.cf", 1);
  await master.stop();
});
