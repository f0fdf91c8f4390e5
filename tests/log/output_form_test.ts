/** The form of log lines on real outputs: a terminal, a pipe that is the journal's, a file. */
import { assertEquals, assertMatch } from "@std/assert";
import { startDeno } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";

const LOG = new URL("../../src/log/log.ts", import.meta.url).href;
const OUTPUTS = new URL("../../src/log/outputs.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Runs its arguments on a terminal of their own, and copies what they print there. */
const ON_TERMINAL = `import os, pty, sys
status = pty.spawn(sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(status))`;

/** Runs its arguments with a variable that names their standard output or error output as the journal's. */
const UNDER_JOURNAL = `import os, sys
found = os.fstat(int(sys.argv[1]))
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
os.execvp(sys.argv[2], sys.argv[2:])`;

const LINES = `zdebug("one", { a: 1 });
zinfo("two");
zwarn("three");
zerror("four\\nmore");
`;

interface Run {
  readonly format?: string;
  readonly isCaptured?: boolean;
  readonly target?: string;
  readonly prefix?: readonly string[];
  readonly env?: Record<string, string>;
  readonly permissions?: readonly string[];
}

/** Logs a line of each level, and returns what the process has printed. */
async function printed(run: Run): Promise<{ stdout: string; stderr: string }> {
  const { format, isCaptured = false, target = "", prefix = [], env = {}, permissions = ["-A"] } =
    run;
  using dir = new TempDir();
  const options = JSON.stringify({ program: "imapd", pid: 7, level: "debug", format, target });
  const script = dir.write(
    "plain.ts",
    `import { closeLog, configureLog, zdebug, zerror, zinfo, zwarn } from "${LOG}";
import { markOutputsCaptured } from "${OUTPUTS}";
configureLog(${options});
${isCaptured ? "markOutputsCaptured();" : ""}
${LINES}closeLog();
`,
  );
  const args = ["run", "--no-prompt", "--no-lock", ...permissions, "--config", CONFIG, script];
  await using child = startDeno(args, { prefix, env: { NO_COLOR: "", TERM: "xterm", ...env } });
  const { code, stdout, stderr } = await child.ended();
  assertEquals(code, 0, stderr);
  return { stdout, stderr };
}

const onTerminal = ["python3", "-c", ON_TERMINAL];
const underJournal = (fd: number) => ["python3", "-c", UNDER_JOURNAL, `${fd}`];

Deno.test("log lines on a terminal are short and coloured", async () => {
  const { stdout } = await printed({ prefix: onTerminal });
  const lines = stdout.replaceAll(/\d\d:\d\d:\d\d/g, "TIME").split("\r\n");
  assertEquals(lines, [
    "\x1b[2mTIME imapd[7] one { a: 1 } [plain.ts:5]\x1b[0m",
    "\x1b[2mTIME\x1b[0m imapd[7] two [plain.ts:6]",
    "\x1b[2mTIME\x1b[0m \x1b[33mwarn\x1b[0m imapd[7] three [plain.ts:7]",
    "\x1b[2mTIME\x1b[0m \x1b[31merror\x1b[0m imapd[7] four",
    "    more [plain.ts:8]",
    "",
  ]);
});

for (const [name, value] of [["NO_COLOR", "1"], ["TERM", "dumb"]]) {
  Deno.test(`log lines on a terminal with ${name}=${value} have no colour`, async () => {
    const { stdout } = await printed({ prefix: onTerminal, env: { [name]: value } });
    const lines = stdout.replaceAll(/\d\d:\d\d:\d\d/g, "TIME").split("\r\n");
    assertEquals(lines.slice(1, 4), [
      "TIME imapd[7] two [plain.ts:6]",
      "TIME warn imapd[7] three [plain.ts:7]",
      "TIME error imapd[7] four",
    ]);
  });
}

const JOURNAL_LINES = `<7>imapd[7] one { a: 1 } [plain.ts:5]
<6>imapd[7] two [plain.ts:6]
<4>imapd[7] three [plain.ts:7]
<3>imapd[7] four
<3>    more [plain.ts:8]
`;

Deno.test("log lines on the output that JOURNAL_STREAM names have the priorities of the journal", async () => {
  assertEquals((await printed({ prefix: underJournal(2) })).stderr, JOURNAL_LINES);
  const onStdout = await printed({ prefix: underJournal(1), target: "stdout" });
  assertEquals(onStdout.stdout, JOURNAL_LINES);
});

for (
  const [what, run] of Object.entries<Run>({
    "that JOURNAL_STREAM does not name": { prefix: underJournal(1) },
    "whose file an unreadable JOURNAL_STREAM may name": {
      prefix: underJournal(2),
      permissions: [],
    },
    "that is a pipe": {},
    "with log-format = text": { prefix: underJournal(2), format: "text" },
  })
) {
  Deno.test(`log lines on an output ${what} are in text form`, async () => {
    const { stderr } = await printed(run);
    assertMatch(
      stderr,
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d debug imapd\[7\] one \{ a: 1 \} \[plain\.ts:5\]\n/,
    );
    assertMatch(stderr, /^\S+ error imapd\[7\] four\n {4}more \[plain\.ts:8\]\n$/m);
  });
}

Deno.test("log-format = json writes one object a line, on a terminal too", async () => {
  for (const prefix of [[], onTerminal]) {
    const { stdout, stderr } = await printed({ prefix, format: "json" });
    const records = (stdout + stderr).trimEnd().split(/\r?\n/).map((line) => JSON.parse(line));
    assertEquals(records.map(({ SeverityText, Body }) => [SeverityText, Body]), [
      ["DEBUG", "one { a: 1 }"],
      ["INFO", "two"],
      ["WARN", "three"],
      ["ERROR", "four\nmore"],
    ]);
    for (const [index, { Timestamp, Resource, Attributes }] of records.entries()) {
      assertEquals(new Date(Timestamp).getTime() > Date.now() - 600_000, true);
      assertEquals(Resource, { "service.name": "imapd", "process.pid": 7 });
      const position = { "code.file.path": "plain.ts", "code.line.number": 5 + index };
      assertEquals(Attributes, position);
    }
  }
});

Deno.test("log lines for a master that captures them have a priority and nothing else in front", async () => {
  const { stderr } = await printed({ isCaptured: true, format: "json" });
  assertEquals(
    stderr,
    `<7>one { a: 1 } [plain.ts:5]
<6>two [plain.ts:6]
<4>three [plain.ts:7]
<3>four
    more [plain.ts:8]
`,
  );
});
