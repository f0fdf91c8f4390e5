import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { Alarm } from "../../../src/os/clock/alarm.ts";
import { startFunction } from "../../support/processes.ts";
import { within } from "../../support/wait.ts";

const LONGEST_MS = 2 ** 31 - 1;

/** A signal of the runtime that comes when the test says so. */
interface FakeSignal extends EventTarget {
  readonly delayMs: number;
  aborted: boolean;
  listeners: number;
}

/** Runs a test with signals that it rings itself; all that were made are passed to it. */
function withFakeSignals(
  test: (signals: readonly FakeSignal[], ring: (signal: FakeSignal) => void) => void,
): void {
  const { timeout } = AbortSignal;
  const signals: FakeSignal[] = [];
  AbortSignal.timeout = (delayMs) => {
    const target = new EventTarget();
    const { addEventListener, removeEventListener } = target;
    const signal: FakeSignal = Object.assign(target, {
      delayMs,
      aborted: false,
      listeners: 0,
      addEventListener(...args: Parameters<typeof addEventListener>) {
        signal.listeners++;
        addEventListener.apply(target, args);
      },
      removeEventListener(...args: Parameters<typeof removeEventListener>) {
        signal.listeners--;
        removeEventListener.apply(target, args);
      },
    });
    signals.push(signal);
    return signal as unknown as AbortSignal;
  };
  try {
    test(signals, (signal) => {
      signal.aborted = true;
      signal.dispatchEvent(new Event("abort"));
    });
  } finally {
    AbortSignal.timeout = timeout;
  }
}

Deno.test("Alarm rings from the event loop, at the earliest time that was set", async () => {
  const rung = Promise.withResolvers<void>();
  const alarm = new Alarm(rung.resolve);
  const startMs = performance.now();
  alarm.set(startMs + 60_000);
  alarm.set(startMs + 20);
  await within(rung.promise, { what: "the alarm" });
  // Timers of the runtime count whole milliseconds.
  assertGreaterOrEqual(performance.now() - startMs, 19);
  alarm.set(Infinity);
});

Deno.test("Alarm takes a new signal of the runtime only for a time before all others", () => {
  withFakeSignals((signals, ring) => {
    let rings = 0;
    const alarm = new Alarm(() => rings++);
    const nowMs = performance.now();
    // As a timer does that is set and taken back again and again.
    for (let round = 0; round < 1_000; round++) {
      alarm.set(nowMs + 50_000 + round);
      alarm.set(Infinity);
    }
    assertEquals(signals.map(({ listeners }) => listeners), [0]);

    alarm.set(nowMs + 30_000);
    alarm.set(nowMs + 40_000);
    assertEquals(signals.map(({ listeners }) => listeners), [0, 1]);
    ring(signals[1]);
    assertEquals(rings, 1);
    // The first one comes in time for this.
    alarm.set(nowMs + 50_000);
    assertEquals([signals.length, signals[0].listeners], [2, 1]);
    ring(signals[0]);
    assertEquals(rings, 2);
  });
});

Deno.test("Alarm does not wait for a signal that has fired without a listener", () => {
  withFakeSignals((signals, ring) => {
    const alarm = new Alarm(() => {});
    const atMs = performance.now() + 1_000;
    alarm.set(atMs);
    alarm.set(Infinity);
    ring(signals[0]);
    alarm.set(atMs + 1_000);
    assertEquals(signals.length, 2);
    assertEquals(signals[1].listeners, 1);
  });
});

Deno.test("Alarm reaches a time in steps that is too far for one signal", () => {
  withFakeSignals((signals, ring) => {
    let rings = 0;
    const alarm = new Alarm(() => rings++);
    const atMs = performance.now() + 3 * LONGEST_MS;
    for (const step of [1, 2, 3]) {
      alarm.set(atMs);
      assertEquals([signals.length, signals.at(-1)?.delayMs], [step, LONGEST_MS]);
      ring(signals.at(-1)!);
      assertEquals(rings, step);
    }
  });
});

Deno.test("Alarm lets the runtime end while it is not set, and no sooner", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Alarm } = await import("../../../src/os/clock/alarm.ts");
    const alarm = new Alarm(() => {
      console.log("rung");
      alarm.set(performance.now() + 3_600_000);
      alarm.set(Infinity);
    });
    alarm.set(performance.now() + 3_600_000);
    alarm.set(performance.now() + 10);
  });
  assertEquals(await child.succeeds(), "rung\n");
});

Deno.test("Alarm does not load the modules of setTimeout()", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Alarm } = await import("../../../src/os/clock/alarm.ts");
    const resident = () =>
      Number(/^RssAnon:\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
    const before = resident();
    await new Promise<void>((resolve) => new Alarm(resolve).set(performance.now() + 1));
    const withAlarm = resident() - before;
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    console.log(withAlarm, resident() - before - withAlarm);
  });
  const [withAlarm, withTimeout] = (await child.succeeds()).split(" ").map(Number);
  assert(withAlarm < withTimeout / 2, `${withAlarm} kB for an alarm, ${withTimeout} for a timeout`);
});
