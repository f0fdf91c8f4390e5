import { assert, assertEquals } from "@std/assert";
import { STARTS_PER_TURN } from "../../../src/master/supervisor/start_pace.ts";
import { EARLY_DEATH_MS } from "../../../src/master/policy/timeouts.ts";
import { areReady, outcomeOf, Scene } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

/** How many processes of each service were started since the last call. */
function started(scene: Scene): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { request: { service: { id } } } of scene.fresh()) counts[id] = (counts[id] ?? 0) + 1;
  return counts;
}

Deno.test("Supervisor starts a limited number of processes per turn of the event loop, and all in the end", () => {
  const scene = new Scene(true);
  scene.supervisor.start([serviceOf("x", { procCount: 3 * STARTS_PER_TURN + 1 })]);
  const turns = [started(scene).x];
  while (scene.turns.length > 0) {
    scene.turn();
    turns.push(started(scene).x ?? 0);
  }
  // The last turn finds nothing to do, and requests no other one.
  const full = STARTS_PER_TURN;
  assertEquals(turns, [full, full, full, 1, 0]);
});

Deno.test("Supervisor shares the starts of a turn among the waiting services, and uses all of them", () => {
  const scene = new Scene(true);
  const large = ["a", "b"].map((id) => serviceOf(id, { procCount: 300 }));
  scene.supervisor.start([...large, serviceOf("c"), serviceOf("d", { procCount: 2 })]);
  assertEquals(started(scene), { a: STARTS_PER_TURN });
  scene.turn();
  const { a, b, c, d } = started(scene);
  assertEquals([c, d], [1, 2]);
  assertEquals(a + b, STARTS_PER_TURN - 3);
  assert(Math.abs(a - b) <= 1, `${a} and ${b}`);
  scene.turn();
  assertEquals(started(scene), { a: STARTS_PER_TURN / 2, b: STARTS_PER_TURN / 2 });
});

Deno.test("Supervisor replaces a process in the next turn, however many others crash without a back-off", () => {
  const scene = new Scene(true);
  const settings = { "server-backoff-max": "0" };
  scene.supervisor.start([
    serviceOf("big", { procCount: 300, settings }),
    serviceOf("small", { settings }),
  ]);
  while (scene.running.length < 301) scene.turn();
  for (let round = 0; round < 20; round++) {
    const small = scene.running.find(({ request }) => request.service.id === "small")!;
    small.listener.onReady();
    // Late enough for both rules that delay starts, and all at the same time.
    scene.clock.advance(EARLY_DEATH_MS);
    for (const worker of [...scene.running]) if (worker !== small) worker.exit();
    scene.fresh();
    small.exit("SIGKILL");
    scene.turn();
    const counts = started(scene);
    assertEquals(counts.small, 1, `round ${round}: ${JSON.stringify(counts)}`);
    assert(Object.values(counts).every((count) => count <= STARTS_PER_TURN));
    scene.clock.advance(EARLY_DEATH_MS);
    scene.turn();
  }
});

Deno.test("Supervisor limits the starts of a reload as well, and the reload succeeds", async () => {
  const scene = new Scene(true);
  const service = serviceOf("x", { procCount: 40 });
  scene.supervisor.start([service]);
  while (scene.turns.length > 0) scene.turn();
  areReady(...scene.running);
  const reload = scene.reload({ ...service, fingerprint: "another" });
  assertEquals(started(scene), { x: STARTS_PER_TURN });
  while (scene.turns.length > 0) scene.turn();
  areReady(...scene.running);
  assertEquals(await outcomeOf(reload), []);
});

Deno.test("Supervisor.stop() drops the starts that wait for their turn", async () => {
  const scene = new Scene(true);
  scene.supervisor.start([serviceOf("x", { procCount: 300 })]);
  const stopped = scene.supervisor.stop(1_000);
  scene.fresh();
  while (scene.turns.length > 0) scene.turn();
  assertEquals(started(scene), {});
  for (const worker of scene.running) worker.exit();
  await stopped;
});
