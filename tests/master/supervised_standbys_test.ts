import { assert, assertEquals } from "@std/assert";
import { formatDuration } from "../../src/config/duration.ts";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import {
  EARLY_DEATH_MS,
  LOST_GRACE_MS,
  TERMINATE_GRACE_MS,
  UNREADY_ANSWER_MS,
} from "../../src/master/policy/timeouts.ts";
import { CALM_MS } from "../../src/master/policy/standby.ts";
import type { FakeWorker } from "../fakes/fake_launcher.ts";
import { A_WHILE_MS, areReady, isSettled, outcomeOf, Scene, toldTo } from "./scene.ts";
import { serviceOf } from "./service_configs.ts";

const MINUTE_MS = 60_000;

interface Sparing {
  readonly procCount?: number;
  readonly addresses?: string;
  readonly standbys?: number;
  readonly [setting: string]: string | number | undefined;
}

/** A service with standbys, and other settings without `server-`. */
function sparing(
  { procCount, addresses, standbys = 1, ...settings }: Sparing = {},
): ResolvedService {
  const named = Object.entries(settings).map(([name, value]) => [`server-${name}`, `${value}`]);
  return serviceOf("x", {
    procCount,
    addresses,
    settings: { "server-standby-count": `${standbys}`, ...Object.fromEntries(named) },
  });
}

/**
 * Starts a service, and waits until its standbys have loaded and its processes no longer count as
 * ended early.
 */
function reserved(service: ResolvedService): Scene {
  const scene = Scene.running(service);
  for (const standby of standbysOf(scene)) load(scene, standby);
  scene.clock.advance(MINUTE_MS);
  scene.fresh();
  return scene;
}

/** Reports the standbys as loaded, including those that are started then. */
function load(scene: Scene, standby: FakeWorker): void {
  scene.fresh();
  standby.listener.onLoaded();
  for (const next of scene.fresh()) load(scene, next);
}

/** Makes workers ready, and waits until a standby may be started. */
function areCalm(scene: Scene, ...workers: readonly FakeWorker[]): void {
  areReady(...workers);
  scene.clock.advance(CALM_MS);
}

function standbysOf({ running }: Scene): FakeWorker[] {
  return running.filter(({ isStandby }) => isStandby);
}

function servingOf({ running }: Scene): FakeWorker[] {
  return running.filter(({ isStandby }) => !isStandby);
}

Deno.test("Supervisor starts standbys when all workers are ready, one after the other and without listeners", () => {
  const scene = new Scene();
  scene.supervisor.start([sparing({ procCount: 2, standbys: 2 })]);
  const [first, second] = scene.fresh();
  areReady(first);
  assertEquals(scene.fresh().length, 0);
  areReady(second);
  scene.clock.advance(CALM_MS - 1);
  assertEquals(scene.fresh().length, 0, "those that have waited are answered first");
  scene.clock.advance(1);
  const [standby, ...rest] = scene.fresh();
  assertEquals([standby.isStandby, standby.fds, rest.length], [true, [], 0]);
  standby.listener.onLoaded();
  const [other] = scene.fresh();
  other.listener.onLoaded();
  assertEquals(scene.fresh().length, 0);
  assertEquals(scene.running.length, 4);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor activates a standby at once when a worker ends, and starts another standby", () => {
  const scene = reserved(sparing({ addresses: "0:80", "max-connections": 100 }));
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.exit("SIGKILL");
  assertEquals(scene.running, [standby]);
  assertEquals(standby.fds, worker.fds);
  assert(standby.assignment!.maxConnections! >= 90);
  assertEquals(
    scene.fresh().length,
    0,
    "the next standby is not to take the processor from this one",
  );
  areCalm(scene, standby);
  const [next] = scene.fresh();
  assert(next.isStandby);
});

Deno.test("Supervisor starts a worker at once when the standby has ended as well", () => {
  for (const news of ["before", "after"]) {
    const scene = reserved(sparing({ "start-limit": "2/1h" }));
    const [worker] = servingOf(scene), [standby] = standbysOf(scene);
    standby.isDead = true;
    worker.exit("SIGKILL");
    const [next] = scene.fresh();
    assertEquals([next.isStandby, standby.assignment], [false, undefined]);
    if (news === "before") standby.exit("SIGKILL");
    areCalm(scene, next);
    if (news === "after") standby.exit("SIGKILL");
    assertEquals(servingOf(scene).filter(({ isDead }) => !isDead), [next]);
    // It has cost the service nothing: neither a delay nor one of its starts.
    assertEquals(scene.log.filter((line) => /early|FAILED/.test(line)), []);
  }
});

Deno.test("Supervisor delays the next standby after one that ended just after it had loaded", () => {
  const scene = Scene.running(sparing({ "healthy-after": 0 }));
  const [standby] = standbysOf(scene);
  load(scene, standby);
  scene.clock.advance(EARLY_DEATH_MS - 1);
  standby.exit();
  assertEquals(scene.fresh().length, 0);
  scene.clock.advance(EARLY_DEATH_MS - 1);
  assertEquals(scene.fresh().length, 0);
  scene.clock.advance(1);
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor counts a stopping standby that has become ready as draining", async () => {
  const scene = reserved(sparing());
  scene.maxGenerations = 1;
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.exit();
  // It has clients by now; its message and the soft stop have crossed.
  for (let count = 0; count < 2; count++) {
    const reload = scene.reload(sparing());
    areReady(...scene.fresh());
    assertEquals(await outcomeOf(reload), []);
    if (count === 0) {
      assertEquals(toldTo([standby]), ["softstop"]);
      standby.listener.onReady();
      standby.listener.onDraining(30);
    }
    scene.fresh();
  }
  assertEquals(toldTo([standby]), ["softstop,SIGTERM"]);
});

Deno.test("Supervisor counts the end of a just activated standby as that of a standby", () => {
  const scene = reserved(sparing({ "start-limit": "2/1h" }));
  for (let count = 0; count < 3; count++) {
    const [worker] = servingOf(scene), [standby] = standbysOf(scene);
    scene.fresh();
    worker.exit("SIGKILL");
    assertEquals(standby.fds, worker.fds);
    standby.exit("SIGKILL");
    const [next] = scene.fresh();
    assertEquals([next.isStandby, next.fds], [false, worker.fds]);
    areReady(next);
    scene.clock.advance(A_WHILE_MS);
    for (const another of standbysOf(scene)) load(scene, another);
    scene.clock.advance(60 * MINUTE_MS);
  }
  assertEquals(scene.log.filter((line) => /x: processes|FAILED/.test(line)), []);
});

for (const state of ["loads", "waits"]) {
  Deno.test(`Supervisor terminates a standby that ${state} and is not ready in time after its activation`, () => {
    const scene = Scene.running(sparing({ "ready-timeout": 5 }));
    const [worker] = servingOf(scene), [standby] = standbysOf(scene);
    // It was started a moment after the worker was ready.
    const ageMs = A_WHILE_MS - CALM_MS;
    if (state === "waits") standby.listener.onLoaded();
    scene.fresh();
    worker.exit();
    assert(!standby.isStandby);
    // A loaded standby has the whole time limit from here on.
    scene.clock.advance((state === "waits" ? 5_000 : 5_000 - ageMs) - 1);
    assertEquals(toldTo([standby]), [""]);
    scene.clock.advance(1);
    assertEquals(toldTo([standby]), ["SIGTERM"]);
    const line =
      `process ${standby.pid}, a standby, was not ready within 5 s (server-ready-timeout): it is told to end, and`;
    assert(scene.log.some((it) => it.includes(line)), scene.log.join("\n"));
    // Its replacement was started at once.
    areReady(...servingOf(scene).slice(-1));
    standby.exit("SIGTERM");
    scene.clock.advance(MINUTE_MS);
    assertEquals(servingOf(scene).length, 1);
  });
}

Deno.test("Supervisor counts the life of a standby from its activation", () => {
  const scene = reserved(sparing({ "max-age": 600 }));
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  scene.random = () => 0;
  worker.exit();
  areReady(standby);
  assertEquals(toldTo([standby]), [""]);
  scene.clock.advance(599_999);
  assert(!scene.log.some((line) => line.includes(`process ${standby.pid} is to be replaced`)));
  scene.clock.advance(1);
  assert(scene.log.some((line) => line.includes(`process ${standby.pid} is to be replaced`)));
});

Deno.test("Supervisor delays the next start when an activated standby ends early", () => {
  const scene = reserved(sparing({ standbys: 2 }));
  const [worker] = servingOf(scene), [first] = standbysOf(scene);
  worker.exit();
  areReady(first);
  first.exit();
  assertEquals(servingOf(scene), [], "it was old, but has served for no time");
  scene.clock.advance(EARLY_DEATH_MS);
  assertEquals(servingOf(scene).length, 1);
});

Deno.test("Supervisor activates a standby that still loads, if there is no other", () => {
  const scene = Scene.running(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.exit();
  assertEquals(scene.running, [standby]);
  standby.listener.onLoaded();
  areReady(standby);
  scene.clock.advance(MINUTE_MS);
  assertEquals(toldTo([standby]), [""]);
});

Deno.test("Supervisor starts standbys that end early with growing delays, and logs it", () => {
  const scene = Scene.running(sparing());
  scene.random = () => 0;
  const delays: number[] = [];
  for (let count = 0; count < 5; count++) {
    const [standby] = standbysOf(scene);
    standby.exit();
    assertEquals(standbysOf(scene), []);
    delays.push(scene.clock.nextInMs!);
    scene.clock.advance(scene.clock.nextInMs!);
  }
  assertEquals(delays, [100, 200, 400, 800, 1_600]);
  assertEquals(
    scene.log.filter((line) => line.includes("standbys end early")),
    delays.map((ms) => `x: standbys end early; the next one is in ${formatDuration(ms)}`),
  );
  assertEquals(servingOf(scene).length, 1);
  assertEquals(toldTo(servingOf(scene)), [""]);
});

Deno.test("Supervisor starts standbys with growing delays also if they say that they are ready", () => {
  const scene = Scene.running(sparing());
  scene.random = () => 0;
  for (const expectedMs of [100, 200, 400]) {
    const [standby] = standbysOf(scene);
    standby.listener.onReady();
    standby.exit();
    assertEquals(scene.clock.nextInMs, expectedMs);
    scene.clock.advance(expectedMs);
  }
});

Deno.test("Supervisor resets the back-off of standbys when a loaded one is activated, and at a reload", () => {
  const scene = Scene.running(sparing());
  standbysOf(scene)[0].exit();
  scene.clock.advance(EARLY_DEATH_MS);
  standbysOf(scene)[0].exit();
  scene.clock.advance(2 * EARLY_DEATH_MS);
  const [standby] = standbysOf(scene);
  standby.listener.onLoaded();
  servingOf(scene)[0].exit();
  areCalm(scene, standby);
  standbysOf(scene)[0].exit();
  assertEquals(scene.clock.nextInMs, EARLY_DEATH_MS);
  scene.reload(sparing());
  areCalm(scene, ...scene.fresh());
  assertEquals(standbysOf(scene).length, 1);
});

Deno.test("Supervisor replaces a killed standby at once the first time, and counts several as one", () => {
  const scene = reserved(sparing({ standbys: 3 }));
  for (const standby of standbysOf(scene)) standby.exit("SIGKILL");
  assertEquals(standbysOf(scene).length, 1, "at once, and one after the other");
  assertEquals(scene.log.filter((line) => line.includes("a standby, ended after")).length, 3);
  assert(!scene.log.some((line) => line.includes("early")));
});

Deno.test("Supervisor continues without standbys that can't be started, and logs it once", () => {
  const scene = Scene.running(sparing());
  scene.launcher.refusal = new Error("no more processes");
  standbysOf(scene)[0].exit();
  scene.clock.advance(EARLY_DEATH_MS);
  assertEquals(
    scene.log.at(-1),
    "x: no standby: no more processes; it is tried again in 0.2 s".replace(
      "200",
      `${Math.round(scene.clock.nextInMs!)}`,
    ),
  );
  scene.launcher.refusal = undefined;
  scene.clock.advance(200);
  assertEquals(standbysOf(scene).length, 1);
  assertEquals(toldTo(servingOf(scene)), [""]);
});

Deno.test("Supervisor fails a service whose standby reports wrong settings", () => {
  const scene = Scene.running(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  standby.listener.onExit({ code: 78, signal: null });
  assert(scene.log.some((line) => line.includes("FAILED")));
  scene.clock.advance(MINUTE_MS);
  assertEquals(scene.launcher.workers, [worker, standby]);
});

Deno.test("Supervisor stops the standbys of a failed service", () => {
  const scene = reserved(sparing({ procCount: 2 }));
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.listener.onExit({ code: 78, signal: null });
  assertEquals(toldTo([standby]), ["softstop"]);
});

Deno.test("Supervisor terminates a standby that does not load in time, and kills it if it does not end", () => {
  const scene = Scene.running(sparing({ "ready-timeout": 5 }));
  const [standby] = standbysOf(scene);
  scene.clock.advance(5_000);
  assertEquals(toldTo([standby]), ["SIGTERM"]);
  const next = "it is told to end, and the next one is started in 0.1 s";
  assert(
    scene.log.includes(
      `x: process ${standby.pid}, a standby, has not loaded within 5 s (server-ready-timeout): ${next}`,
    ),
  );
  scene.clock.advance(TERMINATE_GRACE_MS);
  assertEquals(toldTo([standby]), ["SIGTERM,SIGKILL"]);
  assertEquals(standbysOf(scene).filter(({ told }) => told.length === 0).length, 1);
});

Deno.test("Supervisor never activates a standby that is out of reach", () => {
  const scene = reserved(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  standby.listener.onLost();
  worker.exit();
  const [started] = scene.fresh();
  assertEquals([started.isStandby, standby.isStandby], [false, true]);
  scene.clock.advance(LOST_GRACE_MS);
  assertEquals(toldTo([standby]), ["SIGTERM"]);
});

Deno.test("Supervisor finds a hanging standby, and replaces it", () => {
  const scene = reserved(sparing({ watchdog: 5 }));
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  standby.listener.onHeartbeat();
  for (let second = 0; second < 10; second++) {
    worker.listener.onHeartbeat();
    scene.clock.advance(1_000);
  }
  assertEquals(toldTo([worker, standby]), ["", "SIGABRT,SIGKILL"]);
  standby.exit("SIGKILL");
  assertEquals(standbysOf(scene).length, 1);
});

Deno.test("Supervisor replaces a standby that drains or detaches by itself", () => {
  for (const leave of ["onDraining", "onDetach"] as const) {
    const scene = reserved(sparing());
    const [standby] = standbysOf(scene);
    standby.listener[leave](1);
    assertEquals(standbysOf(scene).length, 2, leave);
    assertEquals(servingOf(scene).length, 1);
  }
});

Deno.test("Supervisor keeps the standbys of the old version until the outcome, then replaces them", async () => {
  const scene = reserved(sparing({ own: "old" }));
  const [old] = servingOf(scene), [standby] = standbysOf(scene);
  const reload = scene.reload(sparing({ own: "new" }));
  const [candidate, ...more] = scene.fresh();
  assertEquals(
    [candidate.isStandby, more.length],
    [false, 0],
    "each new process has to prove itself",
  );
  assertEquals(toldTo([standby]), [""]);
  areReady(candidate);
  assertEquals(toldTo([old, standby]), ["softstop", "softstop"]);
  assertEquals(await outcomeOf(reload), []);
  scene.clock.advance(CALM_MS);
  const [next] = scene.fresh();
  assertEquals([next.isStandby, next.request.generation], [true, candidate.request.generation]);
  scene.clock.advance(UNREADY_ANSWER_MS - CALM_MS);
  assertEquals(toldTo([standby]), ["softstop,SIGTERM"]);
});

Deno.test("Supervisor leaves the standbys alone when a reload is undone", async () => {
  const scene = reserved(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  const reload = scene.reload(sparing());
  const [candidate] = scene.fresh();
  candidate.exit();
  assertEquals((await outcomeOf(reload)).length, 1);
  assertEquals(scene.running, [worker, standby]);
  assertEquals(toldTo([worker, standby]), ["", ""]);
});

Deno.test("Supervisor replaces a worker of the old version by its standby during a reload", () => {
  const scene = reserved(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  scene.reload(sparing());
  scene.fresh();
  worker.exit();
  assertEquals(scene.fresh().length, 0);
  assert(!standby.isStandby);
  areCalm(scene, standby);
  assertEquals(standbysOf(scene), [], "no further one before the outcome");
});

Deno.test("Supervisor.reload() leaves the standbys alone of a service that it leaves alone", () => {
  const service = sparing({ reload: "changed" });
  const scene = reserved(service);
  const before = [...scene.running];
  scene.reload(service);
  assertEquals(scene.running, before);
  assertEquals(toldTo(before), ["", ""]);
});

Deno.test("Supervisor.reload() with another number of standbys starts or stops some", () => {
  for (const standbys of [0, 2]) {
    const scene = reserved(sparing());
    scene.reload(sparing({ standbys }));
    areCalm(scene, ...scene.fresh());
    for (const standby of scene.fresh()) load(scene, standby);
    const kept = standbysOf(scene).filter(({ told }) => told.length === 0);
    assertEquals(kept.length, standbys);
  }
});

Deno.test("ServiceScale.all() activates a standby as an additional process", () => {
  const scene = reserved(sparing());
  const [standby] = standbysOf(scene);
  scene.supervisor.scale.all(+1);
  assertEquals(scene.fresh().length, 0);
  assert(!standby.isStandby);
  areCalm(scene, standby);
  assertEquals(standbysOf(scene).length, 1);
  scene.supervisor.scale.all(-1);
  assertEquals(servingOf(scene).filter(({ told }) => told.length === 0).length, 1);
});

Deno.test("Supervisor activates a standby as the replacement of a recycled process", () => {
  const scene = reserved(sparing());
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.listener.onSpent();
  assertEquals([standby.isStandby, worker.told], [false, []]);
  areReady(standby);
  assertEquals(toldTo([worker]), ["softstop"]);
});

Deno.test("Supervisor keeps the standbys of an idle service, and activates one when it wakes", () => {
  const scene = reserved(sparing({ "idle-exit": 60 }));
  const [worker] = servingOf(scene), [standby] = standbysOf(scene);
  worker.listener.onUsed(false);
  worker.exit();
  assertEquals(toldTo([worker, standby]), ["softstop", ""]);
  scene.arrive();
  assertEquals(scene.fresh().length, 0);
  assertEquals(standby.fds, worker.fds);
  areCalm(scene, standby);
  assertEquals(standbysOf(scene).length, 1);
});

Deno.test("Supervisor gives a standby the socket of the ended process", () => {
  const scene = reserved(sparing({ procCount: 3, addresses: "0:80", balance: "reuseport" }));
  const [, second] = servingOf(scene), [standby] = standbysOf(scene);
  second.exit();
  assertEquals(standby.fds, second.fds);
  const chosen = () => scene.listeners.chosen.get("inet:0.0.0.0:80");
  assertEquals(chosen()?.length, 2);
  areReady(standby);
  assertEquals(chosen()?.length, 3);
});

for (const how of ["stop", "retire"] as const) {
  Deno.test(`Supervisor.${how}() stops loading and waiting standbys, and waits for them`, async () => {
    const scene = Scene.running(sparing({ standbys: 2 }));
    const [first] = standbysOf(scene);
    first.listener.onLoaded();
    const [worker] = servingOf(scene), standbys = standbysOf(scene);
    assertEquals(standbys.length, 2);
    if (how === "stop") scene.supervisor.stop(35_000);
    else scene.supervisor.retire([]);
    assertEquals(toldTo(standbys), ["softstop", "softstop"]);
    worker.exit();
    standbys[0].exit();
    assert(!await isSettled(scene.supervisor.stopped));
    standbys[1].exit();
    assert(await isSettled(scene.supervisor.stopped));
    assertEquals([scene.running, scene.clock.pending], [[], 0]);
  });
}

Deno.test("Supervisor stops the standbys of a removed service", () => {
  const scene = reserved(sparing());
  const standbys = standbysOf(scene);
  scene.supervisor.reload([]);
  assertEquals(toldTo(standbys), ["softstop"]);
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.fresh().length, 0);
});
