import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../src/config/errors.ts";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import { EARLY_DEATH_MS, LOST_GRACE_MS } from "../../src/master/policy/timeouts.ts";
import type { FakeWorker } from "../fakes/fake_launcher.ts";
import { A_WHILE_MS, areReady, isSettled, outcomeOf, Scene, toldTo } from "./scene.ts";
import { serviceOf } from "./service_configs.ts";

const READY_TIMEOUT_MS = 30_000;

/** A service with some of the settings of reloads, without `server-`. */
function withSettings(
  id: string,
  { procCount, addresses, ...settings }: {
    readonly procCount?: number;
    readonly addresses?: string;
    readonly [setting: string]: string | number | undefined;
  },
): ResolvedService {
  const named = Object.entries(settings).map(([name, value]) => [`server-${name}`, `${value}`]);
  return serviceOf(id, { procCount, addresses, settings: Object.fromEntries(named) });
}

const idsOf = (workers: readonly FakeWorker[]) => workers.map(({ request }) => request.service.id);

Deno.test("Supervisor.start() has no rollout: a process that ends at once is started again and again", () => {
  const scene = new Scene();
  scene.supervisor.start([serviceOf("x", { settings: { "server-backoff-max": "0" } })]);
  for (let count = 0; count < 5; count++) {
    scene.fresh()[0].exit();
    scene.clock.advance(EARLY_DEATH_MS);
  }
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor.reload() soft-stops the old workers when the last of the new ones is ready", async () => {
  const service = serviceOf("x", { procCount: 2 });
  const scene = Scene.running(service);
  const old = [...scene.running];
  const reload = scene.reload(service);
  const [first, second] = scene.fresh();
  areReady(first);
  assertEquals(toldTo(old), ["", ""]);
  assert(!await isSettled(reload.outcome));
  areReady(second);
  assertEquals(toldTo(old), ["softstop", "softstop"]);
  assertEquals(toldTo([first, second]), ["", ""]);
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() replaces an old worker that ends during the rollout by one of the old version", () => {
  const scene = Scene.running(serviceOf("x", { settings: { own: "old" } }));
  const [old] = scene.running;
  scene.reload(serviceOf("x", { settings: { own: "new" } }));
  const [candidate] = scene.fresh();
  old.exit("SIGKILL");
  const [instead] = scene.fresh();
  assertEquals(instead.request.service.settings.get("own"), "old");
  assertEquals(instead.request.generation, old.request.generation);
  areReady(instead, candidate);
  assertEquals(toldTo([instead, candidate]), ["softstop", ""]);
});

Deno.test("Supervisor.reload() starts a service at once, whatever its restart history is", () => {
  const service = serviceOf("x");
  const scene = new Scene();
  scene.supervisor.start([service]);
  scene.running[0].exit();
  scene.reload(service);
  const [candidate] = scene.fresh();
  areReady(candidate);
  // The pending start of the old version is dropped.
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.running, [candidate]);
});

Deno.test("Supervisor.reload() keeps a listener that is named again, opens new ones, closes the others", () => {
  const scene = Scene.running(serviceOf("x", { addresses: "0:80 0:81" }));
  const kept = scene.running[0].request.fds[1];
  const { plan } = scene.reload(serviceOf("x", { addresses: "0:81 0:82" }));
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
  areReady(...scene.fresh());
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
  assertEquals(scene.listeners.addresses.get(kept), "inet:0.0.0.0:81");
  assertEquals(plan, {
    kept: ["inet:0.0.0.0:81"],
    opened: ["inet:0.0.0.0:82"],
    closed: ["inet:0.0.0.0:80"],
    added: [],
    removed: [],
    replaced: ["x"],
    left: [],
    groups: [["x"]],
    reasons: new Map([["x", "server-reload = always"]]),
  });
});

Deno.test("Supervisor.reload() keeps a listener once its service has passed", () => {
  const scene = Scene.running(serviceOf("x", { addresses: "fifo:/run/first" }));
  scene.reload(serviceOf("x", { addresses: "fifo:/run/second" }));
  areReady(...scene.fresh());
  scene.reload();
  assertEquals(scene.listeners.keys, []);
  assertEquals(scene.listeners.discarded, [], "a named pipe stays for those who write to it");
});

Deno.test("Supervisor.plan() returns what a reload would do, and changes nothing", () => {
  const scene = Scene.running(serviceOf("x", { addresses: "0:80" }));
  const wanted = [serviceOf("x", { addresses: "0:81" })];
  scene.fresh();
  const told = scene.supervisor.plan(wanted);
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80"]);
  assertEquals(scene.fresh().length, 0);
  assertEquals(scene.reload(...wanted).plan, told);
});

Deno.test("Supervisor.reload() soft-stops the workers of a removed service, and starts none", async () => {
  const scene = Scene.running(serviceOf("x"), serviceOf("y"));
  const [x, y] = scene.running;
  const reload = scene.reload(serviceOf("y"));
  assertEquals(toldTo([x, y]), ["softstop", ""]);
  assertEquals(scene.listeners.keys, ["unix:/run/y"]);
  areReady(...scene.fresh());
  x.exit();
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.fresh().length, 0);
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() adds a removed service again while its old workers still drain", () => {
  const scene = Scene.running(serviceOf("x"));
  const [old] = scene.running;
  scene.reload();
  const { plan } = scene.reload(serviceOf("x"));
  assertEquals(plan.added, ["x"]);
  assertEquals(scene.fresh().length, 1);
  assertEquals(old.told, ["softstop"]);
});

/** The ways in which a candidate worker fails a rollout, and their log lines. */
const FAILURES: readonly [
  how: string,
  fail: (scene: Scene, it: FakeWorker) => void,
  told: string,
][] = [
  ["ends", (_, it) => it.exit("SIGSEGV"), "ended after 0 ms: signal SIGSEGV"],
  [
    "ends later, but not ready",
    (scene, it) => {
      scene.clock.advance(A_WHILE_MS);
      it.exit();
    },
    "ended after 1.0 s: exit code 0",
  ],
  ["drains", (_, it) => it.listener.onDraining(3), "drains"],
  ["detaches", (_, it) => it.listener.onDetach(), "has detached"],
  [
    "is out of reach",
    (scene, it) => {
      it.listener.onLost();
      scene.clock.advance(LOST_GRACE_MS);
    },
    "is out of reach",
  ],
  [
    "is not ready in time",
    (scene) => scene.clock.advance(READY_TIMEOUT_MS),
    "was not ready within 30 s (server-ready-timeout)",
  ],
];

for (const [how, fail, told] of FAILURES) {
  Deno.test(`Supervisor.reload() is undone when one of the new workers ${how}`, async () => {
    const before = serviceOf("x", {
      addresses: "0:80 0:81",
      procCount: 2,
      settings: { own: "old" },
    });
    const scene = Scene.running(before);
    const old = [...scene.running];
    const reload = scene.reload(
      serviceOf("x", { addresses: "0:81 0:82", procCount: 2, settings: { own: "new" } }),
    );
    const [good, bad] = scene.fresh();
    areReady(good);
    fail(scene, bad);
    const reason = `process ${bad.pid} ${told}`;
    assertEquals(await outcomeOf(reload), [{ services: ["x"], reason }]);
    assert(scene.log.includes(`reload rolled back for x: ${reason}`), scene.log.join("\n"));
    assertEquals(toldTo([...old, good]), ["", "", "softstop"]);
    assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
    assertEquals(scene.listeners.discarded, ["inet:0.0.0.0:82"]);
    assertEquals(scene.fresh(), []);
    // The old configuration is current.
    old[0].exit();
    const [replaced] = scene.fresh();
    assertEquals(replaced.request.service, before);
    assertEquals(replaced.request.generation, old[0].request.generation);
    // The next reload starts from there.
    const next = scene.reload(serviceOf("x", { addresses: "0:82", procCount: 1 }));
    areReady(...scene.fresh());
    assertEquals(await outcomeOf(next), []);
    assertEquals(scene.listeners.keys, ["inet:0.0.0.0:82"]);
  });
}

Deno.test("Supervisor.reload() is undone when a new worker can't be started", async () => {
  const scene = Scene.running(serviceOf("x"));
  scene.launcher.refusal = new Error("Cannot run it");
  const reload = scene.reload(serviceOf("x"), serviceOf("y"));
  assertEquals(await outcomeOf(reload), [
    { services: ["x"], reason: "Cannot run it" },
    { services: ["y"], reason: "Cannot run it" },
  ]);
  assertEquals(toldTo(scene.running), [""]);
  assertEquals(scene.listeners.keys, ["unix:/run/x"]);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor.reload() removes a new service that fails completely", async () => {
  const scene = Scene.running(serviceOf("x"));
  const reload = scene.reload(serviceOf("x"), serviceOf("y"));
  const [x, y] = scene.fresh();
  y.exit();
  assert(!await isSettled(reload.outcome), "the rollout of x is still open");
  assertEquals(scene.listeners.keys, ["unix:/run/x"]);
  areReady(x);
  assertEquals((await outcomeOf(reload)).map(({ services }) => services), [["y"]]);
  assertEquals(scene.supervisor.plan([]).removed, ["x"]);
  scene.clock.advance(READY_TIMEOUT_MS);
  assertEquals(idsOf(scene.fresh()), []);
});

Deno.test("Supervisor.reload() makes no service wait for another, nor fail with it", async () => {
  const services = ["x", "y", "z"].map((id) => serviceOf(id));
  const scene = Scene.running(...services);
  const [oldX, oldY, oldZ] = scene.running;
  const reload = scene.reload(...services);
  const [x, y, z] = scene.fresh();
  areReady(x);
  assertEquals(toldTo([oldX, oldY, oldZ]), ["softstop", "", ""]);
  y.exit();
  areReady(z);
  assertEquals(toldTo([oldX, oldY, oldZ]), ["softstop", "", "softstop"]);
  assertEquals((await outcomeOf(reload)).map(({ services }) => services), [["y"]]);
});

Deno.test("Supervisor.reload() treats a renamed service as one: it starts the new one before it stops the old one", async () => {
  const scene = Scene.running(serviceOf("old", { addresses: "0:80" }));
  const [old] = scene.running;
  const fd = old.request.fds[0];
  const reload = scene.reload(serviceOf("new", { addresses: "0:80" }));
  const [candidate] = scene.fresh();
  assertEquals(old.told, []);
  assertEquals(candidate.request.fds, [fd]);
  areReady(candidate);
  assertEquals(toldTo([old, candidate]), ["softstop", ""]);
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80"]);
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() keeps a service under its old name when the new one fails", async () => {
  const before = serviceOf("old", { addresses: "0:80" });
  const scene = Scene.running(before);
  const [old] = scene.running;
  const reload = scene.reload(serviceOf("new", { addresses: "0:80 0:81" }));
  scene.fresh()[0].exit();
  assertEquals((await outcomeOf(reload)).map(({ services }) => services), [["new", "old"]]);
  assertEquals(old.told, []);
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80"]);
  old.exit();
  assertEquals(idsOf(scene.fresh()), ["old"]);
});

Deno.test("Supervisor.reload() undoes all services that exchange addresses when one of them fails", async () => {
  const scene = Scene.running(
    serviceOf("x", { addresses: "0:80" }),
    serviceOf("y", { addresses: "0:81" }),
  );
  const old = [...scene.running];
  const reload = scene.reload(
    serviceOf("x", { addresses: "0:81" }),
    serviceOf("y", { addresses: "0:80" }),
    serviceOf("z", { addresses: "0:82" }),
  );
  const [x, y, z] = scene.fresh();
  areReady(x);
  assertEquals(toldTo(old), ["", ""]);
  y.exit();
  assertEquals(toldTo([...old, x, z]), ["", "", "softstop", ""]);
  areReady(z);
  assertEquals((await outcomeOf(reload)).map(({ services }) => services), [["x", "y"]]);
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
});

Deno.test("Supervisor.reload() makes all services succeed or fail together if requested", async () => {
  const scene = Scene.running(serviceOf("x"), serviceOf("y"));
  const old = [...scene.running];
  scene.fresh();
  const reload = scene.supervisor.reload([serviceOf("x"), serviceOf("z")], [], { together: true });
  const [x, z] = scene.fresh();
  areReady(x);
  assertEquals(toldTo(old), ["", ""]);
  z.exit();
  assertEquals(toldTo([...old, x]), ["", "", "softstop"]);
  assertEquals((await outcomeOf(reload)).map(({ services }) => services), [["x", "z", "y"]]);
  assertEquals(scene.listeners.keys, ["unix:/run/x", "unix:/run/y"]);
});

Deno.test("Supervisor.reload() waits for the soak before it stops the old workers", async () => {
  const service = withSettings("x", { procCount: 2, soak: 5 });
  const scene = Scene.running(service);
  const old = [...scene.running];
  const reload = scene.reload(service);
  const [first, second] = scene.fresh();
  areReady(first);
  scene.clock.advance(2_000);
  areReady(second);
  scene.clock.advance(4_999);
  assertEquals(toldTo(old), ["", ""]);
  scene.clock.advance(1);
  assertEquals(toldTo(old), ["softstop", "softstop"]);
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() is undone when a new worker ends within its soak", async () => {
  const service = withSettings("x", { soak: 5 });
  const scene = Scene.running(service);
  const [old] = scene.running;
  const reload = scene.reload(service);
  const [candidate] = scene.fresh();
  areReady(candidate);
  scene.clock.advance(4_999);
  candidate.exit("SIGABRT");
  const reason = `process ${candidate.pid} ended after 5.0 s: signal SIGABRT`;
  assertEquals(await outcomeOf(reload), [{ services: ["x"], reason }]);
  assertEquals(old.told, []);
});

Deno.test("Supervisor.reload() counts and replaces a candidate worker that leaves after it has passed", async () => {
  const service = serviceOf("x", { procCount: 2 });
  const scene = Scene.running(service);
  const old = [...scene.running];
  const reload = scene.reload(service);
  const [brief, slow] = scene.fresh();
  areReady(brief);
  scene.clock.advance(A_WHILE_MS);
  brief.exit();
  const [instead] = scene.fresh();
  areReady(slow);
  assertEquals(await outcomeOf(reload), []);
  // One old worker stays for the one that has left, until the replacement of that one is ready.
  assertEquals(toldTo(old).toSorted(), ["", "softstop"]);
  areReady(instead);
  assertEquals(toldTo(old), ["softstop", "softstop"]);
});

Deno.test("Supervisor.reload() with a step never exceeds its number of processes, and never serves with fewer", async () => {
  const service = withSettings("x", { procCount: 3, "reload-step": 1 });
  const scene = Scene.running(service);
  const old = new Set(scene.running);
  const reload = scene.reload(service);
  for (let round = 0; round < 3; round++) {
    const [candidate, ...more] = scene.fresh();
    assertEquals(more, []);
    assertEquals(scene.running.length, 4);
    areReady(candidate);
    const leaving = [...old].find(({ told }) => told.length > 0)!;
    assertEquals(scene.running.filter(({ told }) => told.length === 0).length, 3);
    assertEquals(scene.fresh(), [], "one that drains still takes its room");
    scene.clock.advance(1_000);
    leaving.exit();
    old.delete(leaving);
  }
  assertEquals(await outcomeOf(reload), []);
  assertEquals(scene.running.length, 3);
});

Deno.test("Supervisor.reload() with a step is undone step by step, and never serves with fewer processes", async () => {
  const service = withSettings("x", { procCount: 4, "reload-step": 1 });
  const scene = Scene.running(service);
  const old = scene.running[0].request.generation;
  const reload = scene.reload(service);
  const filled = () => scene.running.filter(({ told }) => told.length === 0);
  for (let round = 0; round < 3; round++) {
    areReady(...scene.fresh());
    scene.running.find(({ told }) => told.length > 0)!.exit();
  }
  scene.fresh()[0].exit();
  assertEquals((await outcomeOf(reload)).length, 1);
  for (let round = 0; round < 3; round++) {
    assertEquals(scene.running.length, 5);
    assertEquals(filled().length, 5);
    const [back] = scene.fresh();
    assertEquals(back.request.generation, old);
    areReady(back);
    assertEquals(filled().length, 4);
    scene.running.find(({ told }) => told.length > 0)!.exit();
  }
  assertEquals(filled().map(({ request }) => request.generation), [old, old, old, old]);
  assertEquals([scene.running.length, scene.clock.pending], [4, 0]);
});

Deno.test("Supervisor.reload() with a step does not wait for a current worker that has a fallback", async () => {
  const service = withSettings("x", { procCount: 3, "reload-step": 1 });
  const scene = Scene.running(service);
  const undone = scene.reload(service);
  for (let round = 0; round < 2; round++) {
    areReady(...scene.fresh());
    scene.running.find(({ told }) => told.length > 0)!.exit();
  }
  scene.fresh()[0].exit();
  assertEquals((await outcomeOf(undone)).length, 1);
  // The current worker returns, and is never ready: two workers of the failed version are the
  // fallback.
  const [hangs, ...more] = scene.fresh();
  assertEquals(more, []);
  const next = scene.reload(service);
  assertEquals(hangs.told[0], "softstop");
  assertEquals(scene.running.filter(({ told }) => told.length === 0).length, 3);
  assertEquals(scene.fresh(), [], "one that drains still takes its room");
  hangs.exit();
  for (let round = 0; round < 3; round++) {
    areReady(...scene.fresh());
    for (const leaving of scene.running.filter(({ told }) => told.length > 0)) leaving.exit();
  }
  assertEquals(await outcomeOf(next), []);
  assertEquals([scene.running.length, scene.clock.pending], [3, 0]);
});

Deno.test("Supervisor.reload() with a step has room for the processes that were added", async () => {
  const service = withSettings("x", { procCount: 1, "reload-step": 1 });
  const scene = Scene.running(service);
  scene.supervisor.scale.all(+2);
  areReady(...scene.fresh());
  const reload = scene.reload(service);
  areReady(...scene.fresh());
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.reload() with a step is undone with all the processes that were added", async () => {
  const service = withSettings("x", { procCount: 2, "reload-step": 1 });
  const scene = Scene.running(service);
  scene.supervisor.scale.all(+2);
  areReady(...scene.fresh());
  const reload = scene.reload(service);
  areReady(...scene.fresh());
  scene.running.find(({ told }) => told.length > 0)!.exit();
  scene.fresh()[0].exit();
  assertEquals((await outcomeOf(reload)).length, 1);
  areReady(...scene.fresh());
  scene.running.find(({ told }) => told.length > 0)!.exit();
  assertEquals(scene.running.map(({ request }) => request.generation), [1, 1, 1, 1]);
});

Deno.test("Supervisor.reload() leaves an unchanged service alone that asks for it", async () => {
  const unchanged = withSettings("x", { reload: "changed" });
  const scene = Scene.running(unchanged, serviceOf("y"));
  const [x] = scene.running;
  const reload = scene.reload(withSettings("x", { reload: "changed" }), serviceOf("y"));
  const [y, ...more] = scene.fresh();
  assertEquals(more, []);
  areReady(y);
  assertEquals(await outcomeOf(reload), []);
  assertEquals(x.told, []);
  assertEquals(scene.listeners.keys, ["unix:/run/x", "unix:/run/y"]);
  x.exit();
  assertEquals(idsOf(scene.fresh()), ["x"]);
});

Deno.test("Supervisor ends the oldest generation when too many drain", () => {
  const service = serviceOf("x");
  const scene = Scene.running(service);
  scene.maxGenerations = 2;
  const [first] = scene.running;
  const replace = () => {
    scene.reload(service);
    const fresh = scene.fresh();
    areReady(...fresh);
    for (const worker of scene.running) {
      if (worker.told.length === 1) worker.listener.onDraining(3_600);
    }
    return fresh[0];
  };
  const second = replace();
  const third = replace();
  assertEquals(toldTo([first, second]), ["softstop", "softstop"]);
  const fourth = replace();
  assertEquals(toldTo([first, second, third, fourth]), [
    "softstop,SIGTERM",
    "softstop",
    "softstop",
    "",
  ]);
});

Deno.test("Supervisor.reload() is over at once where there is nothing to do", async () => {
  assertEquals(await outcomeOf(new Scene().supervisor.reload([])), []);
  const service = withSettings("x", { reload: "changed" });
  assertEquals(await outcomeOf(Scene.running(service).reload(service)), []);
  assertEquals(
    await outcomeOf(new Scene().supervisor.reload([], [], { together: true })),
    [],
  );
});

Deno.test("Supervisor.reload() refuses to begin while another one is under way", () => {
  const scene = Scene.running(serviceOf("x"));
  scene.reload(serviceOf("x"));
  assertThrows(() => scene.supervisor.reload([]), Error, "another reload is under way");
  areReady(...scene.fresh());
  scene.supervisor.reload([]);
});

Deno.test("Supervisor.reload() reports an address that is named twice, even if a service is left alone", () => {
  const unchanged = withSettings("x", { addresses: "0:80", reload: "changed" });
  const scene = Scene.running(unchanged);
  const known = [{ file: "y", message: "Cannot listen twice" }];
  const twice = [unchanged, serviceOf("y", { addresses: "0:80" })];
  const { problems } = assertThrows(() => scene.supervisor.reload(twice, known), ConfigError);
  assertEquals(problems, known);
});

Deno.test("Supervisor.stop() ends a reload that is under way, as undone", async () => {
  const scene = Scene.running(serviceOf("x"));
  const reload = scene.reload(serviceOf("x"), serviceOf("y"));
  const stopped = scene.supervisor.stop(35_000);
  assertEquals(await outcomeOf(reload), [
    { services: ["x"], reason: "the master stops" },
    { services: ["y"], reason: "the master stops" },
  ]);
  assertEquals(toldTo(scene.running), ["softstop", "softstop", "softstop"]);
  for (const worker of scene.running) worker.exit();
  assertEquals(scene.listeners.keys, []);
  assertEquals(scene.listeners.discarded, ["unix:/run/y"]);
  assert(await isSettled(stopped));
  assertEquals(scene.clock.pending, 0);
});
