import { assertEquals, assertGreaterOrEqual, assertLess, assertLessOrEqual } from "@std/assert";
import { CountedTime, LATE_MS, LOOK_MS } from "../../../src/os/clock/counted_time.ts";

/** A monotonic clock that a test sets, and the time that counts of it. */
function scene() {
  const state = { rawMs: 5_000 };
  const time = new CountedTime(() => state.rawMs);
  return {
    time,
    /** Lets the process run for a time in which nothing looks at the clock. */
    pass: (ms: number) => state.rawMs += ms,
    /** How long it is until the alarm rings. */
    ringsIn: (dueMs: number) => time.alarmMs(dueMs) - state.rawMs,
  };
}

Deno.test("CountedTime is the monotonic clock while alarms come in time", () => {
  const { time, pass, ringsIn } = scene();
  assertEquals(time.nowMs(), 5_000);
  assertEquals(ringsIn(5_100), 100);
  pass(100 + LATE_MS);
  assertEquals(time.rung(), 5_100 + LATE_MS);
  assertEquals([time.nowMs(), time.awayAtMs], [5_100 + LATE_MS, -Infinity]);
  // Without a timer a suspension does not show, and does not matter.
  time.alarmMs(Infinity);
  pass(1e9);
  assertEquals(time.nowMs(), 5_100 + LATE_MS + 1e9);
});

Deno.test("CountedTime gives back all of the last second before an alarm that comes late", () => {
  const { time, pass, ringsIn } = scene();
  ringsIn(time.nowMs() + 800);
  pass(100);
  assertEquals(time.nowMs(), 5_100);
  pass(60_000);
  assertEquals([time.nowMs(), time.awayAtMs], [5_100, 5_100]);
  time.rung();
  pass(2_000);
  // So does the next time, when it has run for a second.
  ringsIn(time.nowMs() + 800);
  pass(60_000);
  assertEquals([time.nowMs(), time.awayAtMs], [7_100, 7_100]);
  assertEquals(ringsIn(7_900), 800);
});

Deno.test("CountedTime tests the time halfway to a timer that is due in more than a second", () => {
  const { time, pass, ringsIn } = scene();
  const dueMs = time.nowMs() + 30_000;
  let looks = 0;
  for (let leftMs = 30_000; leftMs > 0; leftMs = dueMs - time.nowMs()) {
    const inMs = ringsIn(dueMs);
    assertEquals(inMs, leftMs > LOOK_MS ? Math.max(LOOK_MS, leftMs / 2) : leftMs);
    pass(inMs);
    time.rung();
    looks++;
  }
  assertEquals(looks, 6);
});

for (const stoppedAtMs of [0, 1_000, 20_000, 29_000]) {
  Deno.test(`CountedTime leaves half of what was left of 30 s, stopped after ${stoppedAtMs} ms`, () => {
    const { time, pass, ringsIn } = scene();
    const dueMs = time.nowMs() + 30_000;
    for (let ranMs = 0; ranMs < stoppedAtMs;) {
      const stepMs = Math.min(ringsIn(dueMs), stoppedAtMs - ranMs);
      pass(stepMs);
      time.rung();
      ranMs += stepMs;
    }
    const leftMs = 30_000 - stoppedAtMs;
    ringsIn(dueMs);
    pass(3_600_000);
    const stillMs = dueMs - time.nowMs();
    assertGreaterOrEqual(stillMs, leftMs / 2);
    assertLessOrEqual(stillMs, leftMs);
  });
}

Deno.test("CountedTime goes on all the same on a machine on which every alarm is late", () => {
  const { time, pass } = scene();
  const dueMs = time.nowMs() + 10_000;
  let rings = 0;
  for (; time.nowMs() < dueMs; rings++) {
    time.alarmMs(dueMs);
    pass(2_000);
    time.rung();
  }
  assertLess(rings, 20);
});

Deno.test("CountedTime counts what is done by what was due, however long that takes", () => {
  const { time, pass } = scene();
  time.alarmMs(time.nowMs() + 100);
  pass(100);
  assertEquals(time.rung(), 5_100);
  pass(10_000);
  assertEquals(time.nowMs(), 15_100);
});

Deno.test("CountedTime never goes backwards", () => {
  const { time, pass } = scene();
  let random = 1;
  const next = (below: number) => (random = random * 48_271 % 2_147_483_647) % below;
  let lastMs = time.nowMs();
  for (let i = 0; i < 10_000; i++) {
    pass(next(3_000));
    if (next(3) === 0) time.alarmMs(time.nowMs() + next(20_000));
    if (next(3) === 0) time.rung();
    const nowMs = time.nowMs();
    assertGreaterOrEqual(nowMs, lastMs);
    lastMs = nowMs;
  }
});
