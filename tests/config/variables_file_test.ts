import { assert, assertEquals, assertRejects } from "@std/assert";
import { Config, loadEntries } from "../../src/config/config.ts";
import { parseCf } from "../../src/config/cf.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { lintCf } from "../../src/config/lint_cf.ts";
import { renderSettings } from "../../src/config/debug_config.ts";
import { parseVariablesFile } from "../../src/config/variables_file.ts";
import { parseServiceConfig } from "../../src/config/service.ts";

Deno.test("parseVariablesFile() reads what dotenv files have", async () => {
  const text = [
    "# comment\n\nA=1\r\nexport B = two words # why\n  C=\n",
    "D='a #b'\nE=\"x\\ny\" # why\nF=`it's\nhere`\nG=a=b\nH=${A}\n_i9=é",
  ].join("");
  assertEquals(
    [...await parseVariablesFile(text, "a.env")].sort(),
    [
      ["A", "1"],
      ["B", "two words"],
      ["C", ""],
      ["D", "a #b"],
      ["E", "x\ny"],
      ["F", "it's\nhere"],
      ["G", "a=b"],
      ["H", "${A}"],
      ["_i9", "é"],
    ],
  );
  assertEquals([...await parseVariablesFile("", "a.env")], []);
});

const FORM = "expected KEY=VALUE, or a comment that begins with #";
const NAME = "expected a letter or _, and then letters, digits and _";
const QUOTES = "expected other quotes (', \" or `) around it";

const MISTAKES: readonly (readonly [text: string, ...problems: string[]])[] = [
  ["secret\n", `1: Cannot read a variable: no "=" in its line, ${FORM}`],
  [
    "A='x\ny'\n1s=secret\n = secret",
    `3: Cannot read a variable: a name that no variable can have, ${NAME}`,
    `4: Cannot read a variable: a name that no variable can have, ${NAME}`,
  ],
  ["\ufeffA=secret", `1: Cannot read a variable: a name that no variable can have, ${NAME}`],
  ["A='secret\nB=2", `1: Cannot read a variable: a ' that is not closed, ${FORM}`],
  [
    'A=1\nB="secret"rest\n',
    `2: Cannot read a variable: a " within a value in such quotes, ${QUOTES}`,
  ],
  ['A="sec\\"ret"', `1: Cannot read a variable: a " within a value in such quotes, ${QUOTES}`],
  [
    "A=sec#ret",
    "1: Cannot read a variable: a # in a value without quotes, expected quotes around the value",
  ],
  ["A=1\nA=secret", '2: Cannot set variable "A": line 1 sets it, expected it once'],
  ["A=secret\0", "1: Cannot read a variable: a NUL character in its value, expected text"],
  [
    "A=\udcff",
    "1: Cannot read a variable: bytes that are not UTF-8 in its value, expected text in UTF-8",
  ],
  [
    "LISTEN_PID=1",
    '1: Cannot set variable "LISTEN_PID": the master sets it, ' +
    "expected another name: server-service lists the listeners",
  ],
];

for (const [text, ...expected] of MISTAKES) {
  Deno.test(`parseVariablesFile() refuses ${JSON.stringify(text)} without a word of it`, async () => {
    const error = await assertRejects(() => parseVariablesFile(text, "a.env"), ConfigError);
    assertEquals(error.message, expected.map((line) => `a.env:${line}`).join("\n"));
  });
}

const FILE = [
  "server-command = bin/x",
  "server-service = 0:80",
  "server-env = A=secret1",
  "server-env = 'B=secret 2' C=3",
].join("\n");

function parsed(text: string) {
  const config = loadEntries(new Config(), parseCf(text, "a.cf"));
  return { config, ...parseServiceConfig(config, { id: "a.cf", file: "a.cf", text, cwd: "/" }) };
}

Deno.test("each line of server-env counts, and a mistake names its own line", () => {
  const { service } = parsed(FILE);
  assertEquals([...service?.environment ?? []], [["A", "secret1"], ["B", "secret 2"], ["C", "3"]]);
  assertEquals(lintCf(FILE, "a.cf", "cf"), []);
  assertEquals(
    parsed(`${FILE}\nserver-env = D='\nserver-env = E=5`).problems.map(({ line }) => line),
    [5],
  );
  const twice = parsed(`${FILE}\nserver-env = A=3`).problems;
  assertEquals(twice.map(({ line, key }) => [line, key]), [[5, "server-env"]]);
});

Deno.test("the value of server-env is in its environment and its fingerprint, and nowhere else", () => {
  const { service, config } = parsed(FILE);
  const { environment: _, fingerprint, ...rest } = service!;
  const text = (value: unknown): string => Deno.inspect(value, { depth: 9, iterableLimit: 1_000 });
  assertEquals([text(rest).includes("secret"), fingerprint.includes("secret")], [false, true]);
  assertEquals(renderSettings(config).includes("secret"), false);
  assertEquals(renderSettings(config).includes("server-env = (not shown)"), true);
  // Bytes that are not UTF-8, and what looks like a comment.
  for (const line of ["server-env = A=secret\udcff", "server-env = A='secret' #B=secret"]) {
    const { problems } = parsed(`${FILE.split("\n", 2).join("\n")}\n${line}`);
    const told = [...lintCf(line, "a.cf", "cf"), ...problems].map(({ message }) => message);
    assertEquals([told.length > 0, told.join().includes("secret")], [true, false], line);
  }
});

Deno.test("parseVariablesFile() tells twenty mistakes at most", async () => {
  const error = await assertRejects(
    () => parseVariablesFile("x\n".repeat(1_000), "f"),
    ConfigError,
  );
  assertEquals(error.problems.length, 20);
});

Deno.test("parseVariablesFile() reads a name with many blanks in it in a moment", async () => {
  const since = performance.now(), text = `a${" ".repeat(200_000)}b=1\n`;
  await assertRejects(() => parseVariablesFile(text, "a.env"), ConfigError);
  // In quadratic time it would be half a minute.
  assert(performance.now() - since < 10_000);
});
