import { assert, assertEquals, assertThrows } from "@std/assert";
import { isOutOfDescriptors, ReserveDescriptor } from "../../../src/os/fd/reserve_fd.ts";
import { countedDescriptors, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction, withOpenFileLimit } from "../../support/processes.ts";

Deno.test("ReserveDescriptor is one, from the first holder to the last", () =>
  leavesNothingOpen(() => {
    const before = countedDescriptors().size;
    const reserve = new ReserveDescriptor();
    const releases = [reserve.hold(), reserve.hold()];
    assertEquals(countedDescriptors().size, before + 1);
    assertEquals(reserve.lend(() => countedDescriptors().size), before);
    releases[0]();
    releases[0]();
    assertEquals(countedDescriptors().size, before + 1);
    releases[1]();
    assertEquals(countedDescriptors().size, before);
    assertEquals(reserve.lend(() => 7), 7);
  }));

Deno.test("ReserveDescriptor is kept when its borrower fails", () =>
  leavesNothingOpen(() => {
    const reserve = new ReserveDescriptor();
    const release = reserve.hold();
    const during = countedDescriptors().size;
    const fail = () => {
      throw new RangeError("a fault");
    };
    assertThrows(() => reserve.lend(fail), RangeError, "a fault");
    assertEquals(countedDescriptors().size, during);
    release();
  }));

Deno.test("isOutOfDescriptors() tells a lack of descriptors from other errors", () => {
  assert(isOutOfDescriptors(Object.assign(new Error(), { code: "EMFILE" })));
  assert(isOutOfDescriptors(Object.assign(new Error(), { code: "ENFILE" })));
  assert(!isOutOfDescriptors(Object.assign(new Error(), { code: "ENOMEM" })));
  assert(!isOutOfDescriptors(new Error()));
});

Deno.test("ReserveDescriptor is there when no other descriptor is", async () => {
  await using child = startFunction(import.meta, async () => {
    const { areDescriptorsFree, ReserveDescriptor } = await import(
      "../../../src/os/fd/reserve_fd.ts"
    );
    const { takeAllDescriptors } = await import("../../server/listen/fd_exhaustion_support.ts");
    const reserve = new ReserveDescriptor();
    reserve.hold();
    const free = takeAllDescriptors();
    const full = [areDescriptorsFree(1), reserve.lend(() => areDescriptorsFree(1))];
    // A descriptor that was lent and not returned is replaced when one is free.
    const freeLater = reserve.lend(() => takeAllDescriptors());
    const lost = reserve.lend(() => areDescriptorsFree(1));
    freeLater();
    reserve.lend(() => {});
    const back = takeAllDescriptors();
    const found = reserve.lend(() => areDescriptorsFree(1));
    back();
    free();
    console.log(JSON.stringify([...full, lost, found, areDescriptorsFree(2)]));
  }, { prefix: withOpenFileLimit(60) });
  assertEquals(JSON.parse(await child.succeeds()), [false, true, false, true, true]);
});
