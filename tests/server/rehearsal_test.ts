import { assertEquals } from "@std/assert";
import { serverLifecycle } from "../../src/server/lifecycle.ts";
import { rehearse } from "../../src/server/rehearsal.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { startDeno } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";

Deno.test("rehearse() leaves nothing open, and nothing under way", () =>
  leavesNothingOpen(async () => {
    // What the runtime opens once and keeps is open by then.
    await rehearse();
    await leavesNothingOpen(rehearse);
    assertEquals(serverLifecycle.underWay(), 0);
  }));

Deno.test("rehearse() is content with less where it may not listen or connect", async () => {
  using dir = new TempDir();
  const module = import.meta.resolve("../../src/server/rehearsal.ts");
  const script = dir.write(
    "script.ts",
    `import { rehearse } from "${module}";\nawait rehearse();\nconsole.log("done");\n`,
  );
  const config = new URL("../../deno.json", import.meta.url).pathname;
  for (const permissions of [[], ["--allow-read"], ["--allow-read", "--allow-net=127.0.0.1:0"]]) {
    const args = ["run", "--no-prompt", "--config", config, "--allow-ffi", ...permissions, script];
    await using child = startDeno(args);
    const { code, stdout, stderr } = await child.ended();
    assertEquals([code, stdout], [0, "done\n"], stderr);
  }
});
