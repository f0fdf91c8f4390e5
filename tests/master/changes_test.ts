import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Changes, type CurrentChange } from "../../src/master/changes.ts";
import { ServiceError } from "../../src/master/policy/reload_report.ts";
import { FakeClock } from "../fakes/fake_clock.ts";

const nothing = () => Promise.resolve();

Deno.test("Changes run one at a time, in the order of their requests, once the start is over", async () => {
  const changes = new Changes(() => true), order: string[] = [];
  const note = (text: string) => () => {
    order.push(`${text} during ${changes.current?.kind}`);
    return nothing();
  };
  const all = [changes.request("reload", note("one")), changes.request("services", note("two"))];
  assertEquals([order, changes.isWaiting("reload"), changes.isWaiting("upgrade")], [
    [],
    true,
    false,
  ]);
  changes.resume();
  await Promise.all(all);
  await changes.idle;
  assertEquals(order, ["one during reload", "two during services"]);
  await changes.request("upgrade", note("three"));
  assertEquals(order.at(-1), "three during upgrade");
});

Deno.test("Changes.current tells what the change under way is called, and since when", async () => {
  const clock = new FakeClock(), changes = new Changes(() => true, clock);
  const beganMs = clock.nowMs();
  const seen: (CurrentChange | undefined)[] = [];
  const look = () => {
    seen.push(changes.current);
    return nothing();
  };
  changes.resume();
  clock.advance(50);
  await changes.request("services", look, { name: "restart of a.cf" });
  clock.advance(50);
  await changes.request("reload", look);
  await changes.idle;
  seen.push(changes.current);
  assertEquals(
    seen.map((one) => one && [one.kind, one.name, one.sinceMs - beganMs]),
    [["services", "restart of a.cf", 50], ["reload", "reload", 100], undefined],
  );
});

Deno.test("Changes.cancel() rejects what waits and what comes later, until the next resume()", async () => {
  const changes = new Changes(() => true), reason = new Error("the master stops");
  const waiting = changes.request("reload", nothing);
  changes.cancel(reason);
  await assertRejects(() => waiting, Error, reason.message);
  await assertRejects(() => changes.request("services", nothing), Error, reason.message);
  changes.resume();
  await changes.request("services", nothing);
  changes.cancel(reason);
  // A master that is about to serve again lets requests wait for that.
  changes.hold();
  const held = changes.request("reload", nothing);
  changes.resume();
  await held;
});

Deno.test("Changes of clients: a bounded number waits, equal ones are one, and none is begun for clients that are gone", async () => {
  const changes = new Changes(() => true), done: string[] = [];
  const ask = (name: string, signal?: AbortSignal) =>
    changes.request("services", () => {
      done.push(name);
      return Promise.resolve(name);
    }, { key: name, signal, isBounded: true });
  const first = new AbortController(), second = new AbortController(), reason = new Error("gone");
  const both = [ask("both", first.signal), ask("both", second.signal)];
  first.abort(reason);
  const lone = ask("lone", first.signal);
  await assertRejects(() => lone, Error, "gone");
  const third = new AbortController(), dropped = ask("dropped", third.signal);
  third.abort(reason);
  await assertRejects(() => dropped, Error, "gone");

  // A signal that asks for the same is not lost with the client.
  const fourth = new AbortController();
  const reload = changes.request("reload", () => Promise.resolve(done.push("reload")), {
    key: "reload",
    signal: fourth.signal,
  });
  assertEquals([changes.insist("reload"), changes.insist("upgrade")], [true, false]);
  fourth.abort(reason);

  const many = Array.from({ length: 30 }, (_, index) => ask(`${index}`));
  assertThrows(() => ask("one more"), ServiceError, "32 changes wait already");
  assertEquals(await Promise.race([ask("29"), Promise.resolve("waits")]), "waits");
  // A change that a signal asks for, of which one waits at most.
  const upgrade = changes.request("upgrade", () => Promise.resolve(done.push("upgrade")));
  changes.resume();
  await Promise.all([...both, reload, ...many, upgrade]);
  assertEquals(done, [
    "both",
    "reload",
    ...Array.from({ length: 30 }, (_, i) => `${i}`),
    "upgrade",
  ]);
  await ask("one more");
});
