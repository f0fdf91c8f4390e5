/** Tests of what settings files say without being wrong. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatProblem } from "../../src/config/errors.ts";
import { type FileKind, lintCf } from "../../src/config/lint_cf.ts";

/** What is said of one line. */
interface Row {
  readonly kind?: FileKind;
  readonly line: string;
  /** What comes before `, expected` and after it; nothing where all is well. */
  readonly says?: readonly [found: string, expected: string];
}

const COMMENT = [
  "a comment behind the value, where none can be",
  "the comment on a line of its own",
] as const;
const UNKNOWN = "no setting has this name, so it can only be a server's own";
const OF_MASTER = [
  "a setting of the master in the file of a service",
  "it in a .gcf, or on the command line of the master",
] as const;
const BY_MASTER = ["a setting that the master gives to each process", "no such line"] as const;
const ITS_FILES = [
  "a comment behind the value, each word of which is a socket file",
  COMMENT[1],
] as const;
const EMPTY = ["no value behind it, so it counts as not set", "a value, or no such line"] as const;
const NO_GCF = "a setting that no .gcf gives";

const ROWS: readonly Row[] = [
  { line: "server-proc-cuont = 4", says: [UNKNOWN, "server-proc-count"] },
  { line: "server_proc_count = 4", says: [UNKNOWN, "server-proc-count"] },
  { line: "server-standby-count = 1" },
  { line: "server-spare-count = 1" },
  { kind: "gcf", line: "server-spare-count = 1" },
  { line: "server-standby-cuont = 1", says: [UNKNOWN, "server-standby-count"] },
  { line: "server_spare_count = 1", says: [UNKNOWN, "server-standby-count"] },
  { line: "run-usr = www", says: [UNKNOWN, "run-user"] },
  { line: "server-port = 4" },
  { line: "port = 4" },
  { line: "sleep = never" },
  { line: "C = x" },
  { line: "metrics = yes" },
  { line: "metrics = 127.0.0.1:9100", says: OF_MASTER },
  { line: "server-control = 5", says: BY_MASTER },
  { kind: "gcf", line: "server-control = 5", says: BY_MASTER },
  { kind: "gcf", line: "metrics = 127.0.0.1:9100" },
  {
    kind: "gcf",
    line: "server-service = :8850",
    says: ["a setting of one service in a file for all", "it in the .cf of each service"],
  },
  { line: "debugs = x" },
  {
    line: "master-stop-timeout = 4s",
    says: OF_MASTER,
  },
  {
    line: "try-lock = yes",
    says: [
      "a setting of the master in the file of a service",
      "it on the command line of the master",
    ],
  },
  { kind: "gcf", line: "master-stop-timeout = 4s" },
  { kind: "gcf", line: "exit-after = 4s" },
  { kind: "gcf", line: "server-user = www" },
  { kind: "gcf", line: "own = 1" },
  { kind: "gcf", line: "sleep = 1" },
  { kind: "gcf", line: "try-lock = yes", says: [NO_GCF, "it on the command line of the master"] },
  {
    kind: "gcf",
    line: "run-user = www",
    says: [NO_GCF, "it in the .cf of a server, or on a command line"],
  },
  {
    kind: "gcf",
    line: "server-proc-count = 4",
    says: ["a setting of one service in a file for all", "it in the .cf of each service"],
  },
  { kind: "gcf", line: "server-prot = 4" },
  // A slip in a setting that belongs elsewhere.
  {
    kind: "gcf",
    line: "server-proc-cuont = 4",
    says: [UNKNOWN, "server-proc-count in the .cf of each service"],
  },
  {
    line: "master-stop-timeot = 4",
    says: [UNKNOWN, "master-stop-timeout in a .gcf, or on the command line of the master"],
  },
  {
    line: "pid-fiel = x",
    says: [UNKNOWN, "pid-file in a .gcf, or on the command line of the master"],
  },
  {
    kind: "master",
    line: "server-comand = x",
    says: [UNKNOWN, "server-command in the .cf of each service"],
  },
  { kind: "gcf", line: "master-stop-timout = 4", says: [UNKNOWN, "master-stop-timeout"] },
  { line: "[web]", says: ["a section, which settings files do not have", "a line NAME = VALUE"] },
  {
    line: "server-proc-count 4",
    says: ['no "=" in it, so it sets nothing', "server-proc-count = 4"],
  },
  {
    line: "server-proc-count: 4",
    says: ['no "=" in it, so it sets nothing', "server-proc-count = 4"],
  },
  { line: "verbose", says: ['no "=" in it, so it sets nothing', "a line NAME = VALUE"] },
  { line: "server-service = :8850 # web", says: ITS_FILES },
  { line: "server-service = :8850 #web", says: ITS_FILES },
  { line: "server-command = hello.ts # all of it", says: COMMENT },
  { line: "server-command = hello.ts --title '# 1'" },
  { line: "server-user = www # the web", says: COMMENT },
  { line: "server-proc-count = 2 # two", says: COMMENT },
  // Told as a problem, since it can't be read.
  { line: "server-soak = 2 # two" },
  { line: "server-proc-count =", says: EMPTY },
  { kind: "gcf", line: "master-stop-timeout =", says: EMPTY },
  { line: "sleep =" },
  { line: "own-setting =" },
  { line: "color = #fff" },
  { line: "color = red # fff" },
  { line: "# [web]" },
];

for (const { kind = "cf", line, says } of ROWS) {
  Deno.test(`lintCf() says what is odd about "${line}" in a .${kind}`, () => {
    const warnings = lintCf(`\n${line}\n`, "x", kind);
    assert(warnings.every(({ severity }) => severity === "warning"));
    const told = warnings.map(({ line, message }) => {
      return [line, ...message.replace(/^Cannot .*?".*?": /, "").split(", expected ")];
    });
    assertEquals(told, says === undefined ? [] : [[2, ...says]]);
  });
}

Deno.test("lintCf() tells of a key that is set twice where it is set again", () => {
  const text = "a = 1\nb = 1\na = 2\nA = 3\na = 3\n";
  assertEquals(lintCf(text, "x.cf", "cf").map(formatProblem), [
    'x.cf:3: a: Cannot set twice "a": line 1 sets it too, and the last one counts, ' +
    "expected one line for it",
    'x.cf:5: a: Cannot set twice "a": line 3 sets it too, and the last one counts, ' +
    "expected one line for it",
  ]);
});

Deno.test("lintCf() shows no secret value, nor the lines in which it goes on", () => {
  const text = 'server-env = KEY="-----BEGIN\nsecret\n# comment\nsecret\udcff\nx = 1\ny\n' +
    "server-env: secret\n[secret]\n";
  const goesOn = (line: number) =>
    `x.cf:${line}: Cannot read "server-env": its value goes on in line ${line}, expected one line`;
  const nothing = 'no "=" in it, so it sets nothing, expected a line NAME = VALUE';
  assertEquals(lintCf(text, "x.cf", "cf").map(formatProblem), [
    goesOn(2),
    goesOn(4),
    `x.cf:6: Cannot read "y": ${nothing}`,
    `x.cf:7: Cannot read "server-env": ${nothing}`,
    goesOn(8),
  ]);
  const [{ message }] = lintCf("\ufeffserver-env secret\n", "x.cf", "cf");
  assertMatch(message, /^Cannot read "server-env": a byte order mark/);
});

Deno.test("lintCf() takes linear time", () => {
  const lines = Array.from({ length: 5_000 }, (_, n) => `server-cuont-${n} = 1\nx\n[s]\n`);
  const start = performance.now();
  lintCf(lines.join(""), "x.cf", "cf");
  // Quadratic work would be a matter of minutes.
  assert(performance.now() - start < 30_000);
});

Deno.test("lintCf() tells of a setting that is given by its name and by its alias", () => {
  const text = "server-standby-count = 1\nserver-spare-count = 2\n";
  assertEquals(lintCf(text, "a.cf", "cf").map(formatProblem), [
    'a.cf:2: server-standby-count: Cannot set twice "server-standby-count": line 1 sets it too, ' +
    "and the last one counts, expected one line for it",
  ]);
});
