import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseCall, UsageError } from "../../src/commands/call.ts";
import type { Command, CommandCall } from "../../src/commands/command.ts";

const COMMAND: Command = {
  name: "show",
  summary: "Show",
  operands: "[NAME]",
  count: [0, 1],
  options: [
    { name: "follow", short: "f", doc: "Follow." },
    { name: "lines", short: "n", value: "N", doc: "So many." },
  ],
  exits: [],
  load: () => Promise.reject(new Error("not run here")),
};

function parse(...args: readonly string[]): CommandCall {
  return parseCall(COMMAND, args, { hooks: {}, commands: [COMMAND] });
}

Deno.test("parseCall() parts options, arguments of the master, and operands, in any order", () => {
  for (
    const args of [
      ["-C", "conf", "a.cf", "--follow", "-n", "5", "-pid-file", "m.pid"],
      ["--follow", "-pid-file", "m.pid", "--lines=5", "-C", "conf", "a.cf"],
      ["-f", "--lines", "5", "a.cf", "-C", "conf", "-pid-file", "m.pid"],
      ["-n=5", "-f", "a.cf", "-C", "conf", "-pid-file", "m.pid"],
    ]
  ) {
    const { operands, options, settings } = parse(...args);
    assertEquals([operands, options.follow, options.lines], [["a.cf"], true, "5"], args.join(" "));
    assertEquals(
      settings.settings.toSorted((a, b) => a.key < b.key ? -1 : 1),
      [{ key: "C", value: "conf" }, { key: "pid-file", value: "m.pid" }],
    );
  }
});

Deno.test("parseCall() takes numbers as text, and a flag of the master", () => {
  assertEquals(parse("007").operands, ["007"]);
  assertEquals(parse("-20").operands, ["-20"]);
  assertEquals(parse("--debug").settings.settings, [{ key: "debug", value: "yes" }]);
});

const MISTAKES: readonly (readonly [args: readonly string[], message: string])[] = [
  [["a", "b"], 'Cannot run "show a b": too many arguments, expected show [NAME]'],
  [["--folow"], '"--folow": no option has this name, expected --follow'],
  [["-x"], '"-x": no option has this name, expected one of --help --follow --lines N'],
  [["-c", "conf"], '"-c": no option has this name, expected -C'],
  [["--pid_file", "x"], "expected -pid-file"],
  [["-C=conf"], "-C DIR"],
  [["--C", "conf"], "-C DIR"],
  [["-pidfile", "x"], "-pid-file FILE"],
  [["-follow"], '"-follow": no option has this name, expected --follow'],
  [["-lines", "5"], '"-lines": no option has this name, expected --lines N'],
  [["-n5"], '"-n5": no option has this name, expected -n 5'],
  [["-F"], '"-F": no option has this name, expected -f'],
  [["-n", "-5"], '"--lines": a negative number after it, expected --lines N'],
  [["--lines", "-5"], '"--lines": a negative number after it, expected --lines N'],
  [["--lines"], '"--lines": no value after it, expected --lines N'],
  [["-c=conf"], '"-c=conf": no option has this name, expected -C'],
];

Deno.test("parseCall() names each mistake, and what was meant", () => {
  for (const [args, message] of MISTAKES) {
    const error = assertThrows(() => parse(...args), UsageError);
    assertStringIncludes(error.message, message, args.join(" "));
  }
});

Deno.test("parseCall() tells where a directory of settings files belongs", () => {
  const conf = new URL("../../examples/conf", import.meta.url).pathname;
  const messageOf = (...args: readonly string[]) =>
    assertThrows(() => parse(...args), UsageError).message;
  const found = `${conf} is a directory of settings files`;
  for (const args of [[conf], ["--follow", conf]]) {
    const message = `Cannot run "show ${conf}": ${found}, expected show -C ${conf}`;
    assertEquals(messageOf(...args), message);
  }
  assertStringIncludes(messageOf("a.cf", conf), `${found}, expected show a.cf -C ${conf}`);
  // The value behind a mistake is not a second mistake.
  assertEquals(messageOf("--C", conf).split("\n").length, 1);
});

Deno.test("parseCall() asks for no operand when help is asked for", () => {
  const needs = { ...COMMAND, count: [1, 1] } as const;
  assertEquals(parseCall(needs, ["-h"], { hooks: {}, commands: [] }).options.help, true);
});
