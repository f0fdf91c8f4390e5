import { assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";

/** What a program finds that starts no server, and then as a server does at its start. */
async function choose(mayUseFfi: boolean): Promise<string> {
  await using child = startFunction(import.meta, async (mayUseFfi: boolean) => {
    const { backend, chooseBackend } = await import("../../../src/server/backend/chosen.ts");
    const { nativeBackend } = await import("../../../src/server/backend/native.ts");
    if (!mayUseFfi) Deno.permissions.revokeSync({ name: "ffi" });
    try {
      console.log(backend() === nativeBackend);
    } catch (error) {
      console.log((error as Error).message);
    }
    const chosen = await chooseBackend();
    console.log(chosen === nativeBackend, chosen === backend());
  }, { arg: mayUseFfi });
  return await child.succeeds();
}

Deno.test("chooseBackend() chooses system calls for a program that may make them", async () => {
  assertEquals(await choose(true), "true\ntrue true\n");
});

Deno.test("chooseBackend() chooses node:net without FFI, for a server alone", async () => {
  const refusal = "Cannot serve a descriptor: no server runs, expected one of serviceRegister";
  assertEquals(await choose(false), `${refusal}\nfalse true\n`);
});
