/** Tests of the splitting of commands. */

import { assertEquals, assertThrows } from "@std/assert";
import { parseCommand, shellOperator, splitCommand } from "../../src/config/command.ts";

const ROWS: readonly (readonly [text: string, words: readonly string[]])[] = [
  ["", []],
  ["  \t ", []],
  ["bin/imapd", ["bin/imapd"]],
  ["  bin/imapd  -p\t1 ", ["bin/imapd", "-p", "1"]],
  ['"/opt/my mail/imapd" -v', ["/opt/my mail/imapd", "-v"]],
  ["'/opt/my mail/imapd' -v", ["/opt/my mail/imapd", "-v"]],
  ["/opt/my\\ mail/imapd", ["/opt/my mail/imapd"]],
  ['a"b c"d', ["ab cd"]],
  ["a'b'\"c\"", ["abc"]],
  ['"" x', ["", "x"]],
  ["x ''", ["x", ""]],
  [`"it's"`, ["it's"]],
  [`'say "x"'`, ['say "x"']],
  [`'it'\\''s'`, ["it's"]],
  ['"a\\"b\\\\c\\$d\\`e"', ['a"b\\c$d`e']],
  ['"a\\nb\\ c"', ["a\\nb\\ c"]],
  ["'a\\b'", ["a\\b"]],
  ["a\\\\b", ["a\\b"]],
  ["$HOME ${x} `id` $(id) ~ * ? | > & ; #", [
    "$HOME",
    "${x}",
    "`id`",
    "$(id)",
    "~",
    "*",
    "?",
    "|",
    ">",
    "&",
    ";",
    "#",
  ]],
  ["a\u00a0b", ["a\u00a0b"]],
  ["deno run -A 'server 名.ts'", ["deno", "run", "-A", "server 名.ts"]],
];

Deno.test("splitCommand() splits words as a shell does and expands nothing", () => {
  for (const [text, words] of ROWS) assertEquals(splitCommand(text), words, text);
});

Deno.test("splitCommand() refuses what isn't finished", () => {
  const cases = {
    'a "b': 'a " that is not closed',
    "a 'b": "a ' that is not closed",
    'a "b\\"': 'a " that is not closed',
    "a '\\'b'": "a ' that is not closed",
    "a\\": "a backslash at the end",
    '"a\\': "a backslash at the end",
  };
  for (const [text, found] of Object.entries(cases)) {
    const error = assertThrows(() => splitCommand(text), SyntaxError);
    assertEquals(
      error.message,
      `Cannot split command ${JSON.stringify(text)}: ${found}, ` +
        "expected a program and its arguments, quoted as in a shell",
    );
  }
});

Deno.test("shellOperator() finds what only a shell would act upon", () => {
  const cases: Readonly<Record<string, string | undefined>> = {
    "x > /tmp/log 2>&1": ">",
    "x 2>>/tmp/log": "2>>/tmp/log",
    "x &>log": "&>log",
    "x <in": "<in",
    "x | tee log": "|",
    "cd /srv && x": "&&",
    "x ; y": ";",
    "x &": "&",
    "x '>' \"|\" \\& 'a > b' a>b --x=|y -": undefined,
  };
  for (const [text, found] of Object.entries(cases)) assertEquals(shellOperator(text), found, text);
});

Deno.test("parseCommand() wants a program", () => {
  assertEquals(parseCommand("bin/x -a"), ["bin/x", "-a"]);
  for (const text of ["", "  ", '""', "'' -a"]) {
    assertThrows(() => parseCommand(text), SyntaxError, "no program");
  }
});
