import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { setRepeated, systemClock, within as withinLimit } from "../../../src/os/clock/clock.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { startFunction } from "../../support/processes.ts";
import { within } from "../../support/wait.ts";

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
  assertGreaterOrEqual(systemClock.nowMs() - start, 30);
  await new Promise<void>((resolve) => systemClock.setTimer(40, resolve));
  assertEquals(calls, 1);
});

Deno.test("systemClock.setTimer() calls back soon with a delay of 0, less or none", async () => {
  for (const delayMs of [0, -1, -Infinity, NaN]) {
    const fired = new Promise<void>((resolve) => systemClock.setTimer(delayMs, resolve));
    await within(fired, { what: "the timer" });
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

Deno.test("systemClock.setTimer() calls in the order of the times, whatever was set first", async () => {
  const order: number[] = [];
  await new Promise<void>((resolve) => {
    systemClock.setTimer(40, resolve);
    for (const delayMs of [30, 10, 20]) systemClock.setTimer(delayMs, () => order.push(delayMs));
  });
  assertEquals(order, [10, 20, 30]);
});

Deno.test("systemClock.setTimer() takes any delay, where setTimeout() would fire at once", async () => {
  let calls = 0;
  const timers = [2 ** 31, 2 ** 40, Infinity].map((delayMs) =>
    systemClock.setTimer(delayMs, () => calls++)
  );
  await new Promise<void>((resolve) => systemClock.setTimer(20, resolve));
  assertEquals(calls, 0);
  timers.forEach((timer) => timer.cancel());
});

Deno.test("systemClock.setTimer() never calls a timer that another one takes back or sets", async () => {
  const told: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.setTimer(5, () => {
      told.push("first");
      second.cancel();
      // Behind the third, however late this one is.
      systemClock.setTimer(50, () => told.push("set by the first"));
      // For both to be due.
      const startMs = performance.now();
      while (performance.now() - startMs < 60);
    });
    const second = systemClock.setTimer(6, () => told.push("second"));
    systemClock.setTimer(7, () => {
      told.push("third");
      systemClock.setTimer(100, resolve);
    });
  });
  assertEquals(told, ["first", "third", "set by the first"]);
});

Deno.test("systemClock.setTimer() lets the others fire when one throws, and the error be told", async () => {
  const errors: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.error);
  };
  addEventListener("error", onError);
  try {
    const error = new Error("thrown in a timer");
    await new Promise<void>((resolve) => {
      systemClock.setTimer(5, () => {
        throw error;
      });
      systemClock.setTimer(5, resolve);
    });
    assertEquals(errors, [error]);
  } finally {
    removeEventListener("error", onError);
  }
});

Deno.test("systemClock keeps a process until its last timer has fired or was taken back", async () => {
  await using child = startFunction(import.meta, async () => {
    const { systemClock } = await import("../../../src/os/clock/clock.ts");
    const hour = systemClock.setTimer(3_600_000, () => console.log("too late"));
    systemClock.setTimer(10, () => {
      console.log("fired");
      hour.cancel();
    });
  });
  assertEquals(await child.succeeds(), "fired\n");
});

Deno.test("setRepeated() calls again and again until it is taken back, by its own call as well", () => {
  const clock = new FakeClock();
  let calls = 0;
  const timer = setRepeated(clock, {
    everyMs: 100,
    callback() {
      if (++calls === 3) timer.cancel();
    },
  });
  clock.advance(299);
  assertEquals(calls, 2);
  clock.advance(10_000);
  assertEquals(calls, 3);
});

Deno.test("within() waits for a promise no longer than its time, and leaves no timer", async () => {
  const clock = new FakeClock(), limit = { ms: 100, clock };
  const inTime = withinLimit(Promise.resolve("done"), { ...limit, late: () => "late" });
  assertEquals([await inTime, clock.pending], ["done", 0]);
  const late = withinLimit(new Promise<string>(() => {}), { ...limit, late: () => "late" });
  const failing = withinLimit(new Promise<string>(() => {}), {
    ...limit,
    late: () => {
      throw new TypeError("too late");
    },
  });
  clock.advance(100);
  assertEquals(await late, "late");
  await assertRejects(() => failing, TypeError, "too late");
});
