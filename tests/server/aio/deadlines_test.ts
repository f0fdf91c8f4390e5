import { assert, assertEquals } from "@std/assert";
import { AioDeadline, AioDeadlines } from "../../../src/server/aio/deadlines.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Lets the time that was read for what happens at once be forgotten. */
const nextTurn = () => Promise.resolve();

function setUp() {
  const clock = new FakeClock();
  const deadlines = new AioDeadlines(clock);
  const passed: string[] = [];
  const entry = (name: string) => new AioDeadline(() => passed.push(name));
  return { clock, deadlines, passed, entry };
}

Deno.test("AioDeadlines calls entries when their time has passed, in order, with one timer", () => {
  const { clock, deadlines, passed, entry } = setUp();
  for (const ms of [40, 10, 30, 20, 50]) deadlines.arm(entry(`${ms}`), ms);
  assertEquals(clock.pending, 1);
  clock.advance(9);
  assertEquals(passed, []);
  clock.advance(1);
  assertEquals(passed, ["10"]);
  clock.advance(100);
  assertEquals(passed, ["10", "20", "30", "40", "50"]);
  assertEquals(clock.pending, 0);
});

Deno.test("AioDeadlines sets no timer without entries, and none for good with entries at rest", () => {
  const { clock, deadlines, passed, entry } = setUp();
  assertEquals(clock.pending, 0);
  const one = entry("one");
  deadlines.arm(one, 1000);
  one.disarm();
  clock.advance(1000); // The timer finds nothing that waits, and is not set again.
  assertEquals([clock.pending, passed.length], [0, 0]);
  deadlines.arm(one, 1000);
  deadlines.remove(one);
  assertEquals(clock.pending, 0);
  deadlines.remove(one);
});

Deno.test("AioDeadlines ends the timer with the last entry that has a time", async () => {
  const { clock, deadlines, entry } = setUp();
  const resting = entry("resting"), removed = entry("removed");
  deadlines.arm(resting, 10);
  await nextTurn();
  clock.advance(10);
  deadlines.arm(removed, 1000);
  assertEquals(clock.nextInMs, 1000);
  deadlines.remove(removed);
  assertEquals(clock.pending, 0);
  deadlines.arm(resting, 20);
  assertEquals(clock.nextInMs, 20);
});

Deno.test("AioDeadlines moves an entry that is armed again later without another timer", async () => {
  const { clock, deadlines, passed, entry } = setUp();
  const one = entry("one");
  for (let i = 0; i < 10; i++) {
    deadlines.arm(one, 100);
    assertEquals(clock.pending, 1);
    await nextTurn();
    clock.advance(50);
  }
  assertEquals(passed, []);
  clock.advance(49);
  assertEquals(passed, []);
  clock.advance(1);
  assertEquals(passed, ["one"]);
});

Deno.test("AioDeadlines moves an entry that is armed again earlier", () => {
  const { clock, deadlines, passed, entry } = setUp();
  const one = entry("one");
  deadlines.arm(one, 1000);
  deadlines.arm(one, 10);
  clock.advance(10);
  assertEquals(passed, ["one"]);
  clock.advance(2000);
  assertEquals(passed, ["one"]);
});

Deno.test("AioDeadlines takes entries that are armed, or removed, when another one passes", async () => {
  const { clock, deadlines, passed, entry } = setUp();
  const removed = entry("removed");
  const again: AioDeadline = new AioDeadline(() => {
    passed.push("again");
    deadlines.remove(removed);
    if (passed.length < 3) deadlines.arm(again, 10);
  });
  deadlines.arm(again, 10);
  deadlines.arm(removed, 15);
  for (let i = 0; i < 5; i++) {
    clock.advance(10);
    await nextTurn();
  }
  assertEquals(passed, ["again", "again", "again"]);
  assertEquals(clock.pending, 0);
});

Deno.test("AioDeadlines keeps to a plain model over 20,000 random steps", async () => {
  const { clock, deadlines } = setUp();
  let seed = 7;
  const random = (below: number) =>
    (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0, seed >>> 8) % below;
  const expected = new Map<number, number>();
  let lateMs = 0;
  const entries = Array.from({ length: 50 }, (_, i) =>
    new AioDeadline(() => {
      const atMs = expected.get(i);
      assert(atMs !== undefined && atMs <= clock.nowMs(), `entry ${i} passed too early`);
      lateMs = Math.max(lateMs, clock.nowMs() - atMs);
      expected.delete(i);
    }));
  for (let step = 0; step < 20_000; step++) {
    const i = random(entries.length), entry = entries[i]!;
    switch (random(4)) {
      case 0:
      case 1: {
        const ms = random(200);
        deadlines.arm(entry, ms);
        expected.set(i, clock.nowMs() + ms);
        break;
      }
      case 2:
        if (random(2) === 0) entry.disarm();
        else deadlines.remove(entry);
        expected.delete(i);
        break;
      default:
        clock.advance(random(10));
        for (const atMs of expected.values()) assert(atMs > clock.nowMs(), "an entry was missed");
    }
    await nextTurn();
    assert(clock.pending <= 1);
  }
  assertEquals(lateMs, 0);
});
