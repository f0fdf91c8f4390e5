import { assert, assertEquals } from "@std/assert";

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier: string } }[];
}

/** The modules that the runtime reads at each start of a program, those of dynamic imports included. */
async function modulesOf(program: string): Promise<readonly string[]> {
  const command = new Deno.Command(Deno.execPath(), { args: ["info", "--json", program] });
  const { stdout } = await command.output();
  const { roots, modules }: { readonly roots: string[]; readonly modules: readonly Module[] } = JSON
    .parse(new TextDecoder().decode(stdout));
  const bySpecifier = new Map(modules.map((one) => [one.specifier, one])), read = new Set(roots);
  // The set grows while it is gone through. Imports of types alone are not read.
  for (const specifier of read) {
    for (const { code } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code !== undefined) read.add(code.specifier);
    }
  }
  return [...read];
}

Deno.test("the start of a master reads no module of servers", async () => {
  const modules = await modulesOf(new URL("../../master.ts", import.meta.url).pathname);
  assert(modules.length > 100, `${modules.length} modules`);
  const ofServers = /\/src\/(?:server|serve|metrics)\//;
  assertEquals(modules.filter((module) => ofServers.test(module)), []);
});
