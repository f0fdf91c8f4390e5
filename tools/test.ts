/**
 * Runs every check and every test of the project. The last line of its output is
 * `N passed, N failed`, where each check counts as one; any failure makes the exit code 1.
 *
 * `deno task test` runs all, `deno task test tests/config` only the tests there, and
 * `deno task check` only the checks. All goes on after a failure, so that one run shows them all.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { walkSync } from "@std/fs/walk";
import manifest from "../deno.json" with { type: "json" };
import { processesWith } from "./test_processes.ts";
import { missingPrograms, PROGRAMS, programsOf } from "./test_programs.ts";

const USAGE = `Usage: deno task test            every check and every test
       deno task test PATH...    the tests in these files and folders
       deno task check           the checks alone`;

/** How long a check, or one test, may print nothing: the machine may be busy with something else. */
const SILENCE_MS = 5 * 60_000;
/** How long a process may live on after the tests that started it. */
const LINGER_MS = 5_000;
/** How many lines of a failed test's error the summary shows, and how many characters of each. */
const ERROR_LINES = 12, ERROR_WIDTH = 300;

/**
 * How many processes run side by side, checks and tests alike: a check keeps one processor busy, and most of the
 * time a test waits.
 */
const LANES = 4;

const ROOT = new URL("..", import.meta.url);
const CHECKS: Readonly<Record<string, readonly string[]>> = {
  "format": ["fmt", "--check"],
  "lint": ["lint"],
  "types": ["check", "--doc", "."],
  // A project of its own.
  "examples/web": ["task", "--cwd", "examples/web", "check"],
  "doc lint": ["doc", "--lint", ...Object.values(manifest.exports)],
  "examples of the docs": ["run", "-A", "tools/doc_examples.ts"],
  "import directions": ["run", "--allow-read", "tools/check_layers.ts"],
  // The types are a check of their own.
  "publish dry run": ["publish", "--dry-run", "--allow-dirty", "--no-check"],
};

interface Run {
  readonly ok: boolean;
  readonly output: string;
}

interface Count {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  /** The failed tests, each with its place and the beginning of its error. */
  readonly failures?: string;
  /** What was not run, and why. */
  readonly leftOut?: readonly string[];
}

/** Resolves to false if the promise has not been settled after that time. */
async function settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const settled = await Promise.race([promise.then(() => true), late.promise]);
  clearTimeout(timer);
  return settled;
}

/** Ends what carries the mark, once it had its time; gives a line for each such process. */
async function endLeftovers(mark: string): Promise<string[]> {
  const deadline = performance.now() + LINGER_MS;
  let left = processesWith(mark);
  while (left.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = processesWith(mark);
  }
  for (const { pid } of left) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }
  return left.map(({ pid, command }) => `left behind, now killed: process ${pid}: ${command}\n`);
}

/** Takes what a run prints. */
type Show = (text: string) => void | Promise<void>;

async function showAtOnce(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await Deno.stdout.write(bytes.subarray(sent));
}

/**
 * Runs Deno and shows what it prints. It gets pipes of its own, so a process that it leaves behind
 * can't hold the output of this one open.
 */
async function runDeno(args: readonly string[], show: Show = showAtOnce): Promise<Run> {
  const id = crypto.randomUUID();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", ZC_TEST_RUN: id },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  let output = "", printedAt = performance.now();
  const watch = setInterval(() => {
    if (performance.now() - printedAt < SILENCE_MS) return;
    clearInterval(watch);
    child.kill("SIGKILL");
    void print(`nothing printed for ${SILENCE_MS / 60_000} minutes: ended\n`);
  }, 1_000);
  const print = async (text: string) => {
    printedAt = performance.now();
    output += text;
    await show(text);
  };
  const collect = async (from: ReadableStream<Uint8Array>) => {
    for await (const text of from.pipeThrough(new TextDecoderStream())) await print(text);
  };
  const shown = Promise.all([collect(child.stdout), collect(child.stderr)]);

  const { success } = await child.status;
  clearInterval(watch);
  const leftovers = await endLeftovers(`ZC_TEST_RUN=${id}`);
  await settles(shown, LINGER_MS);
  for (const line of leftovers) await print(line);
  return { ok: success && leftovers.length === 0, output };
}

async function runCheck(name: string, args: readonly string[], show: Show): Promise<Count> {
  const { ok, output } = await runDeno(args, show);
  return {
    name,
    passed: Number(ok),
    failed: Number(!ok),
    failures: ok ? undefined : failuresOf(output),
  };
}

/** What one process tests. */
interface TestRun {
  readonly name: string;
  readonly paths: readonly string[];
  readonly flags?: readonly string[];
  readonly show?: Show;
}

/**
 * The failed tests of a run, each with its place and the first lines of its error, and else the last lines
 * of its output: the summary is all that some places keep of a run.
 */
function failuresOf(output: string): string {
  const errors = /^ ERRORS \n\n(.+?)\n\n FAILURES \n/ms.exec(output)?.[1];
  if (errors === undefined) return linesOf(output).slice(-ERROR_LINES).join("\n");
  return errors.split(/\n\n(?=.+ => \S+:\d+:\d+\nerror: )/).map((error) => {
    const [place, ...lines] = linesOf(error);
    return [place, ...lines.slice(0, ERROR_LINES).map((line) => `  ${line}`)].join("\n");
  }).join("\n");
}

/** The lines with something in them, none of them long. */
function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "").map((line) =>
    line.slice(0, ERROR_WIDTH)
  );
}

/** Runs the tests of a process; what ends badly without a failed test counts as one. */
async function runTests({ name, paths, flags = [], show }: TestRun): Promise<Count> {
  const { ok, output } = await runDeno(["test", "-A", ...flags, ...paths], show);
  const summary = /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/gm;
  const [, passed, failed] = (output.matchAll(summary).toArray().at(-1) ?? []).map(Number);
  if (!passed && !failed) {
    const failures = `no result of any test: there was none, or they did not end\n${
      failuresOf(output)
    }`;
    return { name, passed: 0, failed: 1, failures };
  }
  // A test that can't be run here passes, and says so (tests/support/left_out.ts).
  const leftOut = [...output.matchAll(/^left out: (.+)$/gm)].map(([, what]) => what);
  return {
    name,
    passed: passed ?? 0,
    failed: failed || Number(!ok),
    failures: ok ? undefined : failuresOf(output),
    leftOut,
  };
}

/** Runs test files; all in one module need half a second of processor time less for each. */
async function runFiles({ files, inOneModule }: Group, show: Show): Promise<Count> {
  const folder = Deno.makeTempDirSync({ prefix: "zc_tests_" }), all = `${folder}/all_test.ts`;
  const imports = files.map((file) => `import ${JSON.stringify(new URL(file, ROOT).href)};\n`);
  Deno.writeTextFileSync(all, imports.join(""));
  try {
    const paths = inOneModule ? [all] : files;
    // The types are one of the checks, and a type error should not hide what the tests say.
    return await runTests({ name: files[0], paths, flags: ["--no-check"], show });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The test files, and those left out for lack of a program. */
interface Selection {
  readonly files: readonly string[];
  readonly leftOut: readonly string[];
}

/** Every file with tests, without those that start a program which is not there. */
function selectFiles(): Selection {
  const missing = missingPrograms(), files: string[] = [], leftOut: string[] = [];
  const entries = walkSync(new URL("tests", ROOT), { match: [/_test\.ts$/], includeDirs: false });
  for (const { path } of entries) {
    const file = path.slice(ROOT.pathname.length);
    const lacks = missing.filter((name) => programsOf(path).has(name));
    if (lacks.every((name) => PROGRAMS[name].isOptional)) files.push(file);
    if (lacks.length > 0) leftOut.push(`${file}: without ${lacks.join(", ")}`);
  }
  if (leftOut.length > 0) {
    const packages = missing.map((name) => PROGRAMS[name].packages).join(" ");
    leftOut.push(`to have all of them: apt-get install ${packages}`);
  }
  return { files: files.sort(), leftOut };
}

/** Test files that share a process. */
interface Group {
  readonly files: readonly string[];
  readonly inOneModule: boolean;
}

/**
 * How many files of a folder share a process: few where they start processes and wait. The code of servers has a
 * state for the whole program, so each file that tests it has modules of its own.
 */
const SHARING: readonly (readonly [folder: string, count: number, inOneModule: boolean])[] = [
  ["tests/soak/", 1, true],
  ["tests/deploy/", 1, true],
  ["tests/integration/", 4, true],
  ["tests/interop/", 3, true],
  ["tests/server/", 8, false],
  ["tests/", 20, true],
];

/** What each test process gets. Those that take longest come first, so that none is the last for long. */
function groupsOf(files: readonly string[]): Group[] {
  const rankOf = (file: string) => SHARING.findIndex(([folder]) => file.startsWith(folder));
  return SHARING.flatMap(([, count, inOneModule], rank) => {
    const those = files.filter((file) => rankOf(file) === rank);
    return Array.from({ length: Math.ceil(those.length / count) }, (_, index) => ({
      files: those.slice(index * count, (index + 1) * count),
      inOneModule,
    }));
  });
}

/** Something to be run in a process of its own, beside others. */
interface Job {
  /** What its output begins with. */
  readonly title: string;
  run(show: Show): Promise<Count>;
}

/** Runs a few jobs at a time, in their order, and shows the output of each when it has ended. */
async function runJobs(jobs: readonly Job[]): Promise<Count[]> {
  const waiting = jobs.entries(), counts: Count[] = [];
  let shown = Promise.resolve();
  const lane = async () => {
    // All lanes take from the same ones.
    for (const [index, { title, run }] of waiting) {
      let output = `--- ${title}\n`;
      counts[index] = await run((text) => void (output += text));
      shown = shown.then(() => showAtOnce(output));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await shown;
  return counts;
}

function checkJobs(): Job[] {
  return Object.entries(CHECKS).map(([name, args]) => ({
    title: name,
    run: (show) => runCheck(name, args, show),
  }));
}

function testJobs(files: readonly string[]): Job[] {
  return groupsOf(files).map((group) => ({
    title: ["tests", ...group.files].join("\n      "),
    run: (show) => runFiles(group, show),
  }));
}

/** All tests as one line of the summary. */
function sumOf(counts: readonly Count[], leftOut: readonly string[]): Count {
  const sum = (key: "passed" | "failed") => counts.reduce((all, count) => all + count[key], 0);
  const failures = counts.filter(({ failed }) => failed > 0)
    .map(({ name, failures = "" }) => `${name}\n${failures.replaceAll(/^/gm, "  ")}`);
  return {
    name: "tests",
    passed: sum("passed"),
    failed: sum("failed"),
    failures: failures.join("\n"),
    leftOut: [...leftOut, ...counts.flatMap((count) => count.leftOut ?? [])],
  };
}

/** Runs everything. The checks begin, since theirs are the longest processes that can't be divided. */
async function runAll(): Promise<Count[]> {
  const { files, leftOut } = selectFiles(), checks = checkJobs();
  const counts = await runJobs([...checks, ...testJobs(files)]);
  return [...counts.slice(0, checks.length), sumOf(counts.slice(checks.length), leftOut)];
}

const flags = parseArgs(Deno.args, {
  boolean: ["checks-only", "help"],
  string: ["_"],
  unknown(name, key) {
    if (key === undefined) return true;
    console.error(`Cannot read argument "${name}": no argument has this name, expected --help`);
    Deno.exit(1);
  },
});
if (flags.help) {
  console.log(USAGE);
  Deno.exit(0);
}
const paths = flags._.map(String);
let counts: readonly Count[];
if (paths.length > 0) {
  console.log("--- tests");
  counts = [await runTests({ name: "tests", paths })];
} else counts = await (flags["checks-only"] ? runJobs(checkJobs()) : runAll());

console.log("--- summary");
for (const { name, failed, failures = "", leftOut = [] } of counts) {
  for (const line of leftOut) console.log(`left out: ${line}`);
  console.log(`${failed > 0 ? "FAILED" : "ok    "} ${name}`);
  if (failures !== "") console.log(failures.replaceAll(/^/gm, "       "));
}
const total = (key: "passed" | "failed") => counts.reduce((sum, count) => sum + count[key], 0);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
Deno.exit(total("failed") > 0 ? 1 : 0);
