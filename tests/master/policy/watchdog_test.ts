import { assert, assertEquals } from "@std/assert";
import { TERMINATE_GRACE_MS } from "../../../src/master/policy/timeouts.ts";
import { HEARTBEAT_MS, SUSPECT_MS } from "../../../src/master/policy/watchdog.ts";
import { LATE_MS } from "../../../src/os/clock/counted_time.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { outcomeOf, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const WATCHDOG_MS = 5_000;
const watched = (settings: Readonly<Record<string, string>> = {}) =>
  serviceOf("x", { settings: { "server-watchdog": "5", ...settings } });

/** A scene with a worker that is ready and has sent its first heartbeat. */
function serving(): { scene: Scene; worker: FakeWorker } {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [worker] = scene.fresh();
  worker.listener.onHeartbeat();
  worker.listener.onReady();
  return { scene, worker };
}

/** Advances the time while the workers send heartbeats. */
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
  // Just after a heartbeat: it has been blocked for the whole time.
  scene.clock.advance(WATCHDOG_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
  assertEquals(scene.log, [
    `x: process ${worker.pid} hangs: no heartbeat for 5 s (server-watchdog)`,
  ]);
  // A replacement starts at once; the old worker is killed if it does not end.
  assertEquals(scene.fresh().length, 1);
  scene.clock.advance(TERMINATE_GRACE_MS);
  assertEquals(worker.told, ["SIGABRT", "SIGKILL"]);
});

Deno.test("Supervisor does not end a worker that was blocked for less than its watchdog time", () => {
  const { scene, worker } = serving();
  // The next heartbeat was due when it was blocked; a check takes a tenth of a second.
  scene.clock.advance(HEARTBEAT_MS + WATCHDOG_MS - 2 * SUSPECT_MS);
  worker.listener.onHeartbeat();
  scene.clock.advance(SUSPECT_MS);
  assertEquals(worker.told, []);
  live(scene, { forMs: 10_000, workers: [worker] });
  assertEquals(worker.told, []);
});

Deno.test("Supervisor does not count the time in which the master itself was suspended", () => {
  const { scene, worker } = serving();
  for (let round = 0; round < 3; round++) {
    scene.clock.sleep(60_000);
    // Its heartbeats wait in the socket, or it was suspended as well.
    scene.clock.advance(SUSPECT_MS + LATE_MS);
    assertEquals(worker.told, []);
    worker.listener.onHeartbeat();
  }
  // A hanging worker is found nevertheless.
  scene.clock.advance(WATCHDOG_MS + HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor watches a starting worker from its first heartbeat on", () => {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [worker] = scene.fresh();
  scene.clock.advance(4 * WATCHDOG_MS);
  assertEquals(worker.told, []);
  // Its watchdog time starts here, and does not include the loading of the program.
  worker.listener.onHeartbeat();
  scene.clock.advance(WATCHDOG_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor does not watch a worker that sends no heartbeats", () => {
  const scene = new Scene();
  scene.supervisor.start([watched()]);
  const [silent] = scene.fresh();
  silent.listener.onReady();
  scene.clock.advance(10 * WATCHDOG_MS);
  assertEquals(silent.told, []);
});

Deno.test("Supervisor gives a worker a second after the master was suspended, and no more", () => {
  const scene = new Scene();
  scene.supervisor.start([watched({ "server-watchdog": "60" })]);
  const [worker] = scene.fresh();
  worker.listener.onHeartbeat();
  worker.listener.onReady();
  // The worker is silent from now on, and the first check comes late.
  scene.clock.advance(60_000);
  scene.clock.sleep(HEARTBEAT_MS + LATE_MS);
  assertEquals(worker.told, []);
  scene.clock.advance(HEARTBEAT_MS + SUSPECT_MS);
  assertEquals(worker.told, ["SIGABRT"]);
});

Deno.test("Supervisor continues to watch a draining worker, and does not watch a detached one", () => {
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

Deno.test("Supervisor undoes a reload whose process hangs before it has passed", async () => {
  const { scene, worker: old } = serving();
  const reload = scene.reload(watched({ "server-soak": "1m" }));
  const [candidate] = scene.fresh();
  candidate.listener.onHeartbeat();
  candidate.listener.onReady();
  live(scene, { forMs: 10_000, workers: [old] });
  assertEquals(candidate.told, ["SIGABRT", "SIGKILL"]);
  assertEquals((await outcomeOf(reload)).map(({ reason }) => reason), [
    `process ${candidate.pid} hangs`,
  ]);
  assertEquals(old.told, []);
});
