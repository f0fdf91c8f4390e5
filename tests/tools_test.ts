import { assertEquals, assertMatch } from "@std/assert";
import { processesWith } from "../tools/test_processes.ts";
import { PROGRAMS, programsOf } from "../tools/test_programs.ts";

/** Runs the project's test runner on one file with this text, which has no types to be checked; gives the lines of its summary and the code. */
async function summaryOf(
  text: string,
  name = "one_test.js",
): Promise<[lines: string[], code: number]> {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/${name}`, text);
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "tools/test.ts", `${folder}/${name}`],
      cwd: new URL("..", import.meta.url),
      stderr: "null",
    }).output();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    return [lines.slice(lines.indexOf("--- summary") + 1), code];
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The last line and the code of such a run. */
async function runOn(text: string, name?: string): Promise<[string | undefined, number]> {
  const [lines, code] = await summaryOf(text, name);
  return [lines.at(-1), code];
}

Deno.test("tools/test.ts ends with the count of tests, and with 0 only if all passed", async () => {
  const passing = 'Deno.test("a", async (t) => void await t.step("b", () => {}));\n';
  const failing = 'Deno.test("c", () => { throw new Error("no"); });\n';
  assertEquals(await runOn(passing + failing), ["1 passed, 1 failed", 1]);
});

Deno.test("tools/test.ts counts a failure where no test ran to its end", async () => {
  for (const text of ["", 'Deno.test("a", () => Deno.kill(Deno.pid));']) {
    assertEquals(await runOn(text), ["0 passed, 1 failed", 1], text);
  }
  assertEquals(await runOn("const a: string = 1;", "one_test.ts"), ["0 passed, 1 failed", 1]);
});

Deno.test("tools/test.ts says at its end which tests failed, where, and why", async () => {
  const [lines, code] = await summaryOf(
    'Deno.test("a", () => { throw new Error("no\\n\\nsun"); });\n' +
      'Deno.test("b", () => {});\nDeno.test("c", () => { throw new TypeError("no moon"); });\n',
  );
  assertEquals(code, 1);
  assertMatch(
    lines.join("\n"),
    /^FAILED tests\n +a => \S+one_test.js:1:6\n +error: Error: no\n +sun\n(?: .*\n)+? +c => \S+one_test.js:3:6\n +error: TypeError: no moon\n(?: .*\n)+1 passed, 2 failed$/,
  );
});

Deno.test("tools/test.ts lists at its end the tests that could not run", async () => {
  const module = new URL("support/left_out.ts", import.meta.url).href;
  const [lines, code] = await summaryOf(
    // Not a plain name, since the types of that module would be checked.
    `const { leaveOut } = await import(String("${module}"));\n` +
      'Deno.test("a", (t) => leaveOut(t, "no b: here"));\n' +
      'Deno.test("c", () => {});\nDeno.test("d", (t) => leaveOut(t));\n',
  );
  assertEquals([lines, code], [
    [
      "left out: a: no b: here",
      "left out: d: only root can run it",
      "ok     tests",
      "3 passed, 0 failed",
    ],
    0,
  ]);
});

Deno.test("tools/test.ts runs nothing for --help and for an argument that it does not know", async () => {
  const told = async (argument: string) => {
    const args = ["run", "-A", "tools/test.ts", argument];
    const cwd = new URL("..", import.meta.url);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd })
      .output();
    return [code, ...[stdout, stderr].map((bytes) => new TextDecoder().decode(bytes))] as const;
  };
  const [code, usage] = await told("--help");
  assertEquals(code, 0);
  assertMatch(usage, /^Usage: deno task test .*\n.*deno task test PATH.*\n.*deno task check .*\n$/);
  const refused = 'Cannot read argument "--check": no argument has this name, expected --help\n';
  assertEquals(await told("--check"), [1, "", refused]);
});

Deno.test("processesWith() finds what carries the mark, until it has ended", async () => {
  const value = crypto.randomUUID();
  const child = new Deno.Command("sleep", { args: ["60"], env: { ZC_MARK: value } }).spawn();
  try {
    const [found, ...others] = processesWith(`ZC_MARK=${value}`);
    assertEquals([found?.pid, others], [child.pid, []]);
    assertMatch(found?.command ?? "", /sleep 60$/);
    assertEquals(processesWith(`ZC_MARK=${value.slice(1)}`), []);
  } finally {
    child.kill();
    await child.status;
  }
  assertEquals(processesWith(`ZC_MARK=${value}`), []);
});

Deno.test("programsOf() finds the programs of a test, those of what it imports among them", () => {
  const of = (file: string) => [...programsOf(`${import.meta.dirname}/${file}`)].sort();
  assertEquals(of("interop/c_server_test.ts").includes("gcc"), true);
  assertEquals(of("integration/parent_test.ts"), ["dumb-init", "gcc", "python3", "tini"]);
  assertEquals(of("interop/page_test.ts"), ["chromium"]);
  assertEquals(of("interop/prometheus_test.ts"), ["prometheus"]);
  assertEquals(of("config/cf_test.ts"), []);
});

Deno.test(".ci/run installs every program that a test starts", () => {
  const script = Deno.readTextFileSync(new URL("../.ci/run", import.meta.url));
  for (const [name, { packages }] of Object.entries(PROGRAMS)) {
    assertEquals(script.includes(`command -v ${name} `), true, name);
    assertEquals(script.includes(`missing+=(${packages})`), true, packages);
  }
});
