import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { formatDuration } from "../../../src/config/duration.ts";
import { ConfigError } from "../../../src/config/errors.ts";
import {
  DRAIN_GRACE_MS,
  EARLY_DEATH_MS,
  LOST_GRACE_MS,
  SOFTSTOP_ANSWER_MS,
  TERMINATE_GRACE_MS,
  UNREADY_ANSWER_MS,
} from "../../../src/master/policy/timeouts.ts";
import type { FakeWorker } from "../../fakes/fake_launcher.ts";
import { serviceOf } from "../service_configs.ts";
import { A_WHILE_MS, isSettled, Scene } from "../scene.ts";

Deno.test("Supervisor starts all processes at once, each with its service's listeners", () => {
  const scene = new Scene();
  const web = serviceOf("web", { addresses: "b://0:81, a://0:80", procCount: 2 });
  scene.supervisor.start([web, serviceOf("mail")]);
  assertEquals(scene.running.map(({ request }) => request.service.id), ["web", "web", "mail"]);
  const [first, second] = scene.running;
  const keys = first.request.fds.map((fd) => scene.listeners.addresses.get(fd));
  assertEquals(keys, ["inet:0.0.0.0:81", "inet:0.0.0.0:80"]);
  assertEquals(second.request.fds, first.request.fds);
  for (const worker of scene.running) worker.listener.onReady();
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor replaces a worker at once when it ends, and logs how it ended", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [first, second] = scene.running;
  first.exit("SIGSEGV");
  assertEquals(scene.running.length, 2);
  assertStrictEquals(scene.running[0], second);
  assertEquals(scene.log, [
    `x: process ${first.pid} ended after ${
      formatDuration(A_WHILE_MS)
    }: signal SIGSEGV; the next one is started at once`,
  ]);
  second.exit();
  assertEquals(
    scene.log[1],
    `x: process ${second.pid} ended after ${
      formatDuration(A_WHILE_MS)
    }: exit code 0; the next one is started at once`,
  );
});

Deno.test("Supervisor tells once that a service is ready again, when no process is missing any more", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 3 }));
  const [first, second] = scene.running;
  scene.fresh();
  first.exit("SIGKILL");
  scene.clock.advance(1_000);
  second.exit("SIGKILL");
  const [one, two] = scene.fresh();
  scene.clock.advance(500);
  one.listener.onReady();
  assertEquals(scene.log.filter((line) => line.includes("ready again")), []);
  scene.clock.advance(500);
  two.listener.onReady();
  assertEquals(scene.log.at(-1), "x: ready again after 2.0 s");
  // A server that ends in order is no fault.
  scene.running[0].exit();
  scene.fresh()[0].listener.onReady();
  assertEquals(scene.log.filter((line) => line.includes("ready again")).length, 1);
});

Deno.test("Supervisor tells that a service is ready again, and shows no problem, when it needs the missing process no more", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [first] = scene.running;
  first.exit("SIGKILL");
  scene.clock.advance(1_000);
  scene.running.at(-1)!.exit("SIGKILL");
  const problem = async () => {
    const snapshot = scene.supervisor.snapshot(() => undefined);
    for (const { listener } of scene.running) listener.onCounts({});
    return (await snapshot)[0].problem;
  };
  assertMatch((await problem())!, /ended after/);
  scene.clock.advance(1_000);
  scene.supervisor.scale.to("x", 1);
  assertEquals(await scene.supervisor.scale.reached("x"), undefined);
  assertEquals(await problem(), null);
  assertEquals(scene.log.at(-1), "x: ready again after 2.0 s");
  scene.clock.advance(60_000);
  scene.supervisor.scale.to("x", 2);
  scene.running.at(-1)!.listener.onReady();
  assertEquals(scene.log.filter((line) => line.includes("ready again")).length, 1);
});

Deno.test("Supervisor does not shorten a delay when another worker ends meanwhile", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [old, other] = scene.running;
  other.exit();
  const [young] = scene.running.filter((worker) => worker !== old);
  young.exit();
  scene.clock.advance(1);
  old.exit();
  assertEquals(scene.running.length, 0, "two starts within the wait");
  scene.clock.advance(EARLY_DEATH_MS - 1);
  assertEquals(scene.running.length, 2);
});

Deno.test("Supervisor does not delay a service because of the early end of another", () => {
  const scene = Scene.running(serviceOf("x"), serviceOf("y"));
  const [x, y] = scene.running;
  x.exit();
  scene.running.find((worker) => worker !== y)!.exit();
  y.exit();
  assertEquals(scene.running.map(({ request }) => request.service.id), ["y"]);
});

for (
  const [how, leave] of [
    ["detaches", (worker) => worker.listener.onDetach()],
    ["drains", (worker) => worker.listener.onDraining(30)],
  ] satisfies [string, (worker: FakeWorker) => void][]
) {
  Deno.test(`Supervisor replaces a worker that ${how} at once`, () => {
    const scene = Scene.running(serviceOf("x"));
    scene.fresh();
    leave(scene.running[0]);
    assertEquals(scene.fresh().length, 1);
    assertEquals(scene.running.length, 2);
  });

  Deno.test(`Supervisor waits before it replaces a worker that ${how} too early`, () => {
    const scene = new Scene();
    scene.supervisor.start([serviceOf("x")]);
    scene.fresh()[0].listener.onReady();
    leave(scene.running[0]);
    assertEquals(scene.fresh().length, 0);
    scene.clock.advance(EARLY_DEATH_MS);
    assertEquals(scene.fresh().length, 1);
  });
}

Deno.test("Supervisor tries a failed start again, and logs it each time", () => {
  const scene = new Scene();
  scene.launcher.refusal = new Error("Cannot run it");
  scene.supervisor.start([serviceOf("x", { procCount: 3 })]);
  assertEquals(scene.log, ["x: Cannot run it; it is tried again in 0.1 s"]);
  scene.clock.advance(EARLY_DEATH_MS);
  assertEquals(scene.log.length, 2);
  scene.launcher.refusal = undefined;
  scene.clock.advance(2 * EARLY_DEATH_MS);
  assertEquals(scene.running.length, 3);
});

Deno.test("Supervisor changes nothing when a listener can't be opened, and reports each one", () => {
  const scene = Scene.running(serviceOf("x", { addresses: "0:80" }));
  const [worker] = scene.running;
  scene.listeners.refusals.set("inet:0.0.0.0:81", new Error("taken"));
  scene.listeners.refusals.set("inet:0.0.0.0:83", new Error("taken too"));
  const wanted = [
    serviceOf("x", { addresses: "0:81" }),
    serviceOf("y", { addresses: "0:82 0:83" }),
  ];
  const error = assertThrows(() => scene.supervisor.reload(wanted), ConfigError);
  assertEquals(error.problems.map(({ file }) => file), ["x", "y"]);
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80"]);
  assertEquals(scene.running, [worker]);
  assertEquals(worker.told, []);
  worker.exit();
  assertEquals(scene.running[0].request.service.endpoints[0].text, "0:80");
});

Deno.test("Supervisor applies no configuration with known problems", () => {
  const scene = Scene.running(serviceOf("x", { addresses: "0:80" }));
  scene.fresh();
  scene.listeners.refusals.set("inet:0.0.0.0:82", new Error("Cannot listen: taken"));
  const known = [{ file: "a.cf", message: "Cannot read" }];
  const good = [serviceOf("x", { addresses: "0:80 0:81" })];
  const bad = [serviceOf("x", { addresses: "0:80 0:81 0:82" })];
  assertEquals(
    assertThrows(() => scene.supervisor.reload(good, known), ConfigError).problems,
    known,
  );
  assertEquals(
    assertThrows(() => scene.supervisor.reload(bad, known), ConfigError).problems.length,
    2,
  );
  assertEquals(scene.listeners.keys, ["inet:0.0.0.0:80"]);
  assertEquals(scene.fresh().length, 0);
});

Deno.test("Supervisor terminates a draining worker some seconds after its announced time", () => {
  const scene = Scene.running(serviceOf("x"));
  const [worker] = scene.running;
  worker.listener.onDraining(30);
  scene.clock.advance(30_000 + DRAIN_GRACE_MS - 1);
  assertEquals(worker.told, []);
  scene.clock.advance(1);
  assertEquals(worker.told, ["SIGTERM"]);
  scene.clock.advance(TERMINATE_GRACE_MS);
  assertEquals(worker.told, ["SIGTERM", "SIGKILL"]);
  assert(scene.log.includes(`x: process ${worker.pid} is killed: it did not end in time`));
  scene.clock.advance(3_600_000);
  assertEquals(worker.told.length, 2);
});

Deno.test("Supervisor lets a draining worker shorten its announced time, and not lengthen it", () => {
  for (
    const [isTold, again, endsAfter] of [[true, 60, 30], [false, 60, 30], [true, 1, 2]] as const
  ) {
    const scene = Scene.running(serviceOf("x"));
    const [worker] = scene.running;
    if (isTold) scene.supervisor.reload([]);
    worker.listener.onDraining(30);
    scene.clock.advance(1_000);
    worker.listener.onDraining(again);
    scene.clock.advance((endsAfter - 1) * 1_000 + DRAIN_GRACE_MS - 1);
    assert(!worker.told.includes("SIGTERM"));
    scene.clock.advance(1);
    assert(worker.told.includes("SIGTERM"));
  }
});

Deno.test("Supervisor terminates a worker that does not answer a soft stop, earlier if it was never ready", () => {
  const scene = new Scene();
  scene.supervisor.start([serviceOf("x"), serviceOf("y")]);
  const [ready, unready] = scene.running;
  ready.listener.onReady();
  scene.supervisor.reload([]);
  assertEquals([ready.told, unready.told], [["softstop"], ["softstop"]]);
  scene.clock.advance(UNREADY_ANSWER_MS - 1);
  assertEquals(unready.told, ["softstop"]);
  scene.clock.advance(1);
  assertEquals([ready.told, unready.told], [["softstop"], ["softstop", "SIGTERM"]]);
  scene.clock.advance(SOFTSTOP_ANSWER_MS - UNREADY_ANSWER_MS - 1);
  assertEquals(ready.told, ["softstop"]);
  scene.clock.advance(1);
  assertEquals(ready.told, ["softstop", "SIGTERM"]);
});

Deno.test("Supervisor accepts the announced time of a worker that answers a soft stop", () => {
  const scene = Scene.running(serviceOf("x"));
  const [worker] = scene.running;
  scene.supervisor.reload([]);
  worker.listener.onDraining(3_600);
  scene.clock.advance(3_600_000 + DRAIN_GRACE_MS - 1);
  assertEquals(worker.told, ["softstop"]);
  scene.clock.advance(1);
  assertEquals(worker.told, ["softstop", "SIGTERM"]);
});

Deno.test("Supervisor ends and replaces a worker whose worker socket is lost", () => {
  const scene = Scene.running(serviceOf("x"));
  const [worker] = scene.running;
  scene.fresh();
  worker.listener.onLost(new Error("broken"));
  assertEquals(scene.log, [`x: process ${worker.pid}: broken`]);
  assertEquals(scene.fresh().length, 0);
  scene.clock.advance(LOST_GRACE_MS);
  assertEquals(worker.told, ["SIGTERM"]);
  assertEquals(scene.fresh().length, 1);
});

Deno.test("Supervisor never signals a worker that has detached", async () => {
  const scene = Scene.running(serviceOf("x"));
  const [worker] = scene.running;
  worker.listener.onDetach();
  worker.listener.onDraining(0);
  worker.listener.onLost();
  scene.supervisor.reload([serviceOf("x")]);
  for (const other of scene.running) other.listener.onReady();
  scene.clock.advance(3_600_000);
  const stopped = scene.supervisor.stop(5_000);
  scene.supervisor.shortenStop();
  for (const other of scene.running.filter((other) => other !== worker)) other.exit();
  assert(await isSettled(stopped));
  assertEquals(worker.told, []);
  assertEquals(scene.clock.pending, 0);
});

Deno.test("Supervisor accepts that a worker detaches just when it is soft-stopped", async () => {
  const scene = Scene.running(serviceOf("x"));
  const [worker] = scene.running;
  const stopped = scene.supervisor.stop(5_000);
  assertEquals(worker.told, ["softstop"]);
  worker.listener.onDetach();
  assert(await isSettled(stopped));
  scene.clock.advance(60_000);
  assertEquals(worker.told, ["softstop"]);
});

Deno.test("Supervisor.stop() soft-stops all, and waits for every end", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }), serviceOf("y"));
  const workers = [...scene.running];
  const stopped = scene.supervisor.stop(35_000);
  assertEquals(workers.map(({ told }) => told), [["softstop"], ["softstop"], ["softstop"]]);
  assertEquals([...scene.listeners.refused].sort(), ["unix:/run/x", "unix:/run/y"]);
  for (const worker of workers) {
    assert(!await isSettled(stopped));
    worker.exit();
  }
  assert(await isSettled(stopped));
  assertEquals(scene.clock.pending, 0);
  assertEquals(scene.running.length, 0);
});

Deno.test("Supervisor.stop() closes each listener when no process holds it any more", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }), serviceOf("y"));
  const [first, second, other] = scene.running;
  scene.supervisor.stop(35_000);
  first.listener.onDraining(30);
  assertEquals(scene.listeners.keys, ["unix:/run/x", "unix:/run/y"]);
  second.listener.onDraining(30);
  assertEquals(scene.listeners.keys, ["unix:/run/y"]);
  // A program without the control protocol holds it until its end.
  Object.assign(other, { keepsListeners: true });
  other.listener.onDraining(30);
  assertEquals(scene.listeners.keys, ["unix:/run/y"]);
  other.exit();
  assertEquals(scene.listeners.keys, []);
  assertEquals(scene.listeners.surrendered, []);
});

Deno.test("Supervisor.surrender() gives up the addresses that processes still hold during a stop", async () => {
  const scene = Scene.running(serviceOf("x"), serviceOf("y"));
  const [draining] = scene.running;
  const stopped = scene.supervisor.stop(35_000);
  draining.listener.onDraining(30);
  await scene.supervisor.surrender();
  assertEquals(scene.listeners.surrendered, ["unix:/run/y"]);
  assertEquals(scene.listeners.keys, []);
  assert(!await isSettled(stopped));
  for (const worker of scene.running) worker.exit();
  assert(await isSettled(stopped));
});

Deno.test("Supervisor.resume() restarts the services after retire(), while the old processes drain", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const old = [...scene.running], { current } = scene.supervisor;
  const left = scene.supervisor.retire([]);
  assertEquals([...left.keys()], ["unix:/run/x"]);
  assertEquals(old.map(({ told }) => told), [["softstop"], ["softstop"]]);
  assertEquals(scene.supervisor.current, []);
  left.forEach((slots) => slots.forEach((listener) => scene.listeners.leave(listener)));
  scene.supervisor.resume(current);
  assertEquals(scene.running.length, 4);
  assertEquals(scene.listeners.keys, ["unix:/run/x"]);
  for (const worker of old) worker.exit();
  assertEquals(scene.running.length, 2);
  assertEquals(scene.supervisor.current, current);
});

Deno.test("Supervisor.stop() is fulfilled at once where nothing runs", async () => {
  assert(await isSettled(Scene.running(serviceOf("x", { procCount: 0 })).supervisor.stop(1_000)));
  assert(await isSettled(new Scene().supervisor.stop(1_000)));
});

Deno.test("Supervisor.stop() drops pending starts", () => {
  const scene = new Scene();
  scene.launcher.refusal = new Error("not now");
  scene.supervisor.start([serviceOf("x")]);
  scene.supervisor.stop(1_000);
  scene.launcher.refusal = undefined;
  assertEquals(scene.clock.pending, 0);
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.running.length, 0);
});

for (const timeoutMs of [35_000, TERMINATE_GRACE_MS, 500, 0]) {
  Deno.test(`Supervisor.stop() kills the remaining processes after ${timeoutMs} ms, and not before`, () => {
    const scene = Scene.running(serviceOf("x"));
    const [worker] = scene.running;
    scene.supervisor.stop(timeoutMs);
    worker.listener.onDraining(3_600);
    const terminateMs = Math.max(timeoutMs - TERMINATE_GRACE_MS, 0);
    scene.clock.advance(terminateMs);
    assert(worker.told.includes("SIGTERM"));
    if (timeoutMs > 0) {
      scene.clock.advance(timeoutMs - terminateMs - 1);
      assert(!worker.told.includes("SIGKILL"));
      scene.clock.advance(1);
    }
    assert(worker.told.includes("SIGKILL"));
    assertEquals(scene.clock.pending, 0);
  });
}

Deno.test("Supervisor.stop() also limits the time of processes that are already stopping", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [draining, stopping] = scene.running;
  draining.listener.onDraining(3_600);
  stopping.listener.onLost();
  scene.clock.advance(LOST_GRACE_MS);
  scene.supervisor.stop(500);
  scene.clock.advance(500);
  assertEquals(draining.told, ["SIGTERM", "SIGKILL"]);
  assertEquals(stopping.told, ["SIGTERM", "SIGKILL"]);
});

Deno.test("Supervisor.shortenStop() shortens the wait of a stop, and once is enough", () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }));
  const [worker, killed] = scene.running;
  killed.listener.onLost();
  scene.clock.advance(LOST_GRACE_MS + TERMINATE_GRACE_MS);
  scene.supervisor.stop(35_000);
  scene.supervisor.shortenStop();
  assertEquals(worker.told, ["softstop", "SIGTERM"]);
  scene.clock.advance(TERMINATE_GRACE_MS - 1);
  scene.supervisor.shortenStop();
  assertEquals(worker.told, ["softstop", "SIGTERM"]);
  scene.clock.advance(1);
  assertEquals(worker.told, ["softstop", "SIGTERM", "SIGKILL"]);
  assertEquals(killed.told, ["SIGTERM", "SIGKILL"]);
});

Deno.test("Supervisor.shortenStop() does nothing where no stop is under way", () => {
  const scene = Scene.running(serviceOf("x"));
  scene.fresh();
  scene.supervisor.shortenStop();
  scene.clock.advance(A_WHILE_MS);
  assertEquals(scene.running[0].told, []);
  assertEquals(scene.fresh().length, 0);
});

Deno.test("Supervisor.removed() waits for a stopped service, but not for its detached processes", async () => {
  const scene = Scene.running(serviceOf("x", { procCount: 2 }), serviceOf("y"));
  const [first, second, other] = scene.running;
  first.listener.onDetach();
  const [replacement] = scene.running.filter((one) => ![first, second, other].includes(one));
  replacement.listener.onReady();
  scene.supervisor.reload([serviceOf("y")], [], { only: new Set(["x"]) });
  const removed = scene.supervisor.removed("x");
  second.exit();
  assert(!await isSettled(removed));
  replacement.listener.onDetach();
  assert(await isSettled(removed));
  assert(await isSettled(scene.supervisor.removed("x")));
  first.exit();
  assert(await isSettled(scene.supervisor.removed("x")));
});

Deno.test("ServiceScale.reached() waits for the processes of a service, and tells why they fail", async () => {
  const scene = Scene.running(serviceOf("x"));
  assertEquals(await scene.supervisor.scale.reached("x"), undefined);
  assertEquals(await scene.supervisor.scale.reached("none"), undefined);
  scene.supervisor.scale.to("x", 3);
  const scaled = scene.supervisor.scale.reached("x"), [, second, third] = scene.running;
  second.listener.onReady();
  assert(!await isSettled(scaled));
  third.listener.onReady();
  assertEquals(await scaled, undefined);
  scene.supervisor.scale.to("x", 1);
  assertEquals(await scene.supervisor.scale.reached("x"), undefined);
  scene.supervisor.scale.to("x", 2);
  const failed = scene.supervisor.scale.reached("x");
  scene.running.at(-1)!.exit();
  assertMatch((await failed)!, /ended after/);
});
