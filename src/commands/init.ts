/**
 * `init`: writes a first project into an empty folder, or settings for the program that is there.
 *
 * @module
 */
import { parse } from "@std/jsonc/parse";
import { quoteWord } from "../config/command.ts";
import { cannot, refusal } from "../config/errors.ts";
import { VERSION } from "../control/version.ts";
import { systemLookup } from "../master/supervisor/create.ts";
import { ownCommand } from "../master/upgrade/command.ts";
import { isDirectory, mainFile } from "../os/process/program_lookup.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail } from "./connect.ts";
import { type ExistingProgram, existingProgram } from "./existing_program.ts";
import { complain, layOut } from "./output.ts";

/** Entries that do not make a folder count as used. */
const IGNORED: ReadonlySet<string> = new Set([".git", ".gitignore", "LICENSE"]);

const MANIFEST = "deno.json";

/** The runtime writes it beside a manifest before this command looks. */
const LOCK = "deno.lock";

const MAIN = "deno run -A master.ts";

/** The commands that have a task each, and what README.md says of them. */
const TASKS = {
  start: "the master in the foreground; Ctrl-C stops it",
  status: "services, processes, addresses",
  check: "looks for mistakes in conf/",
  reload: "takes changed files into use, without a lost connection",
  logs: "the last lines of the master and of the servers; -f: further ones, too",
  stop: "stops the master and its servers, also in the background",
} as const;

const SETTINGS_DIRECTORY = "conf";
const SETTINGS_FILE = `${SETTINGS_DIRECTORY}/web.cf`;

const TALK = ["curl http://127.0.0.1:8080/", "talks to it"];

/** Writes a settings file. */
function cfOf(settings: Readonly<Record<string, string>>): string {
  return [
    "# One file for each service; docs/settings.md of @zc/master has all settings.\n",
    ...Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`),
  ].join("");
}

const FILES: Readonly<Record<string, string>> = {
  [MANIFEST]: JSON.stringify(
    {
      tasks: {
        ...Object.fromEntries(
          Object.keys(TASKS).map((name) => [name, `${MAIN} ${name} -C conf`]),
        ),
        test: "deno test",
      },
      imports: {
        "@std/assert": "jsr:@std/assert@^1.0.19",
        "@zc/master": `jsr:@zc/master@^${VERSION}`,
      },
    },
    undefined,
    2,
  ) + "\n",
  "master.ts": `import { masterServerMain } from "@zc/master";

Deno.exit(await masterServerMain());
`,
  [SETTINGS_FILE]: cfOf({
    "server-command": "web.ts",
    "server-service": "web://127.0.0.1:8080",
    "server-proc-count": "2",
  }),
  "web.ts": `import { serve } from "@zc/master/serve";
import { answer } from "./answer.ts";

await serve({ web: answer });
`,
  "answer.ts": `/** Answers a request. */
export function answer(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (pathname !== "/") return new Response("not found\\n", { status: 404 });
  return new Response(\`hello from process \${Deno.pid}\\n\`);
}
`,
  "answer_test.ts": `import { assertEquals, assertStringIncludes } from "@std/assert";
import { answer } from "./answer.ts";

Deno.test("the first page says hello", async () => {
  const response = answer(new Request("http://localhost/"));
  assertStringIncludes(await response.text(), "hello");
});

Deno.test("any other page is not found", () => {
  assertEquals(answer(new Request("http://localhost/other")).status, 404);
});
`,
  "README.md": `# A server

${taskLines()}

\`conf/web.cf\` says what runs: \`curl http://127.0.0.1:8080/\` talks to it.
`,
  ".gitignore": `master.pid*
`,
};

/** A line of README.md for each task. */
function taskLines(): string {
  const lines = Object.entries({ ...TASKS, test: "the tests" }).map(([name, text]) => [
    `    deno task ${name}`,
    `# ${text}`,
  ]);
  return layOut(lines, { colour: false }).join("\n");
}

/** Runs the command. */
export function run(_call: CommandCall): Promise<number> {
  const names = new Set(Deno.readDirSync(".").map(({ name }) => name));
  if (isEmptyDirectory(SETTINGS_DIRECTORY)) names.delete(SETTINGS_DIRECTORY);
  const found = [...names.difference(IGNORED)].sort();
  const links = found.every((name) => name === MANIFEST || name === LOCK)
    ? linksAlone()
    : undefined;
  const isEmpty = found.length === 0 || links !== undefined;
  return Promise.resolve(isEmpty ? writeProject(names, links) : writeSettings(found));
}

function isEmptyDirectory(path: string): boolean {
  return isDirectory(path) && Deno.readDirSync(path).next().done === true;
}

/** The packages of a manifest that names these and nothing else, as README.md has it for a clone. */
function linksAlone(): unknown {
  try {
    const { links, ...others } = parse(Deno.readTextFileSync(MANIFEST)) as { links?: unknown };
    return Object.keys(others).length === 0 ? links : undefined;
  } catch {
    // There is none, or it is not read here: then it is not ours to replace.
    return undefined;
  }
}

function writeProject(names: ReadonlySet<string>, links: unknown): number {
  makeSettingsDirectory();
  if (links !== undefined) {
    const manifest = { ...JSON.parse(FILES[MANIFEST]), links };
    Deno.writeTextFileSync(MANIFEST, `${JSON.stringify(manifest, undefined, 2)}\n`);
  }
  for (const [path, text] of Object.entries(FILES)) {
    // A .gitignore of the folder stays.
    if ((path === ".gitignore" || path === MANIFEST) && names.has(path)) continue;
    Deno.writeTextFileSync(path, text, { createNew: true });
  }
  tell([
    ["deno task start", "starts it"],
    TALK,
    ["deno task status", "shows it, from another terminal"],
  ]);
  return EXIT.ok;
}

/** Writes the settings of the program in the folder, and changes nothing that is there. */
function writeSettings(found: readonly string[]): number {
  const command = ownCommand(), cwd = Deno.cwd();
  const refuse = (about: { readonly found: string; readonly expected: string }) =>
    fail(cannot("write a project into", cwd, about), EXIT.failed);
  if (found.includes(SETTINGS_DIRECTORY)) {
    const expected = `none, or an empty one: init writes ${SETTINGS_FILE}`;
    return refuse({ found: `a ${SETTINGS_DIRECTORY} that is not empty`, expected });
  }
  let program: ExistingProgram | undefined;
  try {
    program = existingProgram({ cwd, lookup: systemLookup(command) });
  } catch (error) {
    return fail(refusal(error), EXIT.failed);
  }
  if (program === undefined) {
    const expected = "an empty folder, or one with a start task or a main.ts that serves";
    return refuse({ found: found.slice(0, 3).join(" "), expected });
  }
  const { settings, problems: [problem], passedOver } = program;
  if (problem !== undefined) return fail(problem.message, EXIT.failed);
  makeSettingsDirectory();
  Deno.writeTextFileSync(SETTINGS_FILE, cfOf(settings), { createNew: true });
  if (passedOver !== undefined) {
    const effect = `its flags and variables are not in ${SETTINGS_FILE}`;
    complain("warning", `the start task can't be run, so ${effect}: ${passedOver.message}`);
  }
  console.log(`${SETTINGS_FILE} runs ${settings["server-command"]} as it is\n`);
  const master = masterCommand();
  tell([
    [`${master} -C ${SETTINGS_DIRECTORY}`, "starts it"],
    TALK,
    [`${master} reload`, "takes changed files into use, from another terminal"],
  ]);
  return EXIT.ok;
}

/** An empty one may be there. */
function makeSettingsDirectory(): void {
  Deno.mkdirSync(SETTINGS_DIRECTORY, { recursive: true });
}

/** How this program is run: a clone, a program around the master and a compiled one need no access to JSR. */
function masterCommand(): string {
  const file = mainFile();
  if (file === undefined) return "deno run -A jsr:@zc/master/master";
  return Deno.build.standalone ? quoteWord(file) : `deno run -A ${quoteWord(file)}`;
}

function tell(lines: readonly (readonly string[])[]): void {
  console.log(layOut(lines, { colour: false }).join("\n"));
}
