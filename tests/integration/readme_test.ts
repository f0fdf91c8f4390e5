/** Runs the commands of README.md: its first server, and a program that is there already. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { blocksBelow, runReadmeServer } from "../../tools/pictures/readme_session.ts";
import {
  TERMINAL_PICTURE,
  terminalPicture,
  TRANSCRIPT,
  transcriptOf,
} from "../../tools/pictures/terminal_files.ts";
import { Site } from "../support/master.ts";
import { installPrograms } from "../support/shell_programs.ts";
import { comparable, stepsOf } from "../support/transcript.ts";
import { PATIENCE_MS } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** What the terminal shows, without what differs from run to run. */
function comparableSession(transcript: string): string {
  // deno-lint-ignore no-control-regex
  return stepsOf(transcript.replaceAll(/\x1b\[\d+m/g, "")).map(comparable).join("");
}

Deno.test("the first server of README.md prints what the picture of the terminal shows", async () => {
  await using site = new Site();
  const shown = transcriptOf(await runReadmeServer(site, String(site.port())));
  await site.isGone();
  const drawn = Deno.readTextFileSync(`${ROOT}${TRANSCRIPT}`);
  assertEquals(comparableSession(shown), comparableSession(drawn), "run deno task pictures");
});

Deno.test("a reload that takes long is compared with one that does not", () => {
  const command = "zc reload", shown = "committed in 0.8 s";
  const slow = `waiting for web.cf: process 4711 starting\n${shown}`;
  assertEquals(comparable({ command, shown: slow }), comparable({ command, shown }));
});

Deno.test("the picture of the terminal is drawn from its transcript", () => {
  const transcript = Deno.readTextFileSync(`${ROOT}${TRANSCRIPT}`);
  const picture = Deno.readTextFileSync(`${ROOT}${TERMINAL_PICTURE}`);
  assertEquals(picture, terminalPicture(transcript), "run deno task pictures");
});

Deno.test("an application of Hono is served by two processes and reloaded, by the commands of README.md", async () => {
  await using site = new Site();
  const port = site.port(), path = installPrograms(site);
  const lines = blocksBelow("## Any Deno program, unchanged")[0].text.split("\n").flatMap(
    (line) => {
      // The version that other tests run as well, which is in the cache.
      if (line === "deno add npm:hono") return [linkPackage(), `${line}@4.13.19`];
      const own = line.replaceAll("8080", `${port}`);
      return / init\b/.test(line) ? [own, `sed -i s/8080/${port}/ conf/web.cf`] : [own];
    },
  );
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

Deno.test("init writes a project into a folder whose deno.json names the clone and nothing else", async () => {
  await using site = new Site();
  const env = { PATH: installPrograms(site) };
  const within = (folder: string, commands: string) =>
    site.execute(["sh", "-ec", `mkdir ${folder}; cd ${folder}; ${commands}`], { env });
  const init = "deno run -A jsr:@zc/master/master init";
  const checks = "deno task check; deno task test; deno fmt --check; deno lint";
  await within("linked", `${linkPackage()}; ${init}; ${checks}`).succeeds();
  const { links } = JSON.parse(Deno.readTextFileSync(site.dir.file("linked/deno.json")));
  assertEquals(links, [ROOT]);
  const other = JSON.stringify({ links: [ROOT], name: "@a/b" });
  const { code } = await within("other", `echo '${other}' > deno.json; ${init}`).ended();
  assertEquals(code, 1);
  assertEquals(JSON.parse(Deno.readTextFileSync(site.dir.file("other/deno.json"))).name, "@a/b");
});

Deno.test("init in a folder with a program names its own file to start it by, and the start task that can't be run", async () => {
  await using site = new Site();
  const master = `${ROOT}master.ts`;
  Deno.mkdirSync(site.dir.file("app"));
  site.dir.write("app/main.ts", "export default { fetch: () => new Response() };\n");
  site.dir.write("app/package.json", JSON.stringify({ scripts: { start: "nodemon main.ts" } }));
  const init = site.execute(["sh", "-c", `cd app && exec deno run -A ${master} init`], {
    env: { PATH: installPrograms(site) },
  });
  assertEquals((await init.ended()).code, 0, init.stderr);
  assertStringIncludes(init.stdout, `\ndeno run -A ${ROOT}master.ts -C conf `);
  assertMatch(
    init.stderr,
    /^warning: the start task can't be run, so .* not in conf\/web\.cf: Cannot run "nodemon": /,
  );
});

/** The package as it is here, in place of the published one. */
function linkPackage(): string {
  return `echo '{ "links": ["${ROOT}"] }' > deno.json`;
}
