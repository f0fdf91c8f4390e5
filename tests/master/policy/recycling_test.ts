import { assert, assertEquals } from "@std/assert";
import { HEAVY_MS, MEASURE_MS } from "../../../src/master/policy/recycling.ts";
import { A_WHILE_MS, areReady, outcomeOf, Scene, toldTo } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const recycled = (procCount: number, settings: Readonly<Record<string, string>>) =>
  serviceOf("x", { procCount, settings });
const MAX_MEMORY = 100 * 2 ** 20;

Deno.test("Supervisor recycles a worker, and stops it once its replacement is ready", () => {
  const scene = Scene.running(recycled(2, {}));
  const [first, second] = scene.running;
  scene.fresh();
  first.listener.onSpent();
  first.listener.onSpent();
  assertEquals(scene.log, [
    `x: process ${first.pid} is to be replaced: reached server-max-connections`,
  ]);
  const [newMaster, ...others] = scene.fresh();
  assertEquals(others, []);
  assertEquals(toldTo([first, second]), ["", ""]);
  areReady(newMaster);
  assertEquals(toldTo([first, second, newMaster]), ["softstop", "", ""]);
  first.exit();
  assertEquals(scene.fresh(), []);
});

Deno.test("Supervisor recycles workers one after the other that reach a limit at the same time", () => {
  const scene = Scene.running(recycled(4, {}));
  const old = [...scene.running];
  scene.fresh();
  for (const worker of old) worker.listener.onSpent();
  for (const [index, worker] of old.entries()) {
    const fresh = scene.fresh();
    assertEquals(fresh.length, 1, `${index}`);
    areReady(...fresh);
    assertEquals(toldTo(old), old.map((_, history) => history <= index ? "softstop" : ""));
    worker.exit();
  }
  assertEquals(scene.fresh(), []);
});

Deno.test("Supervisor lets no more recycled workers drain at the same time than there are processes", () => {
  const scene = Scene.running(recycled(1, {}));
  const [first] = scene.running;
  scene.fresh();
  first.listener.onSpent();
  const [second] = scene.fresh();
  areReady(second);
  assertEquals(first.told, ["softstop"]);
  first.listener.onDraining(30);
  second.listener.onSpent();
  assertEquals(scene.fresh(), [], "the first one has not finished");
  assertEquals(second.told, []);
  first.exit();
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor keeps a worker whose replacements fail, and tries again with growing delays", () => {
  const scene = Scene.running(recycled(1, {}));
  const [old] = scene.running;
  scene.fresh();
  old.listener.onSpent();
  const started: number[] = [];
  for (const end = scene.clock.nowMs() + 60_000; scene.clock.nowMs() < end;) {
    for (const worker of scene.fresh()) {
      started.push(scene.clock.nowMs());
      worker.exit();
    }
    scene.clock.advance(scene.clock.nextInMs ?? 60_000);
  }
  assert(started.length > 5 && started.length < 15, `${started.length} starts`);
  assertEquals(old.told, []);
  while (scene.fresh().length === 0) scene.clock.advance(scene.clock.nextInMs!);
  areReady(...scene.running.filter((worker) => worker !== old));
  assertEquals(old.told, ["softstop"]);
});

Deno.test("Supervisor replaces a worker that ends before it is recycled like any other", () => {
  const scene = Scene.running(recycled(1, {}));
  const [old] = scene.running;
  scene.fresh();
  old.listener.onSpent();
  old.exit("SIGKILL");
  assertEquals(scene.fresh().length, 1);
  areReady(...scene.running);
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.running.length, 1);
});

Deno.test("Supervisor recycles each worker at its maximum age, spread at random over a tenth", () => {
  const scene = new Scene();
  const chances = [0, 1];
  scene.random = () => chances[0];
  scene.supervisor.start([recycled(2, { "server-max-age": "100" })]);
  const [first, second] = scene.fresh();
  areReady(first);
  chances.shift();
  areReady(second);
  scene.clock.advance(89_999);
  assertEquals(scene.fresh(), []);
  scene.clock.advance(1);
  const [newMaster] = scene.fresh();
  areReady(newMaster);
  assertEquals(toldTo([first, second]), ["", "softstop"]);
  scene.clock.advance(10_000);
  areReady(...scene.fresh());
  assertEquals(toldTo([first, second]), ["softstop", "softstop"]);
  assert(
    scene.log.includes(
      `x: process ${first.pid} is to be replaced: reached server-max-age at 100 s`,
    ),
  );
});

Deno.test("Supervisor gives each new worker its own limit of connections", () => {
  const scene = new Scene();
  let chance = -0.5;
  scene.random = () => chance += 0.5;
  const limited = { "server-max-connections": "1000" };
  scene.supervisor.start([recycled(3, limited), serviceOf("y")]);
  const limits = scene.running.map(({ request }) => request.maxConnections);
  assertEquals(limits, [1_000, 950, 900, undefined]);
  const tiny = new Scene();
  tiny.random = () => 0.999;
  tiny.supervisor.start([recycled(1, { "server-max-connections": "1" })]);
  assertEquals(tiny.running[0].request.maxConnections, 1);
});

Deno.test("Supervisor recycles a worker that uses too much memory for long, and ignores a spike", () => {
  const scene = new Scene();
  let bytes = 0, looks = 0;
  scene.memoryOf = () => (looks++, bytes);
  scene.supervisor.start([recycled(1, { "server-max-memory": "100m" }), serviceOf("y")]);
  const [worker, other] = scene.fresh();
  scene.clock.advance(20_000);
  assertEquals(looks, 0, "it is not ready");
  areReady(worker, other);
  scene.clock.advance(60_000);
  assertEquals(looks, 60_000 / MEASURE_MS + 1);
  bytes = MAX_MEMORY + 1;
  scene.clock.advance(HEAVY_MS);
  bytes = MAX_MEMORY;
  scene.clock.advance(MEASURE_MS);
  bytes = MAX_MEMORY + 1;
  scene.clock.advance(HEAVY_MS);
  assertEquals(scene.fresh(), [], "a spike");
  scene.clock.advance(MEASURE_MS);
  areReady(...scene.fresh());
  assertEquals(toldTo([worker, other]), ["softstop", ""]);
  assert(
    scene.log.includes(
      `x: process ${worker.pid} is to be replaced: exceeded server-max-memory with 100 MB`,
    ),
  );
});

Deno.test("Supervisor logs that the memory of a worker can't be read, and continues without it", () => {
  const scene = new Scene();
  scene.memoryOf = () => {
    throw new Deno.errors.PermissionDenied("another user's");
  };
  scene.supervisor.start([recycled(1, { "server-max-memory": "100m" })]);
  areReady(...scene.running);
  scene.clock.advance(3_600_000);
  assertEquals(scene.log, [
    `x: the memory of process ${scene.running[0].pid} is not watched: ` +
    "PermissionDenied: another user's",
  ]);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor continues to read the memory of a worker after a lack of descriptors", () => {
  const scene = new Scene();
  scene.memoryOf = () => {
    throw new Error("too many open files");
  };
  scene.supervisor.start([recycled(1, { "server-max-memory": "100m" })]);
  areReady(...scene.running);
  const [worker] = scene.running;
  scene.clock.advance(60_000);
  assertEquals(scene.log.length, 1);
  scene.memoryOf = () => 200 * 2 ** 20;
  scene.clock.advance(60_000);
  assert(
    scene.log.includes(
      `x: process ${worker.pid} is to be replaced: exceeded server-max-memory with 200 MB`,
    ),
    scene.log.join("\n"),
  );
});

Deno.test("Supervisor.reload() replaces workers that are to be recycled with all others, and only once", async () => {
  const service = recycled(2, {});
  const scene = Scene.running(service);
  const old = [...scene.running];
  const reload = scene.reload(service);
  const fresh = scene.fresh();
  old[0].listener.onSpent();
  assertEquals(scene.fresh(), []);
  areReady(...fresh);
  assertEquals(await outcomeOf(reload), []);
  assertEquals(toldTo([...old, ...fresh]), ["softstop", "softstop", "", ""]);
  assertEquals(scene.fresh(), []);
});
