import { assert, assertEquals, assertMatch } from "@std/assert";
import { TERMINATE_GRACE_MS } from "../../../src/master/policy/timeouts.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { areReady, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const TIMEOUT_MS = 5_000;
const timed = (settings: Readonly<Record<string, string>> = {}, procCount = 1) =>
  serviceOf("x", { procCount, settings: { "server-ready-timeout": "5", ...settings } });

const LINE =
  /^x: process \d+ was not ready within 5 s \(server-ready-timeout\): it is told to end, and the next one is started (in 0\.1 s|at once)$/;

/** An event that starts a process, which then hangs; its service may have others. */
const STARTS: Readonly<Record<string, () => { scene: Scene; started: FakeWorker }>> = {
  "the start of the service"() {
    const scene = new Scene();
    scene.supervisor.start([timed()]);
    return { scene, started: scene.running[0] };
  },
  "the end of another process"() {
    const scene = Scene.running(timed());
    scene.fresh();
    scene.running[0].exit("SIGKILL");
    return { scene, started: scene.fresh()[0] };
  },
  "a scale signal"() {
    const scene = Scene.running(timed());
    scene.fresh();
    scene.supervisor.scale.all(1);
    return { scene, started: scene.fresh()[0] };
  },
  "the recycling of a process"() {
    const scene = Scene.running(timed({ "server-max-connections": "5" }));
    scene.fresh();
    scene.running[0].listener.onSpent();
    return { scene, started: scene.fresh()[0] };
  },
  "a waiting connection"() {
    const scene = Scene.running(timed({ "server-idle-exit": "1" }));
    const [idle] = scene.fresh();
    idle.listener.onUsed(false);
    idle.exit();
    scene.arrive();
    return { scene, started: scene.fresh()[0] };
  },
};

for (const [why, start] of Object.entries(STARTS)) {
  Deno.test(`Supervisor ends a process that is not ready in time, started by ${why}, and starts another`, () => {
    const { scene, started } = start();
    const before = scene.log.length;
    scene.clock.advance(TIMEOUT_MS - 1);
    assertEquals(started.told, []);
    assertEquals(scene.fresh().filter((it) => it !== started), []);
    scene.clock.advance(1);
    assertEquals(started.told, ["SIGTERM"]);
    scene.clock.advance(100);
    const next = scene.fresh().filter((it) => it !== started);
    assertEquals(next.length, 1);
    const [line] = scene.log.slice(before).filter((line) => line.includes("was not ready"));
    assertMatch(line, LINE);
    scene.clock.advance(TERMINATE_GRACE_MS);
    assertEquals(started.told, ["SIGTERM", "SIGKILL"]);
    started.exit("SIGKILL");
    areReady(...next);
    scene.clock.advance(10 * TIMEOUT_MS);
    assertEquals(next[0].told, []);
  });
}

Deno.test("Supervisor delays the restarts of a service that is never ready in time, up to its start limit", () => {
  const scene = new Scene();
  scene.supervisor.start([timed({ "server-start-limit": "3/1m" })]);
  scene.clock.advance(3_600_000);
  assertEquals(scene.launcher.workers.length, 3);
  const [last] = scene.log.filter((line) => line.includes("was not ready")).slice(-1);
  assert(last.endsWith("it is told to end, and none is started until the next reload"), last);
});

Deno.test("Supervisor waits for a process for ever where there is no ready time-out", () => {
  const scene = new Scene();
  scene.supervisor.start([timed({ "server-ready-timeout": "0" })]);
  scene.clock.advance(24 * 3_600_000);
  assertEquals(scene.running[0].told, []);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor says what a program needs that opens its addresses itself and is never ready", () => {
  const scene = new Scene();
  scene.supervisor.start([{ ...timed(), addressCall: "Deno.serve in line 3" }]);
  scene.clock.advance(TIMEOUT_MS);
  const [line] = scene.log.filter((line) => line.includes("was not ready"));
  const hint =
    "; its program has Deno.serve in line 3, expected server-protocol = deno: it is told to end";
  assert(line.includes(`within 5 s (server-ready-timeout)${hint}`), line);
});

Deno.test("Supervisor says what is missing of a program that knows nothing of its master, and is never ready", () => {
  for (
    const [addresses, what] of [["0:80", "its address"], ["0:80 0:81", "each of its addresses"]]
  ) {
    const scene = new Scene();
    const config = serviceOf("x", { addresses, settings: { "server-ready-timeout": "5" } });
    scene.supervisor.start([{ ...config, unchanged: {} }]);
    scene.clock.advance(TIMEOUT_MS);
    const [line] = scene.log.filter((line) => line.includes("was not ready"));
    const why = `(server-ready-timeout); its program does not listen at ${what} yet: it is told to`;
    assert(line.includes(why), line);
  }
});
