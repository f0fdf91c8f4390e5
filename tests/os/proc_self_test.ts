import { assertEquals, assertThrows } from "@std/assert";
import {
  isMissing,
  listProcSelf,
  readLinkProcSelf,
  readTextProcSelf,
} from "../../src/os/proc_self.ts";
import { startFunction } from "../support/processes.ts";

Deno.test("the functions of /proc/self read what is there", () => {
  assertEquals(readLinkProcSelf("cwd"), Deno.cwd());
  assertEquals(readTextProcSelf("comm"), Deno.readTextFileSync("/proc/self/comm"));
  assertEquals(listProcSelf("fd").includes("2"), true);
});

Deno.test("the functions of /proc/self throw what isMissing() knows for what is not there", () => {
  for (const read of [listProcSelf, readLinkProcSelf, readTextProcSelf]) {
    assertEquals(isMissing(assertThrows(() => read("fd/99999"))), true);
  }
  assertEquals(isMissing(new Error("another")), false);
});

Deno.test("the functions of /proc/self read the same once keepProcSelf() was called", async () => {
  await using child = startFunction(import.meta, async () => {
    const own = await import("../../src/os/proc_self.ts");
    const { assertEquals, assertThrows } = await import("@std/assert");
    const { execPath, isMissing, keepProcSelf, listProcSelf, readLinkProcSelf, readTextProcSelf } =
      own;
    keepProcSelf();
    keepProcSelf();
    assertEquals(execPath(), Deno.execPath());
    assertEquals(readLinkProcSelf("cwd"), Deno.cwd());
    assertEquals(readTextProcSelf("cmdline"), Deno.readTextFileSync("/proc/self/cmdline"));
    assertEquals(readTextProcSelf("maps").length > 4096, true);
    const entries = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => name);
    assertEquals(listProcSelf("task").toSorted(), entries.toSorted());
    const before = [...Deno.readDirSync("/proc/self/fd")].length;
    for (const read of [listProcSelf, readLinkProcSelf, readTextProcSelf]) {
      assertEquals(isMissing(assertThrows(() => read("fd/99999"))), true);
    }
    assertEquals([...Deno.readDirSync("/proc/self/fd")].length, before);
    console.log("done");
  });
  assertEquals(await child.succeeds(), "done\n");
});
