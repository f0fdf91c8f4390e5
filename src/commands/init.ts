/**
 * `init`: writes a first project into an empty folder.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { VERSION } from "../control/version.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail } from "./connect.ts";
import { layOut } from "./output.ts";

/** Entries that do not make a folder count as used. */
const IGNORED: ReadonlySet<string> = new Set([".git", ".gitignore", "LICENSE"]);

const MAIN = "deno run -A master.ts";

/** What each task runs, besides the test. */
const TASKS = ["start", "stop", "reload", "status", "logs", "check"] as const;

const FILES: Readonly<Record<string, string>> = {
  "deno.json": JSON.stringify(
    {
      tasks: {
        ...Object.fromEntries(TASKS.map((name) => [name, `${MAIN} ${name} -C conf`])),
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
  "conf/web.cf": `# One file for each service; docs/settings.md of @zc/master has all settings.
server-command = web.ts
server-service = http://127.0.0.1:8080
server-proc-count = 2
`,
  "web.ts": `import { coroutineServerMain, serveHttp } from "@zc/master";
import { answer } from "./answer.ts";

Deno.exit(
  await coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      serveHttp(fd, fdType, answer);
    },
  }),
);
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
  assertStringIncludes(await answer(new Request("http://localhost/")).text(), "hello");
});

Deno.test("any other page is not found", () => {
  assertEquals(answer(new Request("http://localhost/other")).status, 404);
});
`,
  "README.md": `# A server

    deno task start     # the master in the foreground; Ctrl-C stops it
    deno task status    # services, processes, addresses
    deno task check     # looks for mistakes in conf/
    deno task reload    # takes changed files into use, without a lost connection
    deno task logs      # the last lines of the master and of the servers; -f: further ones, too
    deno task test

\`conf/web.cf\` says what runs: \`curl http://127.0.0.1:8080/\` talks to it.
`,
  ".gitignore": `master.pid*
`,
};

/** Runs the command. */
export function run(_call: CommandCall): Promise<number> {
  const names = new Set(Deno.readDirSync(".").map(({ name }) => name));
  const found = [...names.difference(IGNORED)].sort();
  if (found.length > 0) {
    const about = { found: found.slice(0, 3).join(" "), expected: "an empty folder" };
    return Promise.resolve(fail(cannot("write a project into", Deno.cwd(), about), EXIT.failed));
  }
  Deno.mkdirSync("conf");
  for (const [path, text] of Object.entries(FILES)) {
    // A .gitignore of the folder stays.
    if (path === ".gitignore" && names.has(path)) continue;
    Deno.writeTextFileSync(path, text, { createNew: true });
  }
  console.log(
    layOut([
      ["deno task start", "starts it"],
      ["curl http://127.0.0.1:8080/", "talks to it"],
      ["deno task status", "shows it, from another terminal"],
    ], { colour: false }).join("\n"),
  );
  return Promise.resolve(EXIT.ok);
}
