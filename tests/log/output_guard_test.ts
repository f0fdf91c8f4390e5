/** `console` and the standard outputs under guard, in processes of their own. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { startFunction } from "../support/processes.ts";
import { withoutTimes } from "./stamps.ts";

/** Prints in each way, and in one that a program has put in the place of another. */
async function printAll({ isGuarded }: { isGuarded: boolean }): Promise<void> {
  const { closeLog, zinfo } = await import("../../src/log/log.ts");
  const { guardOutputs } = await import("../../src/log/output_guard.ts");
  const { default: process } = await import("node:process");
  const { info } = console;
  console.info = (text: string) => info(`replaced ${text}`);
  if (isGuarded) guardOutputs();
  console.log("a %s of %d", "text", 7, { nested: { deep: [1, "two"] } });
  console.info("info");
  console.error("an error");
  zinfo("between");
  console.warn("a warning");
  console.group("group");
  console.log("indented");
  console.groupEnd();
  console.table([{ a: 1 }, { a: 2 }]);
  console.assert(false, "asserted");
  console.count();
  console.dir({ a: 1 });
  console.debug("debug");
  const bytes = (text: string) => new TextEncoder().encode(text);
  console.log(Deno.stdout.writeSync(bytes("sync ")), await Deno.stderr.write(bytes("async ")));
  process.stdout.write("node ");
  process.stderr.write("node ");
  const writer = Deno.stdout.writable.getWriter();
  await writer.write(bytes("streamed\n"));
  console.log("x".repeat(300_000));
  console.log(String.fromCodePoint(0x1f600).repeat(40_000));
  closeLog();
}

Deno.test("guardOutputs() changes nothing of what is printed, nor of its order", async () => {
  await using free = startFunction(import.meta, printAll, { arg: { isGuarded: false } });
  await using guarded = startFunction(import.meta, printAll, { arg: { isGuarded: true } });
  const wanted = await free.ended(), found = await guarded.ended();
  assertEquals([found.code, wanted.code], [0, 0], found.stderr);
  assertEquals(found.stdout, wanted.stdout);
  assertEquals(withoutTimes(found.stderr), withoutTimes(wanted.stderr));
  assertStringIncludes(found.stdout, "replaced info");
});

for (const has of [true, false]) {
  Deno.test(`guardOutputs() lets the runtime export each line once ${has ? "with" : "without"} its class of console`, async () => {
    await using child = startFunction(import.meta, async ({ has }) => {
      const { internal } = Deno as unknown as { internal: symbol };
      const internals = (Deno as unknown as Record<symbol, { Console?: unknown }>)[internal];
      if (!has) internals.Console = undefined;
      // In the place of a console that exports: an exporter would need a receiver.
      Deno.env.set("OTEL_DENO", "true");
      Deno.env.set("OTEL_DENO_CONSOLE", "replace");
      let exported = 0;
      console.info = () => exported++;
      const { guardOutputs } = await import("../../src/log/output_guard.ts");
      guardOutputs();
      console.info("line");
      console.log(exported, (internals.Console === undefined) === !has);
    }, { arg: { has } });
    assertEquals((await child.succeeds()).split("\n").at(-2), "1 true");
  });
}

Deno.test("guardOutputs() lets no way of printing throw or wait where nobody reads", async () => {
  await using child = startFunction(import.meta, async () => {
    const { default: process } = await import("node:process");
    const { guardOutputs } = await import("../../src/log/output_guard.ts");
    guardOutputs();
    const text = "x".repeat(1_000_000), bytes = new TextEncoder().encode(text);
    for (let round = 0; round < 4; round++) {
      console.log(text);
      console.trace(text);
      Deno.stdout.writeSync(bytes);
      await Deno.stdout.write(bytes);
      process.stdout.write(text);
    }
    // A turn of the event loop, in which node would tell of an error.
    await new Promise((resolve) => setTimeout(resolve, 10));
    Deno.exit(78);
  }, { prefix: ["sh", "-c", 'exec "$@" >/dev/full 2>/dev/full', "sh"] });
  assertEquals((await child.ended()).code, 78);
});
