import { assertEquals } from "@std/assert";
import { TimerQueue, type WaitingTimer } from "../../../src/os/clock/timer_queue.ts";

/** Takes all timers out that are due, in their order. */
function takeDue(queue: TimerQueue, nowMs = Infinity): WaitingTimer[] {
  const taken: WaitingTimer[] = [];
  for (let timer; (timer = queue.firstDue(nowMs)) !== undefined;) {
    queue.remove(timer);
    taken.push(timer);
  }
  return taken;
}

const nothing = () => {};

Deno.test("TimerQueue gives timers in the order of their times, then in that of their setting", () => {
  const queue = new TimerQueue();
  const times = [5, 1, 5, 3, 1, 9, 5];
  times.forEach((atMs) => queue.add(atMs, nothing));
  const serials = takeDue(queue).map(({ serial }) => serial);
  assertEquals(serials, [1, 4, 3, 0, 2, 6, 5]);
});

Deno.test("TimerQueue.firstDue() gives nothing before its time", () => {
  const queue = new TimerQueue();
  assertEquals([queue.firstMs, queue.firstDue(1_000)], [Infinity, undefined]);
  const timer = queue.add(10, nothing);
  assertEquals([queue.firstMs, queue.firstDue(9.9)], [10, undefined]);
  assertEquals(queue.firstDue(10), timer);
});

Deno.test("TimerQueue.remove() takes a timer out once, wherever it is", () => {
  const queue = new TimerQueue();
  const timers = [4, 2, 6, 1, 3, 5, 7].map((atMs) => queue.add(atMs, nothing));
  assertEquals(timers.filter(({ atMs }) => atMs % 2 === 1).map((one) => queue.remove(one)), [
    true,
    true,
    true,
    true,
  ]);
  assertEquals(queue.remove(timers[3]), false);
  assertEquals(takeDue(queue).map(({ atMs }) => atMs), [2, 4, 6]);
  assertEquals(queue.firstMs, Infinity);
});

Deno.test("TimerQueue keeps its order whatever is set and taken back (random)", () => {
  // A small generator, so that a failure happens again.
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const queue = new TimerQueue();
  const expected = new Set<WaitingTimer>();
  const inOrder = () =>
    [...expected].sort((one, other) => one.atMs - other.atMs || one.serial - other.serial);
  for (let round = 0; round < 3_000; round++) {
    if (random(3) > 0 || expected.size === 0) expected.add(queue.add(random(200), nothing));
    else {
      const one = [...expected][random(expected.size)];
      assertEquals(queue.remove(one), true);
      expected.delete(one);
    }
    if (round % 50 > 0) continue;
    const [first] = inOrder();
    assertEquals(queue.firstDue(Infinity), first);
    const due = takeDue(queue, first?.atMs ?? 0);
    assertEquals(due, inOrder().slice(0, due.length));
    due.forEach((timer) => expected.delete(timer));
  }
  assertEquals(takeDue(queue), inOrder());
});
