import { assertEquals } from "@std/assert";
import { serverLifecycle } from "../../../src/server/lifecycle/lifecycle.ts";
import { warmUp } from "../../../src/server/runtime/warm_up.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { startDeno } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { within } from "../../support/wait.ts";

Deno.test("warmUp() leaves nothing open, and nothing under way", () =>
  leavesNothingOpen(async () => {
    // What the runtime opens once and keeps is open by then.
    await warmUp();
    await leavesNothingOpen(warmUp);
    assertEquals(serverLifecycle.underWay(), 0);
  }));

Deno.test("warmUp() is content with less where it may not listen or connect", async () => {
  using dir = new TempDir();
  const module = import.meta.resolve("../../../src/server/runtime/warm_up.ts");
  const script = dir.write(
    "script.ts",
    `import { warmUp } from "${module}";\nawait warmUp();\nconsole.log("done");\n`,
  );
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  for (const permissions of [[], ["--allow-read"], ["--allow-read", "--allow-net=127.0.0.1:0"]]) {
    const args = ["run", "--no-prompt", "--config", config, "--allow-ffi", ...permissions, script];
    await using child = startDeno(args);
    const { code, stdout, stderr } = await child.ended();
    assertEquals([code, stdout], [0, "done\n"], stderr);
  }
});

Deno.test("warmUp() waits no longer than a second for a connection that is not made", () =>
  leavesNothingOpen(async () => {
    await warmUp();
    const { connect } = Deno;
    const made = Promise.withResolvers<never>();
    let tries = 0;
    Deno.connect = (() => {
      tries++;
      return made.promise;
    }) as unknown as typeof Deno.connect;
    try {
      await within(warmUp(), { what: "the end of the warm-up" });
      made.reject(new Deno.errors.TimedOut());
      // What it has begun is closed, and nothing more is begun.
      await new Promise((resolve) => setTimeout(resolve));
      assertEquals(tries, 1);
    } finally {
      Deno.connect = connect;
    }
  }));
