import { assert, assertEquals, assertMatch } from "@std/assert";
import { A_WHILE_MS, areReady, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

/** A service on port 80. */
function inet(id: string, options: Parameters<typeof serviceOf>[1] = {}) {
  return serviceOf(id, { addresses: "0:80", ...options });
}

/** The warnings in a log. */
function warnings({ log }: Scene): string[] {
  return log.filter((line) => line.startsWith("inet:"));
}

/** Lets the services be reconciled. */
function reconcile(scene: Scene): void {
  scene.clock.advance(0);
}

Deno.test("Supervisor makes a listener that was shut down listen again, and leaves its processes alone", () => {
  const scene = Scene.running(inet("x", { procCount: 2 }));
  const before = [...scene.running], [fd] = before[0].fds;
  scene.damage(fd, "shut down");
  reconcile(scene);
  assertEquals(warnings(scene), ["inet:0.0.0.0:80 was shut down"]);
  assertEquals(scene.running, before);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor replaces the processes of a listener that was opened anew, one after the other", () => {
  const scene = Scene.running(
    inet("x", { procCount: 2 }),
    serviceOf("y"),
  );
  const old = scene.running.filter(({ request }) => request.service.id === "x");
  const [fd] = old[0].fds;
  scene.fresh();
  scene.damage(fd, "lost");
  reconcile(scene);
  for (const worker of old) {
    const [next, ...others] = scene.fresh();
    assertEquals(others, []);
    assertEquals(next.request.service.id, "x");
    assert(next.fds[0] !== fd, "it has the new listener");
    areReady(next);
    assertEquals(worker.told, ["softstop"]);
    assertEquals(worker.closing, [0], "what waits in the old one is accepted first");
    worker.exit();
  }
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.fresh(), []);
  assertEquals(scene.running.length, 3);
  assertMatch(
    scene.log.join("\n"),
    /process \d+ is to be replaced: one of its listeners was opened anew/,
  );
});

Deno.test("Supervisor repairs a listener at once the first time, and with growing pauses if it happens again", () => {
  const scene = Scene.running(inet("x"));
  const [fd] = scene.running[0].fds;
  const times: number[] = [];
  const startMs = scene.clock.nowMs();
  while (times.length < 8) {
    const before = warnings(scene).length;
    scene.damage(fd, "shut down");
    while (warnings(scene).length === before) scene.clock.advance(scene.clock.nextInMs ?? 0);
    times.push(scene.clock.nowMs() - startMs);
    reconcile(scene);
  }
  assertEquals(times, [0, 100, 300, 700, 1_500, 3_100, 6_300, 12_700]);
  scene.clock.advance(200_000);
  scene.damage(fd, "shut down");
  assertEquals(warnings(scene).length, 9, "all is forgotten");
  reconcile(scene);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor logs once that a listener can't be repaired, and tries it again and again", () => {
  const scene = Scene.running(inet("x"));
  const [fd] = scene.running[0].fds;
  // Only its activator could repair it.
  scene.listeners.mayReplace = false;
  for (let count = 0; count < 5; count++) {
    scene.damage(fd, "lost");
    scene.clock.advance(40_000);
  }
  assertEquals(warnings(scene), ["inet:0.0.0.0:80 is lost"]);
  scene.listeners.mayReplace = true;
  scene.damage(fd, "lost");
  scene.clock.advance(40_000);
  assertEquals(warnings(scene).length, 2);
});

Deno.test("Supervisor checks the listeners of a process that leaves, and starts none with a damaged one", () => {
  const scene = Scene.running(inet("x"));
  const [worker] = scene.running, [fd] = worker.fds;
  scene.listeners.damaged.set(fd, "lost");
  scene.fresh();
  worker.exit("SIGKILL");
  const [next] = scene.fresh();
  assert(next.fds[0] !== fd);
  assertEquals(warnings(scene), ["inet:0.0.0.0:80 was lost"]);
});

Deno.test("Supervisor repairs what a process that was told to stop has damaged, with growing pauses", () => {
  const service = inet("x");
  const scene = Scene.running(service);
  scene.fresh();
  scene.supervisor.reload([service]);
  const lost = "inet:0.0.0.0:80 was lost";
  let [old] = scene.running, told = 0;
  // Each does the same at its end, so that the process that has come in its place is replaced as well.
  for (const pauseMs of [0, 100, 200, 400]) {
    const [next] = scene.fresh(), [fd] = next.fds;
    areReady(next);
    assertEquals(old.told, ["softstop"]);
    scene.listeners.damaged.set(fd, "lost");
    old.exit();
    if (pauseMs > 0) {
      scene.clock.advance(pauseMs - 1);
      assertEquals(warnings(scene).length, told);
      scene.clock.advance(1);
    }
    assertEquals(warnings(scene), Array(++told).fill(lost));
    reconcile(scene);
    old = next;
  }
});

Deno.test("Supervisor repairs listeners before a reload starts processes with them", () => {
  const service = inet("x", { addresses: "0:80 local:/run/s" });
  const scene = Scene.running(service);
  for (const fd of scene.running[0].fds) scene.listeners.damaged.set(fd, "lost");
  scene.fresh();
  scene.supervisor.reload([service]);
  const [next] = scene.fresh();
  for (const fd of next.fds) assert(scene.listeners.addresses.has(fd));
  areReady(next);
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.fresh(), [], "the new ones have the new listeners");
  assertEquals(scene.running.filter(({ told }) => told.length === 0), [next]);
});

Deno.test("Supervisor still waits for a connection after the listener of an idle service was replaced", () => {
  const scene = Scene.running(inet("x", { settings: { "server-idle-exit": "60" } }));
  const [worker] = scene.running, [fd] = worker.fds;
  worker.listener.onUsed(false);
  worker.exit();
  assertEquals(scene.expecting, [fd]);
  scene.fresh();
  scene.damage(fd, "lost");
  reconcile(scene);
  assertEquals(scene.fresh(), [], "nobody is there to be served");
  const [newMaster] = scene.expecting;
  assert(newMaster !== fd && scene.expecting.length === 1);
  scene.arrive();
  assertEquals(scene.fresh()[0].fds, [newMaster]);
});

Deno.test("Supervisor starts no process for an idle service whose listener is useless", () => {
  const scene = Scene.running(inet("x", { settings: { "server-idle-exit": "60" } }));
  const [worker] = scene.running, [fd] = worker.fds;
  worker.listener.onUsed(false);
  worker.exit();
  scene.fresh();
  scene.listeners.mayReplace = false;
  for (let count = 0; count < 5; count++) {
    scene.damage(fd, "lost");
    scene.clock.advance(40_000);
  }
  assertEquals(scene.fresh(), []);
  assertEquals(warnings(scene).length, 1);
});

Deno.test("Supervisor steers the connections of a group anew after one of its listeners was repaired", () => {
  const scene = Scene.running(
    inet("x", { procCount: 3, settings: { "server-balance": "reuseport" } }),
  );
  const fds = scene.running.map(({ fds: [fd] }) => fd);
  scene.listeners.chosen.clear();
  scene.damage(fds[1], "shut down");
  reconcile(scene);
  assertEquals(scene.listeners.chosen.get("inet:0.0.0.0:80"), fds);
});

Deno.test("Supervisor ends all watches of listeners before it closes them, and leaves no timer", async () => {
  const service = inet("x");
  const scene = Scene.running(service);
  const [fd] = scene.running[0].fds;
  scene.listeners.mayReplace = false;
  for (let count = 0; count < 2; count++) scene.damage(fd, "lost");
  assertEquals(scene.clock.pending, 1);
  const stopped = scene.supervisor.stop(0);
  for (const worker of scene.running) worker.exit();
  await stopped;
  assertEquals([scene.clock.pending, scene.watched.length], [0, 0]);
});
