/** What a status tells of the processes that a change waits for. */
import { assertEquals } from "@std/assert";
import type { AwaitedStep } from "../../../src/control/status.ts";
import { serviceOf } from "../service_configs.ts";
import { areReady, outcomeOf, Scene } from "../scene.ts";

/** What is awaited of each process. */
async function awaitedIn({ supervisor, running }: Scene): Promise<(AwaitedStep | null)[]> {
  const snapshot = supervisor.snapshot(() => undefined);
  for (const { listener } of running) listener.onCounts({});
  return (await snapshot)[0].processes.map(({ awaited }) => awaited);
}

Deno.test("a process that starts is awaited, at the start of the master as well", async () => {
  const scene = new Scene();
  scene.supervisor.start([
    serviceOf("x", {
      procCount: 2,
      settings: { "server-ready-timeout": "9s", "server-soak": "1s" },
    }),
  ]);
  scene.clock.advance(2_000);
  areReady(scene.running[0]);
  const starting = { step: "ready", elapsedMs: 2_000, limitMs: 9_000 } as const;
  assertEquals(await awaitedIn(scene), [null, starting]);
  assertEquals(scene.supervisor.rollingOut, []);
});

Deno.test("the new processes of a reload are awaited until they have passed, and none of the others", async () => {
  const settings = { "server-ready-timeout": "0", "server-soak": "5s" };
  const scene = Scene.running(serviceOf("x"));
  const reload = scene.reload(serviceOf("x", { procCount: 2, settings }));
  const [first, second] = scene.fresh();
  areReady(first);
  scene.clock.advance(4_000);
  const starting = { step: "ready", elapsedMs: 4_000, limitMs: null } as const;
  const soaking = { step: "soak", elapsedMs: 4_000, limitMs: 5_000 } as const;
  assertEquals(await awaitedIn(scene), [null, soaking, starting]);
  assertEquals(scene.supervisor.rollingOut, ["x"]);
  areReady(second);
  scene.clock.advance(1_000);
  assertEquals(await awaitedIn(scene), [null, null, { ...soaking, elapsedMs: 1_000 }]);
  scene.clock.advance(4_000);
  assertEquals(await outcomeOf(reload), []);
  assertEquals(await awaitedIn(scene), [null, null, null]);
  assertEquals(scene.supervisor.rollingOut, []);
});

Deno.test("a failed service that a reload removes is shown as stopped, without a problem, until its last process has ended", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }), serviceOf("y"));
  const status = async () => {
    const snapshot = scene.supervisor.snapshot(() => undefined);
    for (const { listener } of scene.running) listener.onCounts({});
    const { state, problem } = (await snapshot).find(({ id }) => id === "x")!;
    return [state, problem?.replace(/\d+/, "N")];
  };
  scene.running[0].listener.onExit({ code: 78, signal: null });
  assertEquals(await status(), [
    "failed",
    "process N says that its settings are wrong (exit code 78)",
  ]);
  const reload = scene.reload(serviceOf("y"));
  areReady(...scene.fresh());
  assertEquals(await outcomeOf(reload), []);
  assertEquals(await status(), ["stopped", undefined]);
});
