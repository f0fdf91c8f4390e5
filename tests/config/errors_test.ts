/** Tests of how problems are worded. */

import { assertEquals, assertThrows } from "@std/assert";
import {
  cannot,
  ConfigError,
  counted,
  formatProblem,
  gather,
  type Problem,
  problemAt,
  quote,
  refusal,
} from "../../src/config/errors.ts";

Deno.test("formatProblem() puts the place before the message", () => {
  const message = "Cannot x";
  assertEquals(
    formatProblem({ file: "conf/a.cf", line: 3, key: "server-proc-count", message }),
    "conf/a.cf:3: server-proc-count: Cannot x",
  );
  assertEquals(formatProblem({ file: "conf/a.cf", message }), "conf/a.cf: Cannot x");
  assertEquals(formatProblem({ file: "hook:1", key: "a", message }), "hook:1: a: Cannot x");
  assertEquals(
    formatProblem({ argument: true, key: "pid-file", message }),
    "argument -pid-file: Cannot x",
  );
  assertEquals(formatProblem({ key: "a", message }), "a: Cannot x");
  assertEquals(formatProblem({ message }), "Cannot x");
});

Deno.test("problemAt() keeps the place of a file, a hook, an argument and of nothing", () => {
  const rest = { key: "a", message: "m" };
  assertEquals(problemAt({ file: "f", line: 1 }, rest), { file: "f", line: 1, ...rest });
  assertEquals(problemAt({ file: "hook:1" }, rest), { file: "hook:1", ...rest });
  assertEquals(problemAt("argument", rest), { argument: true, ...rest });
  assertEquals(problemAt(undefined, rest), rest);
});

Deno.test("ConfigError lists every problem, one a line, and keeps problems and cause", () => {
  const problems = [{ message: "Cannot y" }, { file: "a.cf", line: 1, message: "Cannot x" }];
  const cause = new Error("why");
  const error = new ConfigError(problems, { cause });
  assertEquals(error.message, "Cannot y\na.cf:1: Cannot x");
  assertEquals(error.name, "ConfigError");
  assertEquals(error.problems, problems);
  assertEquals(error.cause, cause);
});

Deno.test("ConfigError sorts the problems by file and line, whatever order they were found in", () => {
  const places: [string?, number?][] = [["b.cf", 10], ["b.cf", 9], ["a.cf", 11], ["b.cf"], []];
  const problems = places.map(([file, line]): Problem => ({ file, line, message: "x" }));
  const sorted = new ConfigError(problems).problems.map(({ file, line }) => [file, line]);
  assertEquals(sorted, [
    [undefined, undefined],
    ["a.cf", 11],
    ["b.cf", undefined],
    ["b.cf", 9],
    ["b.cf", 10],
  ]);
});

Deno.test("quote() escapes control characters and cuts a long text", () => {
  assertEquals(quote('a"b\nc\0'), '"a\\"b\\nc\\u0000"');
  assertEquals(quote("x".repeat(121)), `"${"x".repeat(120)}…"`);
  assertEquals(quote("x".repeat(120)), `"${"x".repeat(120)}"`);
});

Deno.test("cannot() words a refusal", () => {
  assertEquals(
    cannot("read", "abc", { found: "not a number", expected: "a number" }),
    'Cannot read "abc": not a number, expected a number',
  );
});

Deno.test("counted() gives a number its noun", () => {
  assertEquals([0, 1, 2].map((many) => counted(many, "service")), [
    "0 services",
    "1 service",
    "2 services",
  ]);
  assertEquals(counted(2, "process", "processes"), "2 processes");
});

Deno.test("refusal() passes on what no parser throws", () => {
  assertEquals(refusal(new RangeError("Cannot x")), "Cannot x");
  assertThrows(() => refusal(new Error("a fault")), Error, "a fault");
});

Deno.test("gather() collects problems and passes every other error on", () => {
  const problems: Problem[] = [];
  assertEquals(gather(problems, () => 1), 1);
  const fail = (error: Error) => () => {
    throw error;
  };
  assertEquals(gather(problems, fail(new ConfigError([{ message: "a" }]))), undefined);
  assertEquals(gather(problems, fail(new ConfigError([{ message: "b" }]))), undefined);
  assertThrows(() => gather(problems, fail(new TypeError("a fault"))), TypeError, "a fault");
  assertEquals(problems, [{ message: "a" }, { message: "b" }]);
});
