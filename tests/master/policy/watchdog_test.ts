import { assert, assertEquals } from "@std/assert";
import { TERMINATE_GRACE_MS } from "../../../src/master/policy/decide.ts";
import { DOUBT_MS, HEARTBEAT_MS } from "../../../src/master/policy/watchdog.ts";
import { LATE_MS } from "../../../src/os/clock/counted_time.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { outcomeOf, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const WATCHDOG_MS = 5_000;
const watched = (settings: Readonly<Record<string, string>> = {}) =>
  serviceOf("x", { settings: { "server-watchdog": "5", ...settings } });

/** A scene whose worker has sent its first heartbeat and is ready. */
function serving(): { scene: Scene; worker: FakeWorker } {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [worker] = scene.fresh();
  worker.listener.onHeartbeat();
  worker.listener.onReady();
  return { scene, worker };
}

/** Lets time go by, and the workers live. */
function live(scene: Scene, { forMs, workers }: { forMs: number; workers: FakeWorker[] }): void {
  for (let ms = 0; ms < forMs; ms += HEARTBEAT_MS) {
    scene.clock.advance(HEARTBEAT_MS);
    for (const worker of workers) worker.listener.onHeartbeat();
  }
}

Deno.test("Supervisor leaves a worker alone that sends its heartbeats", () => {
  const { scene, worker } = serving();
  live(scene, { forMs: 3_600_000, workers: [worker] });
  assertEquals(worker.told, []);
  assert(scene.clock.pending <= 1);
});

Deno.test("Supervisor finds a silent worker within its time and a second, and not within its time", () => {
  const { scene, worker } = serving();
  live(scene, { forMs: 20_000, workers: [worker] });
  // Just after a heartbeat: it has stood still for all of that time.
  scene.clock.advance(WATCHDOG_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
  assertEquals(scene.log, [`x: process ${worker.pid} hangs: it was silent for more than 5 s`]);
  // Another one is there at once; the old one is killed if it does not end.
  assertEquals(scene.fresh().length, 1);
  scene.clock.advance(TERMINATE_GRACE_MS);
  assertEquals(worker.told, ["SIGABRT", "SIGKILL"]);
});

Deno.test("Supervisor spares a worker that has stood still for less than its time", () => {
  const { scene, worker } = serving();
  // The next heartbeat was due when it stopped; a tenth of a second is what a look takes.
  scene.clock.advance(HEARTBEAT_MS + WATCHDOG_MS - 2 * DOUBT_MS);
  worker.listener.onHeartbeat();
  scene.clock.advance(DOUBT_MS);
  assertEquals(worker.told, []);
  live(scene, { forMs: 10_000, workers: [worker] });
  assertEquals(worker.told, []);
});

Deno.test("Supervisor blames no worker for the time in which the master itself was away", () => {
  const { scene, worker } = serving();
  for (let round = 0; round < 3; round++) {
    scene.clock.sleep(60_000);
    // Its heartbeats wait in the socket, or it has slept as well.
    scene.clock.advance(DOUBT_MS + LATE_MS);
    assertEquals(worker.told, []);
    worker.listener.onHeartbeat();
  }
  // One that hangs is found all the same.
  scene.clock.advance(WATCHDOG_MS + HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor watches a worker that starts from its first heartbeat on", () => {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [worker] = scene.fresh();
  scene.clock.advance(4 * WATCHDOG_MS);
  assertEquals(worker.told, []);
  // From here on its time counts: what comes before is the loading of the program.
  worker.listener.onHeartbeat();
  scene.clock.advance(WATCHDOG_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor watches no worker that knows no heartbeat", () => {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [mute] = scene.fresh();
  mute.listener.onReady();
  scene.clock.advance(10 * WATCHDOG_MS);
  assertEquals(mute.told, []);
});

Deno.test("Supervisor gives a worker a second after a time in which the master was away, and no more", () => {
  const scene = new Scene();
  scene.supervisor.start([watched({ "server-watchdog": "60" })]);
  const [worker] = scene.fresh();
  worker.listener.onHeartbeat();
  worker.listener.onReady();
  // The worker is silent from now on, and the first look comes late.
  scene.clock.advance(60_000);
  scene.clock.sleep(HEARTBEAT_MS + LATE_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS + DOUBT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor goes on watching a worker that drains, and watches no detached one", () => {
  const { scene, worker } = serving();
  worker.listener.onDraining(3_600);
  live(scene, { forMs: 60_000, workers: [worker] });
  assertEquals(worker.told, []);
  scene.clock.advance(WATCHDOG_MS + HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);

  const { scene: other, worker: detached } = serving();
  detached.listener.onDetach();
  other.clock.advance(3_600_000);
  assertEquals(detached.told, []);
});

Deno.test("Supervisor undoes a reload whose process hangs before it has proven itself", async () => {
  const { scene, worker: old } = serving();
  const reload = scene.reload(watched({ "server-soak": "1m" }));
  const [tried] = scene.fresh();
  tried.listener.onHeartbeat();
  tried.listener.onReady();
  live(scene, { forMs: 10_000, workers: [old] });
  assertEquals(tried.told, ["SIGABRT", "SIGKILL"]);
  assertEquals((await outcomeOf(reload)).map(({ reason }) => reason), [
    `process ${tried.pid} hangs`,
  ]);
  assertEquals(old.told, []);
});
