import { assertEquals, assertRejects } from "@std/assert";
import { lastChange, localModules } from "../../../src/os/process/module_files.ts";
import { TempDir } from "../../support/temp.ts";

Deno.test("localModules() lists the imports of a script, broken and missing modules included, and runs nothing", async () => {
  using dir = new TempDir();
  const script = dir.write(
    "main.ts",
    `import "./a b.ts"; import data from "./data.json" with { type: "json" };
    import "npm:none@1"; import "https://none.invalid/x.ts"; import "node:path";
    Deno.writeTextFileSync("ran", ""); await import("./broken.ts");`,
  );
  dir.write("a b.ts", `import "./missing.ts";`);
  dir.write("broken.ts", "this is no module");
  dir.write("data.json", "{}");
  const deno = Deno.execPath();
  const run = { deno, flags: ["--no-config"], script, cwd: dir.path };
  const names = ["a b.ts", "broken.ts", "data.json", "main.ts", "missing.ts"];
  assertEquals((await localModules(run)).sort(), names.map((name) => dir.file(name)));
  assertEquals(lastChange(dir.file("ran")), undefined);
  await assertRejects(() => localModules({ ...run, flags: ["--no-such-flag"] }), Error);
});
