/** Runs the commands of README.md that take a program which is there into service. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Site } from "../support/master.ts";
import { installPrograms } from "../support/shell_programs.ts";
import { PATIENCE_MS } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The first block of commands below a heading. */
function commandsBelow(heading: string): string {
  const readme = Deno.readTextFileSync(`${ROOT}README.md`);
  const at = readme.indexOf(`\n${heading}\n`);
  assert(at >= 0, heading);
  return /^```sh\n([^]*?)^```$/m.exec(readme.slice(at))![1];
}

Deno.test("an application of Hono is served by two processes and reloaded, by the commands of README.md", async () => {
  await using site = new Site();
  const port = site.port(), path = installPrograms(site);
  const lines = commandsBelow("## Any Deno program, unchanged").split("\n").flatMap((line) => {
    // The version that other tests run as well, which is in the cache.
    if (line === "deno add npm:hono") return [linkPackage(), `${line}@4.13.19`];
    const own = line.replaceAll("8080", `${port}`);
    return / init\b/.test(line) ? [own, `sed -i s/8080/${port}/ conf/web.cf`] : [own];
  });
  const shell = site.execute(["bash"], { env: { PATH: path, LC_ALL: "C" } });
  await shell.write(`exec 2>&1; set -e\n${lines.join("\n")}\n`);
  await shell.closeInput();
  const output = await shell.succeeds(5 * PATIENCE_MS);
  assertMatch(output, /conf\/web\.cf runs main\.ts as it is\n/);
  assertMatch(output, /master \d+ runs, all services are ready/);
  const pids = [...output.matchAll(/(hello|welcome) from process (\d+)/g)];
  assertEquals(pids.map(([, word]) => word), ["hello", "welcome"]);
  assertMatch(output, /\ncommitted in /);
  assertMatch(output, /master \d+ has stopped\n$/);
  await site.isGone();
});

/** The package as it is here, in place of the published one. */
function linkPackage(): string {
  return `echo '{ "links": ["${ROOT}"] }' > deno.json`;
}
