import { assert, assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";
import { eventually } from "../../support/wait.ts";

for (const signal of ["SIGHUP", "SIGTERM"] as const) {
  Deno.test(`requestParentDeathSignal() brings ${signal} when the parent is killed`, async () => {
    await using parent = startFunction(import.meta, async (signal) => {
      const { functionArgs, untilInputCloses } = await import("../../support/processes.ts");
      const child = async (signal: "SIGHUP" | "SIGTERM") => {
        const { requestParentDeathSignal } = await import("../../../src/os/process/process.ts");
        const { processSignals } = await import("../../../src/os/process/signals.ts");
        for (const name of ["SIGHUP", "SIGTERM"] as const) {
          processSignals.on(name, () => {
            console.log("heard", name);
            Deno.exit();
          });
        }
        requestParentDeathSignal(signal);
        console.log("child", Deno.pid);
        setTimeout(() => {}, 60_000);
      };
      // The child shares this output, so that it can be heard when this process is gone.
      const args = functionArgs(child, signal);
      new Deno.Command(Deno.execPath(), { args, stdin: "null" }).spawn();
      await untilInputCloses();
    }, { arg: signal });
    const [, pid] = await parent.prints(/child (\d+)\n/);
    parent.signal("SIGKILL");
    const [, heard] = await parent.prints(/heard (\w+)\n/);
    assertEquals(heard, signal);
    await eventually(() => !isRunning(Number(pid)), { what: "the end of the child" });
  });
}

Deno.test("requestParentDeathSignal() ends a process that does not listen for it", async () => {
  await using parent = startFunction(import.meta, async () => {
    const { functionArgs, untilInputCloses } = await import("../../support/processes.ts");
    const child = async () => {
      const { requestParentDeathSignal } = await import("../../../src/os/process/process.ts");
      requestParentDeathSignal("SIGHUP");
      console.log("child", Deno.pid);
      setTimeout(() => {}, 60_000);
    };
    new Deno.Command(Deno.execPath(), { args: functionArgs(child), stdin: "null" }).spawn();
    await untilInputCloses();
  });
  const [, pid] = await parent.prints(/child (\d+)\n/);
  assert(isRunning(Number(pid)));
  parent.signal("SIGKILL");
  await eventually(() => !isRunning(Number(pid)), { what: "the end of the child" });
});

/** Whether a process is running; a zombie is not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch (error) {
    // ESRCH, when it goes in the very moment, has no class of its own.
    if (error instanceof Deno.errors.NotFound || /os error 3\b/.test(String(error))) return false;
    throw error;
  }
}

Deno.test("requestParentDeathSignal() does not disturb a child whose parent lives", async () => {
  await using child = startFunction(import.meta, async () => {
    const { requestParentDeathSignal } = await import("../../../src/os/process/process.ts");
    requestParentDeathSignal("SIGHUP");
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log("undisturbed");
  });
  assertEquals(await child.succeeds(), "undisturbed\n");
});
