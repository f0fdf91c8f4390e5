import { assertEquals } from "@std/assert";
import { Site } from "../../bench/bench.ts";
import { isRunning } from "../../bench/proc.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

Deno.test("Site.endNow() ends a program that has lost its environment, and what that has started", async () => {
  using dir = new TempDir();
  const site = new Site(dir.path, {});
  const said = dir.file("said");
  // As nginx does, whose workers go on without their master.
  const script = `sleep 1000 & echo $! $$ >${said}.new; mv ${said}.new ${said}; wait`;
  site.start(["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script]);
  const text = await eventually(() => {
    try {
      return Deno.readTextFileSync(said);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }, { what: "its processes" });
  const pids = text.trim().split(" ").map(Number);
  try {
    assertEquals(pids.map(isRunning), [true, true]);
    site.endNow();
    await eventually(() => !pids.some(isRunning), { what: "the end of both" });
  } finally {
    for (const pid of pids.filter(isRunning)) Deno.kill(pid, "SIGKILL");
    await site.end(0);
  }
});
