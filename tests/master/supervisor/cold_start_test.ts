import { assertEquals } from "@std/assert";
import type { ColdStart } from "../../../src/master/supervisor/cold_start.ts";
import { areReady, isSettled, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

/** The start of some services, and its progress. */
function started(scene: Scene, ...services: ReturnType<typeof serviceOf>[]) {
  const { coldStart } = scene.supervisor.start(services);
  return { coldStart, state: () => stateOf(coldStart) };
}

async function stateOf({ settled, complete, unready }: ColdStart) {
  return {
    settled: await isSettled(settled),
    complete: await isSettled(complete),
    unready: unready.map(({ id, reason }) => `${id}: ${reason}`),
  };
}

const OVER = { settled: true, complete: true, unready: [] };

Deno.test("ColdStart is over when each service has had its number of ready processes", async () => {
  const scene = new Scene();
  const { state } = started(scene, serviceOf("x", { procCount: 2 }), serviceOf("y"));
  const [first, second, other] = scene.running;
  areReady(first, other);
  assertEquals(await state(), {
    settled: false,
    complete: false,
    unready: ["x: no process of it is ready"],
  });
  areReady(second);
  assertEquals(await state(), OVER);
});

Deno.test("ColdStart counts processes that have been ready, even if they are short-lived", async () => {
  const scene = new Scene();
  const { state } = started(scene, serviceOf("x", { procCount: 3 }));
  for (let count = 0; count < 3; count++) {
    const [worker] = scene.running;
    areReady(worker);
    worker.exit();
    scene.clock.advance(100);
  }
  assertEquals(await state(), OVER);
});

Deno.test("ColdStart reports why a service is not ready, and when it finally is", async () => {
  const scene = new Scene();
  const { coldStart, state } = started(
    scene,
    serviceOf("bad", { settings: { "server-ready-timeout": "5" } }),
    serviceOf("slow", { settings: { "server-ready-timeout": "20" } }),
    serviceOf("endless", { settings: { "server-ready-timeout": "0" } }),
  );
  assertEquals(coldStart.leftMs(1_000), 29_000);
  const [bad, slow, endless] = scene.running;
  areReady(endless);
  assertEquals(coldStart.leftMs(1_000), 19_000);
  bad.exit("SIGSEGV");
  scene.clock.advance(20_000);
  assertEquals(coldStart.leftMs(20_000), 0);
  assertEquals((await state()).unready, [
    `bad: process ${bad.pid + 5} was not ready within 5 s (server-ready-timeout)`,
    `slow: process ${slow.pid} was not ready within 20 s (server-ready-timeout)`,
  ]);
  scene.clock.advance(100);
  areReady(...scene.running.filter(({ told }) => told.length === 0));
  assertEquals(await state(), OVER);
});

Deno.test("ColdStart does not wait for a failed service, and notices when a reload has fixed it", async () => {
  const scene = new Scene();
  const { state } = started(scene, serviceOf("bad"), serviceOf("good"));
  const [bad, good] = scene.running;
  areReady(good);
  bad.listener.onExit({ code: 78, signal: null });
  bad.running = false;
  assertEquals(await state(), {
    settled: true,
    complete: false,
    unready: [`bad: process ${bad.pid} says that its settings are wrong (exit code 78)`],
  });
  scene.reload(serviceOf("bad"), serviceOf("good"));
  areReady(...scene.fresh());
  assertEquals(await state(), OVER);
});

Deno.test("ColdStart says why a program can't be started", async () => {
  const scene = new Scene();
  scene.launcher.refusal = new Error("Cannot run it");
  const { state } = started(scene, serviceOf("x"));
  assertEquals((await state()).unready, ["x: Cannot run it"]);
});

Deno.test("ColdStart does not wait for a service of 0 processes, nor after its end", async () => {
  const scene = new Scene();
  assertEquals(await started(scene, serviceOf("x", { procCount: 0 })).state(), OVER);
  const other = new Scene();
  const { state } = started(other, serviceOf("x"));
  other.supervisor.stop(1_000);
  assertEquals(await state(), OVER);
});

Deno.test("ColdStart of a resumed master does not count the old processes that drain", async () => {
  const scene = Scene.running(serviceOf("x"));
  const { current } = scene.supervisor;
  const left = scene.supervisor.retire([]);
  left.forEach((slots) => slots.forEach((listener) => scene.listeners.leave(listener)));
  const { coldStart } = scene.supervisor.resume(current);
  assertEquals((await stateOf(coldStart)).settled, false);
  areReady(scene.running[1]);
  assertEquals(await stateOf(coldStart), OVER);
});
