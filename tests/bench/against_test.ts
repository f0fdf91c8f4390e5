import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { startOnce } from "../../bench/against.ts";
import { Bench } from "../../bench/bench.ts";
import { findCommit } from "../../bench/checkout.ts";
import { prepareTools } from "../../bench/tools.ts";
import { processesWith } from "../../tools/test_processes.ts";
import { UsageError } from "../../tools/usage_error.ts";
import { leaveOut } from "../support/left_out.ts";
import { eventually } from "../support/wait.ts";

const MAIN = new URL("../../bench/main.ts", import.meta.url).pathname;

/** A run of the benchmarks against the last commit, whose temporary files are in a folder of its own. */
class Run implements AsyncDisposable {
  readonly #dir = Deno.makeTempDirSync();
  readonly #temporary = `${this.#dir}/tmp`;
  readonly process: Deno.ChildProcess;

  constructor() {
    Deno.mkdirSync(this.#temporary);
    const quick = ["--rounds", "1", "--seconds", "0.05", "--cache", `${this.#dir}/cache`];
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", MAIN, "--against", "HEAD", "--only", "cold", ...quick],
      env: { TMPDIR: this.#temporary },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** The command lines of its processes, its own one included. */
  processes(): string[] {
    return processesWith(`TMPDIR=${this.#temporary}`).map(({ command }) => command);
  }

  /** What is left of it. */
  left(): string[] {
    return [
      ...this.processes(),
      ...Array.from(Deno.readDirSync(this.#temporary), ({ name }) => name),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** Whether this checkout is that of a repository that this user may read. */
function hasRepository(): boolean {
  try {
    return findCommit("HEAD").hash !== "";
  } catch {
    // It was copied without its repository, or belongs to another user.
    return false;
  }
}

Deno.test("bench --against prints ratios, and leaves nothing behind", async (test) => {
  if (!hasRepository()) return leaveOut(test, "there is no git repository to read");
  await using run = new Run();
  const { code, stdout, stderr } = await run.process.output();
  const report = new TextDecoder().decode(stdout), log = new TextDecoder().decode(stderr);
  assertEquals([code, run.left()], [0, []], log);
  const { title } = findCommit("HEAD");
  assertStringIncludes(log, `HEAD: ${title}\n`);
  assertStringIncludes(report, `# This checkout and ${title.split(" ")[0]}\n`);
  assertMatch(
    report,
    /\| cold: ms \| @zc\/master, HTTP \(16 processes\) .* too few rounds to tell \|/,
  );
});

Deno.test("bench --against leaves nothing behind when a signal ends it", async (test) => {
  if (!hasRepository()) return leaveOut(test, "there is no git repository to read");
  await using run = new Run();
  const output = run.process.output();
  await eventually(
    () => run.processes().some((command) => command.includes("/bench/servers/")),
    { what: "a server" },
  );
  run.process.kill("SIGINT");
  const { code, stdout, stderr } = await output;
  assertEquals([code, run.left()], [130, []], new TextDecoder().decode(stderr));
  assertEquals(stdout.length, 0);
});

Deno.test("startOnce() says at once that the servers of a commit do not start, and why", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${root}/master.ts`, `console.log("too old"); Deno.exit(3);`);
    await using bench = new Bench(await prepareTools(`${root}/cache`, { peers: false }), false);
    await assertRejects(
      () => startOnce(bench, "v0", { root: `${root}/`, commit: "abc" }),
      UsageError,
      `Cannot compare with "v0": @zc/master, HTTP of v0 does not start: Cannot wait for 1 servers that listen: ` +
        "the program has ended with code 3; its output was: too old",
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
