import { assert, assertEquals } from "@std/assert";
import {
  type Chance,
  historyAfter,
  historyAfterRefusal,
  historyAtStart,
  isBeyondLimit,
  NO_HISTORY,
  ORDERLY_MS,
  type Run,
} from "../../../src/master/policy/backoff.ts";
import { DRAIN_GRACE_MS, EARLY_DEATH_MS } from "../../../src/master/policy/timeouts.ts";
import type { RestartHistory } from "../../../src/master/policy/life.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { A_WHILE_MS, areReady, outcomeOf, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const NOW = new FakeClock().nowMs();
const CHANCE: Chance = { nowMs: NOW, random: 0 };
const HEALTHY_MS = 10_000, LONGEST_MS = 30_000;

/** A run that ends now. */
function ending(
  { history = NO_HISTORY, livedMs, ready = true, settings = {} }: {
    readonly history?: RestartHistory;
    readonly livedMs: number;
    readonly ready?: boolean;
    readonly settings?: Readonly<Record<string, string>>;
  },
): Run {
  return {
    config: serviceOf("x", { settings }),
    startedAtMs: NOW - livedMs,
    history,
    worked: false,
    ...(ready && { readyAtMs: NOW - livedMs }),
  };
}

Deno.test("historyAfter() delays the start after the first early end by LIB-ZC's rule, if it came within 100 ms", () => {
  const waitOf = (livedMs: number, ready: boolean) =>
    historyAfter(ending({ livedMs, ready }), CHANCE).startAtMs - NOW;
  assertEquals(waitOf(EARLY_DEATH_MS - 1, true), EARLY_DEATH_MS);
  assertEquals(waitOf(EARLY_DEATH_MS, true), 0);
  assertEquals(waitOf(5_000, true), 0);
  // It was never ready.
  assertEquals(waitOf(5_000, false), EARLY_DEATH_MS);
});

Deno.test("historyAfter() doubles the time from start to start, up to the bound", () => {
  let history = NO_HISTORY;
  const delays = Array.from({ length: 11 }, () => {
    history = historyAfter(ending({ history, livedMs: 20, ready: false }), CHANCE);
    return history.startAtMs - (NOW - 20);
  });
  const doubled = [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600];
  assertEquals(delays, [120, ...doubled, LONGEST_MS, LONGEST_MS]);
});

Deno.test("historyAfter() replaces a process at once that has served for longer than the delay", () => {
  const history = { ...NO_HISTORY, early: 3, delayMs: 400 };
  assertEquals(historyAfter(ending({ history, livedMs: 1_000 }), CHANCE).startAtMs, NOW);
  assertEquals(historyAfter(ending({ history, livedMs: 500 }), CHANCE).startAtMs, NOW + 300);
});

Deno.test("historyAfter() shortens a doubled delay by a random part, and never exceeds it", () => {
  const history = { ...NO_HISTORY, early: 3, delayMs: 400 };
  const startOf = (random: number) =>
    historyAfter(ending({ history, livedMs: 0 }), { nowMs: NOW, random }).startAtMs - NOW;
  assertEquals([startOf(0), startOf(0.5), startOf(1)], [800, 700, 600]);
});

Deno.test("historyAfter() resets the history after a healthy process, and not before", () => {
  const history = { ...NO_HISTORY, early: 5, delayMs: 1_600 };
  const healthy = historyAfter(ending({ history, livedMs: HEALTHY_MS }), CHANCE);
  assertEquals(healthy, { ...NO_HISTORY, startAtMs: NOW });
  assertEquals(historyAfter(ending({ history, livedMs: HEALTHY_MS - 1 }), CHANCE).early, 6);
  const neverReady = ending({ history, livedMs: HEALTHY_MS, ready: false });
  assertEquals(historyAfter(neverReady, CHANCE).early, 6);
});

Deno.test("historyAfter() does not count an orderly exit after work as an early end", () => {
  const settings = { "server-start-limit": "3/10" };
  const history = { early: 5, delayMs: 1_600, startAtMs: NOW, starts: [NOW - 7_000, NOW - 1_000] };
  const after = (run: Run) => historyAfter(run, { ...CHANCE, inOrder: true });
  // It has served, and its failures are reset.
  const done = { early: 0, delayMs: 0, startAtMs: NOW, starts: [NOW - 7_000] };
  assertEquals(after(ending({ history, livedMs: ORDERLY_MS, settings })), done);
  const hasWorked = { ...ending({ history, livedMs: 5, settings }), worked: true };
  assertEquals(after(hasWorked), done);
  // It was ready, and ends again and again without having served a client.
  assertEquals(after(ending({ history, livedMs: ORDERLY_MS - 1, settings })).early, 6);
  assertEquals(after(ending({ history, livedMs: ORDERLY_MS, ready: false, settings })).early, 6);
  // With an error.
  assertEquals(historyAfter(hasWorked, CHANCE).early, 6);
});

Deno.test("historyAfterRefusal() counts a process that can't be started as an early end", () => {
  const config = serviceOf("x");
  const first = historyAfterRefusal(NO_HISTORY, { ...CHANCE, config });
  assertEquals(first.startAtMs, NOW + 100);
  assertEquals(historyAfterRefusal(first, { ...CHANCE, config }).startAtMs, NOW + 200);
});

Deno.test("isBeyondLimit() counts the starts of one slot within the time", () => {
  const config = serviceOf("x", { settings: { "server-start-limit": "3/10" } });
  let history: RestartHistory = { ...NO_HISTORY, startAtMs: NOW };
  for (const ageMs of [20_000, 9_000, 8_000]) {
    history = historyAtStart(history, { config, nowMs: NOW - ageMs });
  }
  assertEquals(history.starts, [NOW - 9_000, NOW - 8_000]);
  assert(!isBeyondLimit(history, config));
  history = historyAtStart(history, { config, nowMs: NOW - 1_000 });
  assert(isBeyondLimit(history, config));
  // By then the oldest start no longer counts.
  assert(!isBeyondLimit({ ...history, startAtMs: NOW + 1_000 }, config));
  assert(!isBeyondLimit(history, serviceOf("x")));
});

/** Ends each process as soon as it is started, for a while. */
function crash(scene: Scene, { forMs }: { readonly forMs: number }): number[] {
  const startedAt: number[] = [];
  const endMs = scene.clock.nowMs() + forMs;
  scene.fresh();
  for (const worker of scene.running) worker.exit();
  while (scene.clock.nowMs() < endMs) {
    for (const worker of scene.fresh()) {
      startedAt.push(scene.clock.nowMs());
      worker.exit();
    }
    scene.clock.advance(scene.clock.nextInMs ?? endMs - scene.clock.nowMs());
  }
  return startedAt;
}

Deno.test("Supervisor restarts a crashing service with growing delays, and logs them with each end", () => {
  const scene = new Scene();
  scene.random = () => 0;
  scene.supervisor.start([serviceOf("x", { procCount: 4 })]);
  const starts = crash(scene, { forMs: 10 * 60_000 });
  // In ten minutes: nine steps and then one in 30 s, in each of four slots.
  assert(starts.length < 4 * (9 + 20), `${starts.length} starts`);
  const delays = scene.log.flatMap((line) => {
    const delay =
      /^x: process \d+ ended after \S+ \S+: exit code 0; the next one is started in (.+)$/;
    return delay.exec(line)?.[1] ?? [];
  });
  assertEquals(delays[0], "0.1 s");
  assertEquals(delays.at(-1), "30 s");
  assertEquals(scene.log.filter((line) => line.includes("end early")), []);
});

/**
 * Has the only process of a service end again and again, and returns the gaps between processes.
 */
function gapsOf(end: (worker: FakeWorker) => void): number {
  const settings = { "server-start-limit": "5/1h" };
  const scene = Scene.running(serviceOf("x", { settings }));
  let gapMs = 0;
  for (let round = 0; round < 60; round++) {
    end(scene.running[0]);
    for (; scene.running.length === 0 && gapMs < 3_600_000; gapMs += 100) scene.clock.advance(100);
    areReady(...scene.running);
    scene.clock.advance(ORDERLY_MS);
  }
  return gapMs;
}

Deno.test("Supervisor never delays the restart of a server that ends in order, by its exit or by draining", () => {
  assertEquals(gapsOf((worker) => worker.exit()), 0);
  assertEquals(
    gapsOf((worker) => {
      worker.listener.onDraining(1);
      worker.exit();
    }),
    0,
  );
});

Deno.test("Supervisor never delays the restart of a server that ends after each client, however soon", () => {
  const scene = Scene.running(serviceOf("x"));
  for (let round = 0; round < 60; round++) {
    scene.running[0].listener.onUsed(true);
    scene.running[0].exit();
    // LIB-ZC's delay after a life of less than that.
    scene.clock.advance(EARLY_DEATH_MS);
    areReady(...scene.running);
    assertEquals(scene.running.length, 1, `round ${round}`);
  }
});

Deno.test("Supervisor restarts a service at once whose processes were all killed at the same time", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 16 }));
  for (let round = 0; round < 3; round++) {
    scene.fresh();
    for (const worker of [...scene.running]) worker.exit("SIGKILL");
    assertEquals(scene.fresh().length, 16, `round ${round}`);
    areReady(...scene.running);
    scene.clock.advance(A_WHILE_MS);
  }
  const others = scene.log.filter((line) => !line.includes("SIGKILL"));
  assertEquals(others, Array(3).fill("x: ready again after 0 ms"));
});

Deno.test("Supervisor does not delay a slot because of the crashes in another one", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [steady] = scene.running;
  for (let count = 0; count < 6; count++) {
    while (scene.running.length < 2) scene.clock.advance(scene.clock.nextInMs!);
    scene.running.find((worker) => worker !== steady)!.exit();
  }
  // The early end also delays the other slots, but only for LIB-ZC's 100 ms.
  scene.clock.advance(EARLY_DEATH_MS);
  scene.fresh();
  steady.exit();
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor starts no process beyond the start limit of a service, until a reload", async () => {
  const service = serviceOf("x", {
    settings: { "server-start-limit": "3/10", "server-reload": "changed" },
  });
  const scene = new Scene();
  scene.supervisor.start([service, serviceOf("y")]);
  const y = scene.running[1];
  y.listener.onReady();
  for (let count = 0; count < 3; count++) {
    scene.running.find((worker) => worker !== y)!.exit();
    scene.clock.advance(1_000);
  }
  assertEquals(scene.running, [y]);
  assertEquals(scene.clock.pending, 0);
  const failed = "x: FAILED: 3 starts of one slot within 10 s (server-start-limit); " +
    "nothing of it is started until the next reload";
  assertEquals(scene.log.filter((line) => line.includes("FAILED")), [failed]);
  y.exit();
  assertEquals(scene.running.length, 1, "y is replaced");

  // Nothing has changed in it; it is tried again nevertheless.
  const reload = scene.reload(service, serviceOf("y"));
  const [x, newY] = scene.fresh();
  assertEquals(x.request.service.id, "x");
  areReady(x, newY);
  assertEquals(await outcomeOf(reload), []);
  x.exit();
  scene.clock.advance(EARLY_DEATH_MS);
  assertEquals(scene.fresh().map(({ request }) => request.service.id), ["x"]);
});

Deno.test("Supervisor keeps the running processes of a failed service", () => {
  const settings = { "server-start-limit": "1/10" };
  const scene = Scene.running(serviceOf("x", { procCount: 2, settings }));
  const [first, second] = scene.running;
  first.exit("SIGSEGV");
  scene.clock.advance(60_000);
  assertEquals(scene.running, [second]);
  assertEquals(second.told, []);
});

Deno.test("Supervisor does not restart a program that reports wrong settings", async () => {
  const service = serviceOf("x");
  const scene = Scene.running(service);
  scene.running[0].listener.onExit({ code: 78, signal: null });
  scene.running[0].running = false;
  scene.clock.advance(3_600_000);
  assertEquals(scene.running.length, 0);
  assert(scene.log.some((line) => /FAILED: process \d+ .*exit code 78/.test(line)), `${scene.log}`);
  // The settings are still wrong, so the service stays failed.
  const undone = scene.reload(service);
  scene.fresh()[0].listener.onExit({ code: 78, signal: null });
  assertEquals((await outcomeOf(undone)).length, 1);
  scene.clock.advance(3_600_000);
  assertEquals(scene.fresh().length, 0);
  const reload = scene.reload(service);
  areReady(...scene.fresh());
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() ignores old delays, and resets those of a service that it leaves alone", () => {
  const services = ["always", "changed"].map((reload) =>
    serviceOf(reload, { settings: { "server-reload": reload } })
  );
  const scene = new Scene();
  scene.supervisor.start(services);
  crash(scene, { forMs: 60_000 });
  for (const worker of scene.running) worker.exit();
  assertEquals(scene.running, []);
  scene.reload(...services);
  const ids = scene.fresh().map(({ request }) => request.service.id).sort();
  assertEquals(ids, ["always", "changed"]);
});

Deno.test("Supervisor drops the restart histories of removed slots, so that they can't be used to avoid the back-off", () => {
  const scene = new Scene();
  scene.supervisor.start([serviceOf("x", { procCount: 8 })]);
  const crash = () => {
    for (const worker of scene.running) worker.exit();
  };
  for (let ms = 0; ms < 60_000; ms += 100) {
    crash();
    scene.clock.advance(100);
  }
  scene.supervisor.scale.all(-7);
  for (let ms = 0; ms < 60_000; ms += 100) {
    crash();
    scene.clock.advance(100);
  }
  scene.fresh();
  for (let ms = 0; ms < 120_000; ms += 100) {
    crash();
    scene.clock.advance(100);
  }
  const { length } = scene.fresh();
  assert(length <= 6, `${length} starts of one process in two minutes`);
});

Deno.test("Supervisor restarts a service whose processes detach early with growing delays", () => {
  const scene = new Scene();
  scene.random = () => 0;
  scene.supervisor.start([serviceOf("x")]);
  const endMs = scene.clock.nowMs() + 10 * 60_000;
  let starts = 0;
  while (scene.clock.nowMs() < endMs) {
    const [worker] = scene.fresh();
    if (worker === undefined) {
      scene.clock.advance(scene.clock.nextInMs!);
      continue;
    }
    starts++;
    worker.listener.onReady();
    // It has lived longer than LIB-ZC's rule asks for, but is not healthy.
    scene.clock.advance(2 * EARLY_DEATH_MS);
    worker.listener.onDetach();
  }
  assert(starts > 9 && starts < 9 + 22, `${starts} starts`);
  assert(scene.running.every(({ told }) => told.length === 0));
});

for (const { procCount, most } of [{ procCount: 1, most: 64 }, { procCount: 50, most: 100 }]) {
  Deno.test(`Supervisor starts no process beside ${most} detached ones, until one of them ends (${procCount})`, async () => {
    // Without a standby a start would have to wait; with one another process would be started.
    const settings = { "server-standby-count": "1", "server-ready-timeout": "0" };
    const service = serviceOf("x", { procCount, settings });
    const scene = Scene.running(service, serviceOf("y"));
    const isX = ({ request }: FakeWorker) => request.service.id === "x";
    const detached: FakeWorker[] = [];
    for (let round = 0; round < 2 * most && detached.length < most; round++) {
      scene.clock.advance(20_000);
      for (const worker of scene.running.filter((one) => isX(one) && !detached.includes(one))) {
        if (worker.isStandby) worker.listener.onLoaded();
        else worker.listener.onReady();
      }
      scene.clock.advance(20_000);
      const serving = scene.running.find((one) =>
        isX(one) && !one.isStandby && !detached.includes(one)
      )!;
      detached.push(serving);
      serving.listener.onDetach();
    }
    assertEquals(detached.length, most);
    const line = `x: ${most} processes have detached or drain, without having been told to; ` +
      "none is started until one of them ends";
    assertEquals(scene.log.filter((text) => text.includes("none is started")), [line]);
    scene.fresh();
    // The standby that was there may serve; it is not replaced.
    scene.clock.advance(3_600_000);
    assertEquals(scene.fresh(), []);
    // Other services are not affected.
    scene.running.find((one) => !isX(one))!.exit();
    assertEquals(scene.fresh().map(isX), [false]);
    // A reload was requested by the operator; it may fix the cause.
    const reload = scene.reload({ ...service, fingerprint: "mended" }, serviceOf("y"));
    const candidates = scene.fresh();
    assertEquals(candidates.filter(isX).length, procCount);
    areReady(...candidates);
    assertEquals(await outcomeOf(reload), []);
    for (const worker of candidates.filter(isX)) worker.exit();
    scene.clock.advance(3_600_000);
    assertEquals(scene.fresh().filter(isX), []);
    detached[0].exit();
    scene.clock.advance(EARLY_DEATH_MS);
    assert(scene.fresh().some(isX), "none is started again");
    assert(detached.every(({ told }) => told.length === 0), "a detached one was told something");
  });
}

Deno.test("Supervisor starts no process beside 64 that drain of their own accord, and ends each of them after an hour", () => {
  const scene = Scene.running(serviceOf("x")), drained: FakeWorker[] = [];
  while (drained.length < 64) {
    scene.clock.advance(20_000);
    const [serving] = scene.running.filter((one) => !drained.includes(one));
    serving.listener.onReady();
    scene.clock.advance(20_000);
    drained.push(serving);
    serving.listener.onDraining(1e9);
    // Later reports and soft stops count no process twice.
    serving.listener.onDraining(1e9);
  }
  assertEquals(scene.log, [
    "x: 64 processes have detached or drain, without having been told to; " +
    "none is started until one of them ends",
  ]);
  scene.clock.advance(60_000);
  assertEquals(scene.running, drained);
  assertEquals(drained.flatMap(({ told }) => told), []);
  scene.clock.advance(3_600_000 - 63 * 40_000 - 60_000 + DRAIN_GRACE_MS);
  assertEquals(drained.filter(({ told }) => told.length > 0), drained.slice(0, 1));
  assertEquals(drained[0].told, ["SIGTERM"]);
  assertEquals(scene.running.length, 65);
});

Deno.test("Supervisor lets a worker drain for longer than an hour only where a setting says so", () => {
  for (const [after, hours] of [["0", 1], ["7200", 2]] as const) {
    const settings = { "server-stop-on-softstop-after": after };
    const scene = Scene.running(serviceOf("x", { settings }));
    const [worker] = scene.running;
    worker.listener.onDraining(1e9);
    scene.clock.advance(hours * 3_600_000 + DRAIN_GRACE_MS - 1);
    assertEquals(worker.told, []);
    scene.clock.advance(1);
    assertEquals(worker.told, ["SIGTERM"]);
  }
});
