/** `zc init` where a folder for its settings is there already. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MASTER_PROGRAM, Site } from "../support/master.ts";

const PACKAGE = JSON.stringify({ scripts: { start: "deno run -A app.js" } });

/** Runs `zc init` in the folder of a site. */
async function init(site: Site): Promise<{ readonly code: number; readonly stderr: string }> {
  const process = site.execute(["deno", "run", "-A", MASTER_PROGRAM, "init"], {
    env: site.environment,
  });
  const { code } = await process.ended();
  return { code, stderr: process.stderr };
}

/** A folder with a program that serves, and with an empty folder for settings. */
function siteOfProgram(): Site {
  const site = new Site();
  site.dir.write("package.json", PACKAGE);
  site.dir.write("app.js", "Deno.serve({ port: 8080 }, () => new Response());\n");
  return site;
}

Deno.test("init writes into an empty folder for settings", async () => {
  await using site = siteOfProgram();
  const { code, stderr } = await init(site);
  assertEquals(code, 0, stderr);
  const settings = Deno.readTextFileSync(`${site.conf}/web.cf`);
  assertStringIncludes(settings, "server-command = deno task start");
});

Deno.test("init says that a folder for settings is in its way", async () => {
  await using site = siteOfProgram();
  site.dir.write("conf/notes", "");
  const { code, stderr } = await init(site);
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    "a conf that is not empty, expected none, or an empty one: init writes conf/web.cf",
  );
});
