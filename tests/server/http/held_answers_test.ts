import { assertEquals } from "@std/assert";
import { HeldAnswers } from "../../../src/server/http/held_answers.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

/** Held answers of a server with as many requests under way as a test says. */
function scene(underWay: number, mayGo = true) {
  const clock = new FakeClock();
  const state = { underWay, released: [] as boolean[], given: 0 };
  const held = new HeldAnswers(() => state.underWay, (all) => {
    state.released.push(all);
    return mayGo;
  }, clock);
  const hold = () => held.hold(new Response()).then(() => state.given++);
  const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
  return { clock, state, held, hold, settled };
}

Deno.test("HeldAnswers holds answers until all are there, for a moment at least", async () => {
  const { clock, state, held, hold, settled } = scene(2);
  await hold();
  assertEquals([state.given, held.isHolding], [1, false]);
  held.begin();
  hold();
  clock.advance(50);
  hold();
  await settled();
  assertEquals([state.given, state.released], [1, []]);
  clock.advance(50);
  await settled();
  assertEquals([state.given, state.released, held.isHolding], [3, [true], false]);
});

Deno.test("HeldAnswers releases at the last answer that was missing", async () => {
  const { clock, state, held, hold, settled } = scene(2);
  held.begin();
  hold();
  clock.advance(120);
  await settled();
  assertEquals(state.given, 0);
  hold();
  await settled();
  assertEquals([state.given, state.released], [2, [true]]);
});

Deno.test("HeldAnswers waits for as many requests over HTTP/2 as there were, twice at most", async () => {
  const { clock, state, held, hold, settled } = scene(1);
  const answered = Promise.withResolvers<void>();
  held.countUntil(answered.promise);
  const begin = () => {
    const completed = Promise.withResolvers<void>();
    held.countUntil(completed.promise);
    return completed;
  };
  begin();
  answered.resolve();
  await settled();
  held.begin();
  hold();
  // One of two has not come again.
  clock.advance(249);
  assertEquals(state.released, []);
  clock.advance(1);
  assertEquals([state.released, held.isHolding], [[], false]);
  // From now on one is all that there is.
  clock.advance(500);
  held.begin();
  hold();
  clock.advance(100);
  await settled();
  assertEquals(state.released, [true]);
  held.begin();
  state.underWay = 2;
  hold();
  clock.advance(100);
  assertEquals(state.released, [true]);
  begin();
  hold();
  assertEquals(state.released, [true, true]);
});

Deno.test("HeldAnswers releases responses at the time limit, and begins again later, for longer", async () => {
  const { clock, state, held, hold, settled } = scene(2, false);
  held.begin();
  hold();
  clock.advance(250);
  await settled();
  assertEquals([state.given, state.released], [1, [false]]);
  held.begin();
  assertEquals(held.isHolding, false);
  clock.advance(500);
  held.begin();
  assertEquals(held.isHolding, true);
  clock.advance(499);
  assertEquals(state.released, [false]);
  clock.advance(1);
  assertEquals(state.released, [false, false]);
});
