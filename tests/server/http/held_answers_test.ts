import { assertEquals } from "@std/assert";
import { ClientPace } from "../../../src/server/http/client_pace.ts";
import { HeldAnswers } from "../../../src/server/http/held_answers.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

/** Held answers of a server with as many requests under way as a test says. */
function scene(underWay: number, { mayGo = true, clients = 0 } = {}) {
  const clock = new FakeClock();
  const state = { underWay, released: [] as boolean[], given: 0 };
  const paces = Array.from({ length: clients }, () => new ClientPace());
  const held = new HeldAnswers({
    underWay: () => state.underWay,
    paces: () => paces,
    released: (all) => {
      state.released.push(all);
      return mayGo;
    },
  }, clock);
  const hold = () => held.hold(new Response()).then(() => state.given++);
  const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
  return { clock, state, paces, held, hold, settled };
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

Deno.test("HeldAnswers releases after the last answer that was missing", async () => {
  const { clock, state, held, hold, settled } = scene(2);
  held.begin();
  hold();
  clock.advance(120);
  await settled();
  assertEquals(state.given, 0);
  hold();
  clock.advance(10);
  await settled();
  assertEquals([state.given, state.released], [2, [true]]);
});

Deno.test("HeldAnswers waits for each client's requests, however many another one has sent", () => {
  const { clock, state, paces, held, hold } = scene(0, { clients: 2 });
  // Each has had its requests answered, one after the other: never more than two were pending.
  for (const pace of paces) {
    pace.begun(clock.nowMs());
    pace.begun(clock.nowMs());
    pace.answered(clock.nowMs());
    pace.answered(clock.nowMs());
  }
  held.begin();
  const ask = (pace: ClientPace) => {
    state.underWay++;
    pace.begun(clock.nowMs());
    hold();
  };
  for (const _ of "12") ask(paces[0]);
  clock.advance(200);
  for (const _ of "12") ask(paces[1]);
  assertEquals(state.released, []);
  // The second may pause for another 200 ms, as it just did.
  clock.advance(499);
  assertEquals(state.released, []);
  clock.advance(1);
  assertEquals(state.released, [true]);
});

Deno.test("HeldAnswers waits for as many requests as there were, twice at most", () => {
  const { clock, state, paces: [pace], held, hold } = scene(1, { clients: 1 });
  pace.begun(clock.nowMs());
  pace.begun(clock.nowMs());
  pace.answered(clock.nowMs());
  held.begin();
  hold();
  // One of two has not come again.
  clock.advance(249);
  assertEquals(held.isHolding, true);
  clock.advance(1);
  assertEquals([state.released, held.isHolding], [[], false]);
  // From now on one is all that there is.
  clock.advance(500);
  held.begin();
  hold();
  clock.advance(100);
  assertEquals(state.released, [true]);
});

Deno.test("HeldAnswers does not wait for a client that never is silent", () => {
  const { clock, state, paces: [pace], held, hold } = scene(0, { clients: 1 });
  held.begin();
  while (held.isHolding) {
    state.underWay++;
    pace.begun(clock.nowMs());
    hold();
    clock.advance(10);
  }
  assertEquals([state.released, state.underWay], [[true], 25]);
});

Deno.test("HeldAnswers draws no conclusion when it checks late", () => {
  const { clock, state, paces: [pace], held, hold } = scene(1, { clients: 1 });
  pace.begun(clock.nowMs());
  held.begin();
  hold();
  clock.advance(90);
  // The process did not run, and has not read what has come.
  clock.sleep(60);
  assertEquals(state.released, []);
  state.underWay++;
  pace.begun(clock.nowMs());
  hold();
  clock.advance(50);
  assertEquals(state.released, []);
  // As long as the client seems to pause.
  clock.advance(350);
  assertEquals(state.released, [true]);
});

Deno.test("HeldAnswers releases responses at the time limit, and begins again later, for longer", async () => {
  const { clock, state, held, hold, settled } = scene(2, { mayGo: false });
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
