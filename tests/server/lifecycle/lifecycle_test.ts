import { assertEquals, assertThrows } from "@std/assert";
import { type LifecycleOwner, ServerLifecycle } from "../../../src/server/lifecycle/lifecycle.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

/** Lets everything run that waits for nothing: promises, but no timer. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

interface Setup {
  readonly clock: FakeClock;
  readonly lifecycle: ServerLifecycle;
  /** What the owner was told, in order. */
  readonly told: unknown[];
  readonly ended: () => Promise<boolean>;
}

/** A server of which the lifecycle is under test. */
function setup(owner: Partial<LifecycleOwner> = {}): Setup {
  const clock = new FakeClock();
  const lifecycle = new ServerLifecycle(clock);
  const told: unknown[] = [];
  let hasEnded = false;
  lifecycle.stopped.then(() => hasEnded = true);
  lifecycle.own({
    softstopSeconds: undefined,
    drainSeconds: 30,
    onDraining: (seconds) => told.push(["draining", seconds]),
    onDetach: () => told.push("detach"),
    onCut: ({ connections }) => told.push(["cut", connections]),
    onError: (error) => told.push(["error", (error as Error).message]),
    ...owner,
  });
  const ended = async () => {
    await settled();
    return hasEnded;
  };
  return { clock, lifecycle, told, ended };
}

/** Fails unless the server ends after exactly that time. */
async function endsAfter({ clock, ended }: Setup, seconds: number): Promise<void> {
  assertEquals(await ended(), false, "ended at once");
  clock.advance(seconds * 1000 - 1);
  assertEquals(await ended(), false, `ended before ${seconds} s`);
  clock.advance(1);
  assertEquals(await ended(), true, `not ended after ${seconds} s`);
  assertEquals(clock.pending, 0, "a timer is left");
}

/** A connection that counts, until `finish` is called. */
function busy({ lifecycle }: Setup): () => void {
  return lifecycle.activity.begin();
}

Deno.test("ServerLifecycle.softstop() of a standby ends at once, without a report and without the hook", async () => {
  const hooks: string[] = [];
  const server = setup({ softstopSeconds: 3_600, beforeSoftstop: () => void hooks.push("hook") });
  server.lifecycle.standBy();
  busy(server);
  server.lifecycle.softstop();
  assertEquals(await server.ended(), true);
  assertEquals([server.told, hooks, server.clock.pending], [[], [], 0]);
});

Deno.test("ServerLifecycle.softstop() of a started standby is that of any other server", async () => {
  const server = setup({ softstopSeconds: 2 });
  server.lifecycle.standBy();
  server.lifecycle.activate();
  server.lifecycle.softstop();
  assertEquals(server.told, [["draining", 2]]);
  await endsAfter(server, 2);
});

Deno.test("ServerLifecycle.softstop() without M ends with the last work, and at the limit of the drain at the latest", async () => {
  const quick = setup({ drainSeconds: 7 }), finish = busy(quick);
  quick.lifecycle.softstop();
  assertEquals([await quick.ended(), quick.told], [false, [["draining", 7]]]);
  finish();
  assertEquals(await quick.ended(), true);
  const slow = setup({ drainSeconds: 7 });
  busy(slow);
  slow.lifecycle.softstop();
  await endsAfter(slow, 7);
});

Deno.test("ServerLifecycle does not serve again when it is started after its stop", () => {
  const server = setup({ softstopSeconds: 2 });
  server.lifecycle.standBy();
  busy(server);
  server.lifecycle.finishWithin(1);
  server.lifecycle.activate();
  server.lifecycle.standBy();
  server.lifecycle.detach();
  assertEquals([server.lifecycle.accepting, server.lifecycle.isStandby, server.told], [
    false,
    false,
    [],
  ]);
});

Deno.test("ServerLifecycle.softstop() without M ends at once when nothing is under way", async () => {
  const server = setup();
  server.lifecycle.softstop();
  assertEquals(await server.ended(), true);
  assertEquals(server.told, [["draining", 30]]);
  assertEquals(server.clock.pending, 0);
});

Deno.test("ServerLifecycle.softstop() without M ends with the last activity", async () => {
  const server = setup();
  const one = busy(server), two = busy(server);
  server.lifecycle.softstop();
  assertEquals(await server.ended(), false);
  one();
  one();
  assertEquals(await server.ended(), false);
  two();
  assertEquals(await server.ended(), true);
  assertEquals(server.clock.pending, 0);
});

Deno.test("ServerLifecycle.softstop() without M ends after 30 s at the latest", async () => {
  const server = setup();
  busy(server);
  server.lifecycle.softstop();
  await endsAfter(server, 30);
});

Deno.test("ServerLifecycle tells what its time limit cuts, and nothing where nothing is left", async () => {
  for (const isFinished of [false, true]) {
    const server = setup({ softstopSeconds: 2 });
    const finish = [busy(server), busy(server)];
    server.lifecycle.softstop();
    finish[0]();
    if (isFinished) finish[1]();
    await endsAfter(server, 2);
    assertEquals(server.told, [["draining", 2], ...isFinished ? [] : [["cut", 1]]]);
  }
});

Deno.test("ServerLifecycle.softstop() waits for work that begins while it drains", async () => {
  const server = setup();
  const one = busy(server);
  server.lifecycle.softstop();
  await settled();
  const two = busy(server);
  one();
  assertEquals(await server.ended(), false);
  two();
  assertEquals(await server.ended(), true);
});

Deno.test("ServerLifecycle.openWork() counts the connections of all sources, as those of the aio mode", () => {
  const server = setup();
  server.lifecycle.waitFor({ count: 3, standing: 1 });
  busy(server);
  assertEquals(server.lifecycle.openWork(), { connections: 3, webSockets: 0, eventStreams: 0 });
});

Deno.test("ServerLifecycle.softstop() waits for further sources, which report", async () => {
  const server = setup();
  let count = 1;
  server.lifecycle.waitFor({
    get count() {
      return count;
    },
  });
  server.lifecycle.softstop();
  assertEquals(await server.ended(), false);
  count = 0;
  assertEquals(await server.ended(), false, "nobody has reported");
  server.lifecycle.reportIdle();
  assertEquals(await server.ended(), true);
});

for (
  const { softstopSeconds, hook, seconds } of [
    { softstopSeconds: 5, hook: false, seconds: 5 },
    { softstopSeconds: 0.5, hook: false, seconds: 0.5 },
    { softstopSeconds: 5, hook: true, seconds: 5 },
    { softstopSeconds: 1, hook: true, seconds: 1 },
    { softstopSeconds: 0, hook: true, seconds: 3600 },
    { softstopSeconds: 0.999, hook: true, seconds: 3600 },
  ]
) {
  const withHook = hook ? "with" : "without";
  Deno.test(`ServerLifecycle.softstop() ${withHook} a hook and M = ${softstopSeconds} ends after ${seconds} s, idle or not`, async () => {
    let calls = 0;
    const server = setup({
      softstopSeconds,
      beforeSoftstop: hook ? () => void calls++ : undefined,
    });
    const finish = busy(server);
    server.lifecycle.softstop();
    await settled();
    assertEquals(calls, hook ? 1 : 0);
    assertEquals(server.told, [["draining", seconds]]);
    finish();
    await endsAfter(server, seconds);
  });
}

Deno.test("ServerLifecycle.softstop() without a hook and M = 0 ends at once, idle or not", async () => {
  const server = setup({ softstopSeconds: 0 });
  busy(server);
  server.lifecycle.softstop();
  assertEquals(await server.ended(), true);
});

Deno.test("ServerLifecycle.softstop() without M drains only when an async hook has finished", async () => {
  const hook = Promise.withResolvers<void>();
  const server = setup({ beforeSoftstop: () => hook.promise });
  server.lifecycle.softstop();
  assertEquals(await server.ended(), false);
  hook.resolve();
  assertEquals(await server.ended(), true);
});

Deno.test("ServerLifecycle.softstop() without M ends after 30 s though the hook has not finished", async () => {
  const server = setup({ beforeSoftstop: () => new Promise(() => {}) });
  server.lifecycle.softstop();
  await endsAfter(server, 30);
});

Deno.test("ServerLifecycle.softstop() calls the hook after it has stopped accepting", async () => {
  const order: string[] = [];
  const server = setup({ beforeSoftstop: () => void order.push("hook") });
  server.lifecycle.onStopAccepting(() => order.push("closer"));
  server.lifecycle.softstop();
  await settled();
  assertEquals(order, ["closer", "hook"]);
});

for (
  const [kind, beforeSoftstop] of [
    ["throws", () => {
      throw new Error("a fault");
    }],
    ["rejects", () => Promise.reject(new Error("a fault"))],
  ] as const
) {
  Deno.test(`ServerLifecycle.softstop() goes on when the hook ${kind}`, async () => {
    const server = setup({ beforeSoftstop });
    server.lifecycle.softstop();
    assertEquals(await server.ended(), true);
    assertEquals(server.told, [["draining", 30], ["error", "a fault"]]);
  });
}

Deno.test("ServerLifecycle.softstop() counts once", async () => {
  let calls = 0;
  const server = setup({ softstopSeconds: 5, beforeSoftstop: () => void calls++ });
  server.lifecycle.softstop();
  server.clock.advance(3000);
  server.lifecycle.softstop();
  await settled();
  assertEquals(calls, 1);
  assertEquals(server.told, [["draining", 5]]);
  await endsAfter(server, 2);
});

Deno.test("ServerLifecycle.stopNotify(0) ends at once, whatever is under way", async () => {
  const server = setup();
  busy(server);
  server.lifecycle.stopNotify(0);
  assertEquals(await server.ended(), true);
  assertEquals(server.lifecycle.accepting, false);
});

Deno.test("ServerLifecycle.stopNotify() goes on accepting until its time", async () => {
  const server = setup();
  server.lifecycle.stopNotify(2);
  assertEquals(server.lifecycle.accepting, true);
  await endsAfter(server, 2);
  assertEquals(server.lifecycle.accepting, false);
});

Deno.test("ServerLifecycle.stopNotify() takes the earliest of several calls", async () => {
  const server = setup();
  server.lifecycle.stopNotify(10);
  server.lifecycle.stopNotify(3);
  server.lifecycle.stopNotify(20);
  server.clock.advance(1000);
  server.lifecycle.stopNotify(2);
  await endsAfter(server, 2);
});

Deno.test("ServerLifecycle.stopNotify() shortens a soft stop, and does not lengthen it", async () => {
  const shortened = setup({ softstopSeconds: 10 });
  shortened.lifecycle.softstop();
  shortened.lifecycle.stopNotify(4);
  await endsAfter(shortened, 4);

  const kept = setup({ softstopSeconds: 10 });
  kept.lifecycle.stopNotify(60);
  kept.lifecycle.softstop();
  await endsAfter(kept, 10);
});

Deno.test("ServerLifecycle.finishWithin() stops accepting and ends when idle", async () => {
  const server = setup({ softstopSeconds: 60 });
  let closed = 0;
  server.lifecycle.onStopAccepting(() => closed++);
  const finish = busy(server);
  server.lifecycle.finishWithin(1);
  assertEquals(closed, 1);
  assertEquals(await server.ended(), false);
  finish();
  assertEquals(await server.ended(), true);
});

Deno.test("ServerLifecycle.finishWithin() ends after its time at the latest", async () => {
  const server = setup();
  busy(server);
  server.lifecycle.finishWithin(1);
  await endsAfter(server, 1);
});

Deno.test("ServerLifecycle.finishWithin() shortens a soft stop that waits for M", async () => {
  const server = setup({ softstopSeconds: 60 });
  const finish = busy(server);
  server.lifecycle.softstop();
  server.lifecycle.finishWithin(1);
  finish();
  assertEquals(await server.ended(), true);
});

for (
  const { softstopSeconds, seconds } of [
    { softstopSeconds: undefined, seconds: 3600 },
    { softstopSeconds: 0, seconds: 3600 },
    { softstopSeconds: 7, seconds: 7 },
  ]
) {
  Deno.test(`ServerLifecycle.detach() with M = ${softstopSeconds} ends after ${seconds} s, idle or not`, async () => {
    let hooks = 0, closed = 0;
    const server = setup({ softstopSeconds, beforeSoftstop: () => void hooks++ });
    server.lifecycle.onStopAccepting(() => closed++);
    server.lifecycle.detach();
    assertEquals([closed, server.lifecycle.accepting], [1, false]);
    server.lifecycle.detach();
    server.lifecycle.softstop();
    await settled();
    assertEquals([server.told, hooks, closed], [["detach"], 0, 1]);
    await endsAfter(server, seconds);
  });
}

Deno.test("ServerLifecycle.detach() is ignored once the server has been told to stop", async () => {
  const server = setup({ softstopSeconds: 5 });
  server.lifecycle.softstop();
  server.lifecycle.detach();
  assertEquals(server.told, [["draining", 5]]);
  await endsAfter(server, 5);
});

Deno.test("ServerLifecycle.onStopAccepting() calls each closer once, whatever ends the server", async () => {
  for (
    const stop of [
      (lifecycle: ServerLifecycle) => lifecycle.softstop(),
      (lifecycle: ServerLifecycle) => lifecycle.stopNotify(0),
      (lifecycle: ServerLifecycle) => lifecycle.finishWithin(1),
      (lifecycle: ServerLifecycle) => lifecycle.detach(),
      (lifecycle: ServerLifecycle) => lifecycle.close(),
    ]
  ) {
    const { lifecycle } = setup();
    const closed: string[] = [];
    lifecycle.onStopAccepting(() => {
      closed.push("one");
      // As a listener's close() may, whatever it is that closes it.
      lifecycle.stopNotify(0);
    });
    const takeBack = lifecycle.onStopAccepting(() => closed.push("taken back"));
    lifecycle.onStopAccepting(() => closed.push("two"));
    takeBack();
    stop(lifecycle);
    stop(lifecycle);
    lifecycle.close();
    await settled();
    assertEquals(closed.toSorted(), ["one", "two"], String(stop));
  }
});

Deno.test("ServerLifecycle.onStopAccepting() calls a late closer at once, and once", async () => {
  const { lifecycle, ended } = setup();
  lifecycle.softstop();
  assertEquals(await ended(), true);
  let closed = 0;
  const takeBack = lifecycle.onStopAccepting(() => closed++);
  assertEquals(closed, 1);
  takeBack();
  lifecycle.close();
  assertEquals(closed, 1);
});

Deno.test("ServerLifecycle calls the other closers when one throws", async () => {
  const server = setup();
  const closed: string[] = [];
  server.lifecycle.onStopAccepting(() => {
    throw new Error("a fault");
  });
  server.lifecycle.onStopAccepting(() => closed.push("two"));
  server.lifecycle.softstop();
  assertEquals(closed, ["two"]);
  assertEquals(await server.ended(), true);
  assertEquals(server.told, [["error", "a fault"], ["draining", 30]]);
});

Deno.test("ServerLifecycle.close() ends all sources, and the server", async () => {
  const server = setup();
  let closed = 0;
  server.lifecycle.waitFor({ count: 1, closeAll: () => closed++ });
  server.lifecycle.close();
  assertEquals(closed, 1);
  assertEquals(await server.ended(), true);
});

Deno.test("ServerLifecycle.own() refuses a second server in the process", () => {
  const { lifecycle } = setup();
  assertThrows(
    () =>
      lifecycle.own({
        softstopSeconds: 0,
        drainSeconds: 30,
        onDraining() {},
        onDetach() {},
        onError() {},
      }),
    Error,
    "Cannot run a second server in this process",
  );
});

Deno.test("ServerLifecycle.softstop() before there is an owner counts from then on", async () => {
  const clock = new FakeClock();
  const lifecycle = new ServerLifecycle(clock);
  let closed = 0;
  lifecycle.onStopAccepting(() => closed++);
  lifecycle.softstop();
  assertEquals([lifecycle.accepting, closed], [true, 0]);
  const told: number[] = [];
  lifecycle.own({
    softstopSeconds: 5,
    drainSeconds: 30,
    onDraining: (seconds) => told.push(seconds),
    onDetach() {},
    onError() {},
  });
  assertEquals([lifecycle.accepting, closed, told], [false, 1, [5]]);
  clock.advance(5000);
  await lifecycle.stopped;
});

Deno.test("ServerLifecycle without an owner ignores detach(), and heeds stopNotify()", async () => {
  const lifecycle = new ServerLifecycle(new FakeClock());
  lifecycle.detach();
  assertEquals(lifecycle.accepting, true);
  lifecycle.stopNotify(0);
  await lifecycle.stopped;
});

Deno.test("ServerLifecycle.stopNotify() refuses a value that is no number, and goes on", async () => {
  const server = setup();
  assertThrows(() => server.lifecycle.stopNotify(NaN), RangeError, 'Cannot stop after "NaN"');
  server.lifecycle.stopNotify(Infinity);
  assertEquals([server.clock.pending, await server.ended()], [0, false]);
});
