import { assertEquals } from "@std/assert";
import { describeProcess } from "../../../src/os/process/processes.ts";
import { TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually } from "../../support/wait.ts";

Deno.test("describeProcess() asks the kernel for the name, not the memory of the process, which can keep a reader waiting", async () => {
  using dir = new TempDir();
  // The first argument of a script is its interpreter.
  const path = dir.write("holder", "#!/bin/sh\necho started\nread -r line\n");
  Deno.chmodSync(path, 0o755);
  await using holder = new TestProcess([path]);
  await eventually(() => holder.stdout.includes("started"), { what: "the script" });
  assertEquals(describeProcess(holder.pid), `process ${holder.pid} ("holder")`);
});
