import { assertEquals, assertThrows } from "@std/assert";
import { existingProgram } from "../../src/commands/existing_program.ts";
import { type FakeFile, fakeLookup } from "../fakes/fake_lookup.ts";

const APP = "export default { fetch: () => new Response() };\n";
const ASKS = "Deno.serve(() => new Response());\n";
const FRAMEWORK = 'import { serve } from "@zc/master/serve";\nawait serve({ web: () => 1 });\n';

/** What init would run in a folder with these files, and why not the start task. */
function found(files: Readonly<Record<string, string>>): string | undefined {
  const cwd = "/srv/app";
  const texts = new Map(Object.entries(files).map(([path, text]) => [`${cwd}/${path}`, text]));
  const all: Record<string, FakeFile> = { "/opt/deno": { executable: "\x7fELF" } };
  for (const path of texts.keys()) all[path] = "file";
  const lookup = fakeLookup(all, { programText: (path) => texts.get(path) });
  const program = existingProgram({ cwd, lookup });
  if (program === undefined) return undefined;
  const { settings, problems: [problem], passedOver } = program;
  if (problem !== undefined) return `not: ${problem.message}`;
  const why = passedOver === undefined ? "" : `, since ${passedOver.message}`;
  return `${settings["server-command"]}${why}`;
}

const task = (start: string) => JSON.stringify({ tasks: { start } });
const script = (start: string) => JSON.stringify({ scripts: { start } });

const FOLDERS: readonly (readonly [
  what: string,
  files: Readonly<Record<string, string>>,
  command: string | undefined,
])[] = [
  ["a main module that exports an application", { "main.ts": APP }, "main.ts"],
  ["one that opens an address, in src", { "src/server.js": ASKS }, "src/server.js"],
  ["the more usual one of two", { "app.ts": APP, "server.ts": ASKS }, "server.ts"],
  ["a task", { "deno.jsonc": task("deno serve -A app.ts"), "app.ts": APP }, "deno task start"],
  [
    "a script of package.json",
    { "package.json": script("node server.js"), "server.js": "require('node:http');\n" },
    "deno task start",
  ],
  [
    "a main module beside a task that can't be run",
    { "package.json": script("tsx main.ts"), "main.ts": APP },
    'main.ts, since Cannot run "tsx": no such program, ' +
    "expected an executable file in PATH (/usr/local/bin:/usr/bin)",
  ],
  [
    "the more usual one of two beside such a task",
    { "deno.json": task("deno serve --watch main.ts"), "main.ts": APP, "app.ts": APP },
    'main.ts, since Cannot choose a protocol for "deno task start": --watch, by which the ' +
    "program is run again without its sockets, " +
    "expected no such flag: a reload (SIGHUP) starts a new version",
  ],
  [
    "nothing but a task that can't be run",
    { "deno.json": task("a && b") },
    'not: Cannot run the task "start": "a && b" in /srv/app/deno.json, with "&&" of a shell, ' +
    "expected a task of one program, or the command of the server itself",
  ],
  ["a server of this framework", { "main.ts": FRAMEWORK }, undefined],
  [
    "a task that runs one",
    { "deno.json": task("deno run -A web.ts"), "web.ts": FRAMEWORK },
    undefined,
  ],
  ["a module that serves nothing", { "main.ts": "console.log(1);\n" }, undefined],
];

for (const [what, files, command] of FOLDERS) {
  Deno.test(`init finds ${what}`, () => assertEquals(found(files), command));
}

Deno.test("init names a file with tasks that is no JSON", () => {
  assertThrows(
    () => found({ "package.json": "{" }),
    TypeError,
    'Cannot read "/srv/app/package.json"',
  );
});
