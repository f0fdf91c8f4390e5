import { assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";

Deno.test("processSignals.on() calls back at each arrival, in place of the default action", async () => {
  await using child = startFunction(import.meta, async () => {
    const { processSignals } = await import("../../../src/os/process/signals.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    for (const signal of ["SIGHUP", "SIGTERM", "SIGINT", "SIGWINCH", "SIGUSR2"] as const) {
      processSignals.on(signal, () => console.log(signal));
    }
    console.log("listening");
    await untilInputCloses();
    Deno.exit(0);
  });
  assertEquals(await child.nextLine(), "listening");
  for (const signal of ["SIGHUP", "SIGTERM", "SIGINT", "SIGWINCH", "SIGUSR2", "SIGHUP"] as const) {
    child.signal(signal);
    assertEquals(await child.nextLine(), signal);
  }
  await child.closeInput();
  await child.succeeds();
});

Deno.test("processSignals.on() gives a function that brings the default action back", async () => {
  await using child = startFunction(import.meta, async () => {
    const { processSignals } = await import("../../../src/os/process/signals.ts");
    const stop = processSignals.on("SIGUSR2", () => {
      stop();
      console.log("once");
    });
    console.log("listening");
    setTimeout(() => {}, 60_000);
  });
  assertEquals(await child.nextLine(), "listening");
  child.signal("SIGUSR2");
  assertEquals(await child.nextLine(), "once");
  child.signal("SIGUSR2");
  assertEquals((await child.ended()).signal, "SIGUSR2");
});

Deno.test("processSignals.on() calls every listener, and stopping one leaves the others", async () => {
  await using child = startFunction(import.meta, async () => {
    const { processSignals } = await import("../../../src/os/process/signals.ts");
    const heard: string[] = [];
    const stop = processSignals.on("SIGHUP", () => heard.push("first"));
    processSignals.on("SIGHUP", () => {
      heard.push("second");
      stop();
      console.log(heard.join());
    });
    console.log("listening");
    setTimeout(() => {}, 60_000);
  });
  assertEquals(await child.nextLine(), "listening");
  child.signal("SIGHUP");
  assertEquals(await child.nextLine(), "first,second");
  child.signal("SIGHUP");
  assertEquals(await child.nextLine(), "first,second,second");
});
