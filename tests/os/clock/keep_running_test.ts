import { assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";

Deno.test("keepRunning() keeps a process that waits for nothing, until it lets it end", async () => {
  await using child = startFunction(import.meta, async () => {
    const { keepRunning } = await import("../../../src/os/clock/keep_running.ts");
    const letEnd = keepRunning();
    Deno.addSignalListener("SIGWINCH", () => {
      console.log("told to end");
      letEnd();
      letEnd();
    });
    console.log("waits");
  });
  assertEquals(await child.nextLine(), "waits");
  Deno.kill(child.pid, "SIGWINCH");
  assertEquals(await child.nextLine(), "told to end");
  await child.succeeds();
});
