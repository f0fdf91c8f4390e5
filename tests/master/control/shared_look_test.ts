/** The commands of the status socket, and the look that its clients share. */
import { assertEquals, assertRejects } from "@std/assert";
import type { ControlledMaster } from "../../../src/master/control/commands.ts";
import type { Client } from "../../../src/master/control/requests.ts";
import { statusCommands } from "../../../src/master/control/shared_look.ts";
import { Counters } from "../../../src/master/counters/counters.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

const CLIENT: Client = { gone: new AbortController().signal, progress() {}, subscribe() {} };

function scene(look: () => Promise<never[]>) {
  const clock = new FakeClock();
  let looks = 0;
  const master = {
    masterStatus: () => ({ phase: "serving" }),
    services: () => (looks++, look()),
    listeners: () => [],
    counters: () => new Counters().master,
    underWay: () => null,
    lastReload: undefined,
  } as unknown as ControlledMaster;
  const { status, ...others } = statusCommands(master, clock);
  return { clock, others, ask: () => status!({}, CLIENT), looks: () => looks };
}

Deno.test("statusCommands() has the commands that change nothing, and no log", () => {
  const { others } = scene(() => Promise.resolve([]));
  assertEquals(Object.keys(others).sort(), ["events", "hello"]);
});

Deno.test("statusCommands() looks once for all clients that ask within a quarter of a second", async () => {
  const waiting = Promise.withResolvers<never[]>();
  const { clock, ask, looks } = scene(() => waiting.promise);
  const all = Array.from({ length: 100 }, ask);
  // However long a look takes, no second one begins beside it.
  clock.advance(10_000);
  all.push(ask());
  waiting.resolve([]);
  await Promise.all(all);
  await ask();
  assertEquals(looks(), 1);
  clock.advance(249);
  await ask();
  assertEquals(looks(), 1);
  clock.advance(1);
  await ask();
  assertEquals(looks(), 2);
});

Deno.test("statusCommands() looks anew after a failed look", async () => {
  let fails = true;
  const { clock, ask, looks } = scene(() =>
    fails ? Promise.reject(new Error("not now")) : Promise.resolve([])
  );
  await assertRejects(async () => await ask(), Error, "not now");
  fails = false;
  clock.advance(250);
  await ask();
  assertEquals(looks(), 2);
});
