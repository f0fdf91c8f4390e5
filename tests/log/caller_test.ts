import { assertEquals } from "@std/assert";
import { callerOf } from "../../src/log/caller.ts";

function place(): string | undefined {
  return callerOf(place);
}

function zdeep(): string | undefined {
  const inner = () => callerOf(zdeep);
  return inner();
}

/** Where this is called, as the stack of an error tells it. */
function expected(): string {
  const line = new Error().stack!.split("\n")[2];
  return line.match(/[^/]+:\d+(?=:\d+\)?$)/)![0];
}

Deno.test("callerOf() names the file and line of the call", () => {
  const [found, wanted] = [place(), expected()];
  assertEquals(found, wanted);
  assertEquals(found!.replace(/\d+/, "N"), "caller_test.ts:N");
});

Deno.test("callerOf() passes over what the function called in between", () => {
  const [found, wanted] = [zdeep(), expected()];
  assertEquals(found, wanted);
});

Deno.test("callerOf() is right behind an await, in a constructor and in a callback", async () => {
  await Promise.resolve();
  const [late, lateWanted] = [place(), expected()];
  assertEquals(late, lateWanted);
  class Constructed {
    readonly places = [place(), expected()];
  }
  const [made, madeWanted] = new Constructed().places;
  assertEquals(made, madeWanted);
  const [[mapped, mappedWanted]] = [0].map(() => [place(), expected()]);
  assertEquals(mapped, mappedWanted);
});

Deno.test("callerOf() knows no place where the runtime itself calls", async () => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  function direct() {
    resolve(callerOf(direct));
  }
  setTimeout(direct, 0);
  assertEquals(await promise, undefined);
});

Deno.test("callerOf() leaves V8's settings as they were", () => {
  const v8 = Error as unknown as { stackTraceLimit: number; prepareStackTrace: unknown };
  const before = { ...v8 };
  const mine = () => "mine";
  try {
    v8.stackTraceLimit = 7;
    v8.prepareStackTrace = mine;
    const found = place();
    assertEquals([v8.stackTraceLimit, v8.prepareStackTrace], [7, mine]);
    assertEquals(found!.replace(/\d+/, "N"), "caller_test.ts:N");
  } finally {
    v8.stackTraceLimit = before.stackTraceLimit;
    v8.prepareStackTrace = before.prepareStackTrace;
  }
});
