/** The counts of a master, and their way to the other master of an upgrade. */
import { assertEquals } from "@std/assert";
import { DRAIN_BUCKETS_MS, END_REASONS } from "../../../src/control/status.ts";
import type { Increment } from "../../../src/master/counters/increment_sums.ts";
import { Counters } from "../../../src/master/counters/counters.ts";
import { CountForwarding } from "../../../src/master/counters/forwarding.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";

Deno.test("Counters.of() has every reason and bucket from the first look on", () => {
  const { ends, accepted, drains, starts } = new Counters().of("a.cf");
  assertEquals(ends, Object.fromEntries(END_REASONS.map((one) => [one, 0])));
  assertEquals([starts, accepted], [0, null]);
  assertEquals(drains, {
    count: 0,
    totalMs: 0,
    killed: 0,
    buckets: DRAIN_BUCKETS_MS.map(() => 0),
  });
});

Deno.test("Counters.drained() counts each drain in its bucket and in all larger ones", () => {
  const counters = new Counters();
  for (const ms of [100, 101, 10_000_000]) counters.drained("a", { ms, isKilled: ms > 1000 });
  assertEquals(counters.of("a").drains, {
    count: 3,
    totalMs: 10_000_201,
    killed: 1,
    buckets: [1, 2, 2, 2, 2, 2, 2, 2],
  });
});

Deno.test("Counters.forwardTo() passes all counts on once, and each later one, but none back", () => {
  const old = new Counters(), young = new Counters(), clock = new FakeClock();
  const [toYoung, toOld] = [new CountForwarding(clock), new CountForwarding(clock)];
  old.started("a");
  old.accepted("a", 5);
  old.ofMaster("reloads.committed");
  old.forwardTo(toYoung, { all: true });
  young.forwardTo(toOld);
  toYoung.begin((some) => (young.adopt(some, toOld), true));
  toOld.begin((some) => (old.adopt(some, toYoung), true));
  old.accepted("a", 2);
  young.started("a");
  young.accepted("a", 1);
  old.flush();
  young.flush();
  clock.advance(10_000);
  const { starts, accepted } = old.of("a");
  assertEquals([starts, accepted], [2, 8]);
  assertEquals(young.of("a"), old.of("a"));
  assertEquals(young.master.reloads, { committed: 1, rolledBack: 0, refused: 0 });
});

Deno.test("CountForwarding keeps increments while the other master does not read, and adds them up", () => {
  const clock = new FakeClock(), way = new CountForwarding(clock), sent: Increment[] = [];
  let isFull = true;
  way.begin((some) => (isFull || sent.push(...some), !isFull));
  for (let count = 0; count < 1_200; count++) way.add([`s${count % 600}`, "starts", 1]);
  way.flush();
  assertEquals(sent, []);
  isFull = false;
  clock.advance(1_000);
  assertEquals(sent.length, 600);
  assertEquals(new Set(sent.map(([, , by]) => by)), new Set([2]));
});

Deno.test("CountForwarding.stop() drops what waits", () => {
  const clock = new FakeClock(), way = new CountForwarding(clock), counters = new Counters();
  counters.forwardTo(way);
  let sent = 0;
  way.begin(() => (sent++, true));
  counters.started("a");
  counters.leave(way);
  counters.started("a");
  counters.flush();
  clock.advance(1_000);
  assertEquals(sent, 0);
});

Deno.test("Counters forgets services that the master does not know once there are many", () => {
  const counters = new Counters();
  counters.isKnown = (service) => service === "kept";
  counters.ofMaster("upgrades.failed");
  counters.started("kept");
  for (let index = 0; index < 5_000; index++) counters.started(`gone${index}`);
  const kept = Array.from({ length: 5_000 }, (_, index) => counters.of(`gone${index}`).starts);
  assertEquals(kept.filter((starts) => starts > 0).length, 998);
  assertEquals(counters.of("kept").starts, 1);
  assertEquals(counters.master.upgrades.failed, 1);
});

Deno.test("Counters stays a number that a message can have", () => {
  const counters = new Counters();
  counters.accepted("a", Number.MAX_SAFE_INTEGER);
  counters.accepted("a", Number.MAX_SAFE_INTEGER);
  assertEquals(counters.of("a").accepted, Number.MAX_SAFE_INTEGER);
});
