import { assert, assertEquals } from "@std/assert";
import type { ResolvedService } from "../../../src/master/policy/resolved_service.ts";
import { A_WHILE_MS, areReady, outcomeOf, Scene, toldTo } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

/** A service whose processes end when they are idle. */
const sparing = (procCount: number, { procMin = 0, ...settings }: Record<string, unknown> = {}) =>
  serviceOf("x", {
    procCount,
    settings: {
      "server-idle-exit": "60",
      "server-proc-min": `${procMin}`,
      ...settings as Record<string, string>,
    },
  });

/** Makes all workers idle, and ends those that are told to stop. */
function becomeIdle(scene: Scene): void {
  for (const worker of scene.running) worker.listener.onUsed(false);
  for (const worker of scene.running) if (worker.told.includes("softstop")) worker.exit();
}

/** A scene with an idle service, of which no process runs. */
function idleScene(service: ResolvedService): Scene {
  const scene = Scene.running(service);
  becomeIdle(scene);
  assertEquals(scene.running, []);
  scene.fresh();
  return scene;
}

Deno.test("ServiceScale.all() adds and removes a process of each service, until the next reload", async () => {
  const services = [serviceOf("x", { procCount: 2 }), serviceOf("y")];
  const scene = Scene.running(...services);
  const old = [...scene.running];
  scene.fresh();
  scene.supervisor.scale.all(+1);
  const added = scene.fresh();
  assertEquals(added.map(({ request }) => request.service.id), ["x", "y"]);
  areReady(...added);
  scene.supervisor.scale.all(+1);
  areReady(...scene.fresh());
  assertEquals(scene.running.length, 7);
  scene.supervisor.scale.all(-1);
  assertEquals(toldTo(old), ["softstop", "", "softstop"]);
  assertEquals(scene.log, [
    "x: 3 processes from now on",
    "y: 2 processes from now on",
    "x: 4 processes from now on",
    "y: 3 processes from now on",
    "x: 3 processes from now on",
    "y: 2 processes from now on",
  ]);
  // An ended process is replaced, as long as the scaling holds.
  scene.fresh();
  scene.clock.advance(A_WHILE_MS);
  added[0].exit();
  assertEquals(scene.fresh().length, 1);

  const reload = scene.reload(...services);
  assertEquals(scene.fresh().length, 3);
  areReady(...scene.running.filter(({ told }) => told.length === 0));
  assertEquals(await outcomeOf(reload), []);
  const serving = scene.running.filter(({ told }) => told.length === 0);
  assertEquals(serving.map(({ request }) => request.service.id), ["x", "x", "y"]);
});

Deno.test("ServiceScale.all() during a reload also applies to the candidate", async () => {
  for (const outcome of ["passes", "fails"]) {
    const scene = Scene.running(serviceOf("x", { procCount: 2 }));
    scene.supervisor.scale.all(+1);
    areReady(...scene.fresh().slice(-1));
    const reload = scene.reload(serviceOf("x", { procCount: 4 }));
    const [candidate, ...others] = scene.fresh();
    scene.supervisor.scale.all(+1);
    areReady(...scene.fresh(), ...others);
    if (outcome === "passes") areReady(candidate);
    else candidate.exit();
    assertEquals((await outcomeOf(reload)).length, outcome === "passes" ? 0 : 1);
    areReady(...scene.fresh());
    const serving = scene.running.filter(({ told }) => told.length === 0);
    // 4 and the one that was added since; or 2 and both of those.
    assertEquals(serving.length, outcome === "passes" ? 5 : 4);
  }
});

Deno.test("ServiceScale.all() during a reload need not be undone further than it had an effect", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const reload = scene.reload(serviceOf("x", { procCount: 2 }));
  for (let count = 0; count < 5; count++) scene.supervisor.scale.all(-1);
  scene.supervisor.scale.all(+1);
  areReady(...scene.running.filter(({ told }) => told.length === 0));
  assertEquals(await outcomeOf(reload), []);
  assertEquals(scene.running.filter(({ told }) => told.length === 0).length, 2);
});

Deno.test("ServiceScale.all() leaves at least one process to each service that has any", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }), serviceOf("y", { procCount: 0 }));
  for (let count = 0; count < 5; count++) scene.supervisor.scale.all(-1);
  assertEquals(scene.running.filter(({ told }) => told.length === 0).length, 1);
  // Scaling without an effect need not be undone.
  scene.fresh();
  scene.supervisor.scale.all(+1);
  assertEquals(scene.fresh().map(({ request }) => request.service.id), ["x", "y"]);
});

Deno.test("ServiceScale.all() is also reset for a service that a reload leaves alone", () => {
  const service = serviceOf("x", { settings: { "server-reload": "changed" } });
  const scene = Scene.running(service);
  scene.supervisor.scale.all(+1);
  areReady(...scene.running);
  scene.reload(service);
  assertEquals(scene.fresh(), []);
  assertEquals(scene.running.filter(({ told }) => told.length === 0).length, 1);
});

Deno.test("Supervisor stops idle workers, and keeps some", () => {
  const scene = Scene.running(sparing(4, { procMin: 1 }));
  const [used, ...others] = scene.running;
  used.listener.onUsed(true);
  for (const worker of others) worker.listener.onUsed(false);
  assertEquals(toldTo([used, ...others]), ["", "softstop", "softstop", "softstop"]);
  for (const worker of others) worker.exit();
  scene.clock.advance(3_600_000);
  assertEquals(scene.running, [used]);
  used.listener.onUsed(false);
  assertEquals(used.told, [], "the last one is kept");
  assertEquals(scene.expecting.length, 0, "it accepts by itself");
});

Deno.test("Supervisor starts another worker when all that run are in use", () => {
  const scene = Scene.running(sparing(3, { procMin: 1 }));
  becomeIdle(scene);
  const [kept] = scene.running;
  scene.fresh();
  kept.listener.onUsed(true);
  const [second] = scene.fresh();
  assert(second !== undefined);
  areReady(second);
  assertEquals(scene.fresh(), []);
  second.listener.onUsed(true);
  const [third] = scene.fresh();
  areReady(third);
  third.listener.onUsed(true);
  assertEquals(scene.fresh(), [], "there are as many as there may be");
  third.listener.onUsed(false);
  assertEquals(toldTo([kept, second, third]), ["", "", "softstop"]);
});

Deno.test("Supervisor starts one worker when a connection waits for an idle service", () => {
  const scene = idleScene(serviceOf("x", {
    procCount: 4,
    addresses: "0:80 local:/run/s fifo:/run/f",
    settings: { "server-idle-exit": "60" },
  }));
  assertEquals(scene.expecting.map((fd) => scene.listeners.addresses.get(fd)), [
    "inet:0.0.0.0:80",
    "unix:/run/s",
    "fifo:/run/f",
  ]);
  assertEquals(scene.clock.pending, 0);
  scene.arrive();
  assertEquals(scene.fresh().length, 1);
  assertEquals(scene.expecting.length, 0, "while a process starts, nothing is watched");
  areReady(...scene.running);
  becomeIdle(scene);
  assertEquals(scene.running, []);
  scene.arrive();
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor delays the restart of a worker that was started on demand like any other", () => {
  const scene = idleScene(sparing(1));
  scene.arrive();
  let starts = 0;
  for (const end = scene.clock.nowMs() + 60_000; scene.clock.nowMs() < end;) {
    for (const worker of scene.fresh()) {
      starts++;
      worker.exit();
    }
    assertEquals(scene.expecting.length, 0);
    scene.clock.advance(scene.clock.nextInMs!);
  }
  assert(starts < 15, `${starts} starts`);
});

Deno.test("Supervisor starts all workers of an idle service at a reload, and watches no listener", async () => {
  const service = sparing(2);
  const scene = idleScene(service);
  const reload = scene.reload(service);
  assertEquals(scene.expecting.length, 0);
  const fresh = scene.fresh();
  assertEquals(fresh.length, 2);
  areReady(...fresh);
  assertEquals(await outcomeOf(reload), []);
  assertEquals(toldTo(fresh), ["", ""]);
});

Deno.test("Supervisor keeps a service idle that a reload leaves alone", () => {
  const service = sparing(2, { "server-reload": "changed" });
  const scene = idleScene(service);
  scene.reload(service);
  assertEquals(scene.fresh(), []);
  assertEquals(scene.expecting.length, 1);
});

Deno.test("Supervisor keeps a service idle when a reload is undone", async () => {
  const service = sparing(1);
  const scene = idleScene(service);
  const reload = scene.reload(service);
  scene.fresh()[0].exit();
  assertEquals((await outcomeOf(reload)).length, 1);
  assertEquals(scene.running, []);
  assertEquals(scene.expecting.length, 1);
  scene.arrive();
  assertEquals(scene.fresh().length, 1);
});

for (
  const [how, end] of [
    ["removed", (scene) => scene.reload()],
    ["stopped", (scene) => scene.supervisor.stop(1_000)],
    ["left to another master", (scene) => {
      const left = scene.supervisor.retire([]);
      left.forEach((slots) => slots.forEach((listener) => scene.listeners.leave(listener)));
    }],
  ] satisfies [string, (scene: Scene) => unknown][]
) {
  Deno.test(`Supervisor ends the idle watch before it closes a listener that is ${how}`, () => {
    const scene = idleScene(sparing(1));
    const { close, leave } = scene.listeners;
    let closed = 0;
    const check = () => {
      assertEquals(scene.expecting.length, 0);
      closed++;
    };
    scene.listeners.close = (listener) => (check(), close.call(scene.listeners, listener));
    scene.listeners.leave = (listener) => (check(), leave.call(scene.listeners, listener));
    end(scene);
    assert(closed > 0);
  });
}

Deno.test("ServiceScale.all() wakes an idle service, and makes it idle again", () => {
  const scene = idleScene(sparing(1));
  scene.supervisor.scale.all(+1);
  assertEquals(scene.fresh().length, 1);
  areReady(...scene.running);
  becomeIdle(scene);
  assertEquals(scene.running, []);
  assertEquals(scene.expecting.length, 1);
});
