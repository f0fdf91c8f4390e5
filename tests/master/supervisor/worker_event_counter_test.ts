/** What the supervisor counts of its workers. */
import { assertEquals } from "@std/assert";
import type { ServiceStatus } from "../../../src/control/status.ts";
import { DRAIN_GRACE_MS } from "../../../src/master/policy/timeouts.ts";
import { serviceOf } from "../service_configs.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { areReady, outcomeOf, Scene } from "../scene.ts";

/** The status of the only service, once its workers have told what they have. */
async function statusOf(
  { supervisor, running }: Scene,
  counts?: { readonly open: number; readonly accepted: number },
): Promise<ServiceStatus> {
  const snapshot = supervisor.snapshot(() => undefined);
  for (const { listener } of running) listener.onCounts(counts ?? {});
  return (await snapshot)[0];
}

/** The reasons that were counted. */
async function endsOf(scene: Scene): Promise<Record<string, number>> {
  const { counters: { ends } } = await statusOf(scene);
  return Object.fromEntries(Object.entries(ends).filter(([, count]) => count > 0));
}

Deno.test("unexpected ends are counted by exit code and signal, and a told one is not", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 3 }));
  const [first, second] = scene.running;
  first.exit();
  second.exit("SIGSEGV");
  areReady(...scene.running);
  assertEquals(await endsOf(scene), { exit: 1, signal: 1 });
  scene.supervisor.stop(60_000);
  for (const worker of scene.running.slice(1)) worker.exit();
  assertEquals(await endsOf(scene), { exit: 1, signal: 1 });
  assertEquals((await statusOf(scene)).counters.starts, 5);
});

Deno.test("a worker that is not ready in time, or hangs, is counted once, whatever ends it", async () => {
  const settings = { "server-ready-timeout": "10s", "server-watchdog": "20s" };
  const scene = new Scene();
  scene.supervisor.start([serviceOf("x", { settings })]);
  const [late] = scene.running;
  scene.clock.advance(10_000);
  late.exit("SIGTERM");
  assertEquals(await endsOf(scene), { "start-timeout": 1 });
  scene.clock.advance(5_000);
  const [hanging] = scene.running;
  hanging.listener.onReady();
  hanging.listener.onHeartbeat();
  scene.clock.advance(60_000);
  assertEquals(hanging.told, ["SIGABRT", "SIGKILL"].slice(0, hanging.told.length));
  hanging.exit("SIGABRT");
  assertEquals(await endsOf(scene), { "start-timeout": 1, hung: 1 });
});

Deno.test("a replacement at a limit is counted when the old worker is told to stop", async () => {
  const scene = Scene.running(serviceOf("x", { settings: { "server-max-connections": "5" } }));
  const [old] = scene.running;
  scene.fresh();
  old.listener.onSpent();
  assertEquals(await endsOf(scene), {});
  areReady(...scene.fresh());
  assertEquals(old.told, ["softstop"]);
  assertEquals(await endsOf(scene), { connections: 1 });
  scene.clock.advance(700);
  old.exit();
  const { counters: { drains } } = await statusOf(scene);
  assertEquals(drains, {
    count: 1,
    totalMs: 700,
    killed: 0,
    buckets: [0, 0, 1, 1, 1, 1, 1, 1],
  });
});

Deno.test("a drain that the master ends by a signal is counted as killed", async () => {
  const scene = Scene.running(serviceOf("x")), [old] = scene.running;
  scene.reload(serviceOf("x", { command: "bin/new" }));
  areReady(...scene.fresh());
  old.listener.onDraining(1);
  scene.clock.advance(1_000 + DRAIN_GRACE_MS);
  old.exit("SIGTERM");
  const { counters: { drains: { count, killed } } } = await statusOf(scene);
  assertEquals([count, killed], [1, 1]);
  assertEquals(await endsOf(scene), {});
});

Deno.test("a worker that is told to stop before it was ready does not drain, and is shown as stopping", async () => {
  const scene = Scene.running(serviceOf("x")), [old] = scene.running;
  scene.reload(serviceOf("x", { procCount: 3 }));
  const [bad, ready, starting] = scene.fresh();
  areReady(ready);
  bad.exit();
  const { processes, draining, state } = await statusOf(scene);
  const states = new Map(processes.map(({ pid, state }) => [pid, state]));
  assertEquals(
    [old, ready, starting].map(({ pid }) => states.get(pid)),
    ["ready", "draining", "stopping"],
  );
  assertEquals([draining, state], [2, "ready"]);
  ready.exit();
  starting.exit();
  assertEquals((await statusOf(scene)).counters.drains.count, 1);
});

Deno.test("a worker that becomes ready after it was told to stop drains", async () => {
  const scene = new Scene();
  scene.supervisor.start([serviceOf("x")]);
  const [late] = scene.running;
  scene.supervisor.reload([]);
  assertEquals((await statusOf(scene)).processes[0].state, "stopping");
  areReady(late);
  assertEquals((await statusOf(scene)).processes[0].state, "draining");
});

/** How a candidate worker fails a reload. */
const FAILURES: readonly (readonly [how: string, fail: (scene: Scene, it: FakeWorker) => void])[] =
  [
    ["ends", (_, it) => it.exit()],
    ["is not ready in time", ({ clock }, it) => {
      clock.advance(10_000);
      it.exit("SIGTERM");
    }],
    ["hangs", ({ clock }, it) => {
      it.listener.onHeartbeat();
      clock.advance(5_000);
      it.exit("SIGABRT");
    }],
  ];

for (const [how, fail] of FAILURES) {
  Deno.test(`a reload that is rolled back, since a new process ${how}, counts as no end of the service`, async () => {
    const settings = { "server-ready-timeout": "10s", "server-watchdog": "2s" };
    const scene = Scene.running(serviceOf("x"));
    const [old] = scene.running;
    const reload = scene.reload(serviceOf("x", { procCount: 3, settings }));
    const [bad, ready, starting] = scene.fresh();
    areReady(ready);
    fail(scene, bad);
    assertEquals((await outcomeOf(reload)).length, 1);
    // A program may crash when it is told to end.
    starting.exit("SIGSEGV");
    ready.exit();
    const { restarts, lastExit } = await statusOf(scene);
    assertEquals([restarts, lastExit], [0, null]);
    assertEquals(await endsOf(scene), {});
    old.exit();
    const after = await statusOf(scene);
    assertEquals([after.restarts, after.lastExit?.pid], [1, old.pid]);
    assertEquals(await endsOf(scene), { exit: 1 });
  });
}

Deno.test("the end of a new process that has passed is one of the service, also before the outcome", async () => {
  const scene = Scene.running(serviceOf("x"));
  const reload = scene.reload(serviceOf("x", { procCount: 2 }));
  const [first, second] = scene.fresh();
  areReady(first);
  first.exit();
  const { restarts, lastExit } = await statusOf(scene);
  assertEquals([restarts, lastExit?.pid], [1, first.pid]);
  areReady(second, ...scene.fresh());
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("accepted connections are added up over ended workers, and one that tells fewer takes none away", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  assertEquals((await statusOf(scene)).counters.accepted, null);
  const { counters, busy } = await statusOf(scene, { open: 0, accepted: 5 });
  assertEquals([counters.accepted, busy], [10, 0]);
  assertEquals((await statusOf(scene, { open: 2, accepted: 3 })).busy, 2);
  assertEquals((await statusOf(scene, { open: 0, accepted: 6 })).counters.accepted, 12);
  const [first] = scene.running;
  first.listener.onCounts({ open: 0, accepted: 9 });
  first.exit();
  assertEquals((await statusOf(scene)).counters.accepted, 15);
});
