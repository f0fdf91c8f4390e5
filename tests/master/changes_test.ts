import { assertEquals, assertRejects } from "@std/assert";
import { Changes } from "../../src/master/changes.ts";

const nothing = () => Promise.resolve();

Deno.test("Changes run one at a time, in the order of their requests, once the start is over", async () => {
  const changes = new Changes(() => true), order: string[] = [];
  const note = (text: string) => () => {
    order.push(`${text} during ${changes.current}`);
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
