import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { systemClock } from "../../src/os/clock.ts";
import { within } from "../support/wait.ts";

Deno.test("systemClock.nowMs() only goes forward, whatever the time of day does", () => {
  const realNow = Date.now;
  try {
    const before = systemClock.nowMs();
    Date.now = () => realNow() - 3_600_000;
    assertGreaterOrEqual(systemClock.nowMs(), before);
    assert(systemClock.nowMs() - before < 60_000);
  } finally {
    Date.now = realNow;
  }
});

Deno.test("systemClock.setTimer() calls back once, after its delay", async () => {
  const start = systemClock.nowMs();
  let calls = 0;
  const fired = new Promise<void>((resolve) =>
    systemClock.setTimer(30, () => {
      calls++;
      resolve();
    })
  );
  await within(fired, { what: "the timer" });
  // Timers count whole milliseconds.
  assertGreaterOrEqual(systemClock.nowMs() - start, 29);
  await new Promise<void>((resolve) => systemClock.setTimer(40, resolve));
  assertEquals(calls, 1);
});

Deno.test("systemClock.setTimer() calls back soon with a delay of 0 or less", async () => {
  for (const delayMs of [0, -1, -Infinity]) {
    const fired = new Promise<void>((resolve) => systemClock.setTimer(delayMs, resolve));
    await within(fired, { what: "the timer", withinMs: 2_000 });
  }
});

Deno.test("Timer.cancel() takes a timer back, and is harmless once it has fired", async () => {
  let calls = 0;
  const cancelled = systemClock.setTimer(5, () => calls++);
  cancelled.cancel();
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    const fired = systemClock.setTimer(20, () => {
      fired.cancel();
      resolve();
    });
  });
  assertEquals(calls, 0);
});

Deno.test("systemClock.setTimer() takes any delay, where setTimeout() would fire at once", () => {
  const { setTimeout, clearTimeout } = globalThis;
  const set: { delayMs: number; fire: () => void }[] = [];
  const cleared: unknown[] = [];
  try {
    Object.assign(globalThis, {
      setTimeout: (fire: () => void, delayMs: number) => set.push({ delayMs, fire }),
      clearTimeout: (id: unknown) => cleared.push(id),
    });
    const longest = 2 ** 31 - 1;
    let calls = 0;
    const timer = systemClock.setTimer(2 * longest + 7, () => calls++);
    for (const delayMs of [longest, longest, 7]) {
      assertEquals([set.at(-1)?.delayMs, calls], [delayMs, 0]);
      set.at(-1)?.fire();
    }
    assertEquals([set.length, calls], [3, 1]);

    systemClock.setTimer(longest, () => calls++);
    assertEquals(set.at(-1)?.delayMs, longest);
    set.at(-1)?.fire();
    assertEquals(calls, 2);

    const never = systemClock.setTimer(Infinity, () => calls++);
    set.at(-1)?.fire();
    assertEquals([set.at(-1)?.delayMs, calls], [longest, 2]);
    never.cancel();
    assertEquals(cleared, [set.length], "the step that is under way is taken back");
    timer.cancel();
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
});
