import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { closeFd, openDescriptors } from "../../../src/os/fd/descriptor.ts";
import { holdDuplicate } from "../../../src/os/fd/shared_duplicates.ts";
import { leavesNothingOpen, openFile, targetOf } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";

Deno.test("holdDuplicate() has one duplicate for all who hold a descriptor, until the last lets go", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const fd = openFile(temp.file("one"));
    const [first, second] = [holdDuplicate(fd), holdDuplicate(fd)];
    assertEquals(first.fd, second.fd);
    assertNotEquals(first.fd, fd);
    closeFd(fd);
    first.release();
    assertEquals(targetOf(second.fd), temp.file("one"));
    second.release();
    assert(!openDescriptors().has(first.fd));
  });
});

Deno.test("holdDuplicate() tells a descriptor from another one that has had its number", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const fd = openFile(temp.file("one"));
    const old = holdDuplicate(fd);
    closeFd(fd);
    assertEquals(openFile(temp.file("two")), fd);
    const other = holdDuplicate(fd);
    assertEquals([old, other].map((it) => targetOf(it.fd)), [temp.file("one"), temp.file("two")]);
    old.release();
    assertEquals(holdDuplicate(fd).fd, other.fd);
    closeFd(fd);
    other.release();
    other.release();
  });
});
