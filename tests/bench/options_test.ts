import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../bench/options.ts";
import { UsageError } from "../../tools/usage_error.ts";

const MEASURES = { all: ["http", "echo", "big"], quick: ["http", "echo"] };

const parse = (...args: string[]) => parseOptions(args, MEASURES);

Deno.test("parseOptions() has a few measures for the short run, all for the peers", () => {
  assertEquals([parse().names, parse("--peers").names], [MEASURES.quick, MEASURES.all]);
  assertEquals(parse("--only", "big,http").names, ["big", "http"]);
});

Deno.test("parseOptions() writes pages for a run of bench:peers alone that measures everything", () => {
  assertEquals(parse("--peers").writesPages, true);
  assertEquals(parse("--peers", "--rounds", "3").writesPages, true);
  for (
    const args of [[], ["--peers", "--only", "http"], ["--peers", "--output", "a.md"], [
      "--against",
      "HEAD",
    ]]
  ) {
    assertEquals(parse(...args).writesPages, false, args.join(" "));
  }
});

Deno.test("parseOptions() leaves the rounds to each measure, unless they are given", () => {
  assertEquals([parse().rounds, parse("--rounds", "2.5").rounds], [undefined, 3]);
  assertEquals(parse("--against", "HEAD", "--rounds", "12", "--seconds", "1"), {
    ...parse("--against", "HEAD"),
    command: "deno task bench --against HEAD --rounds 12 --seconds 1",
    rounds: 12,
    seconds: 1,
  });
});

Deno.test("parseOptions() tells the command as it was given", () => {
  assertEquals(parse("--only", "http").command, "deno task bench --only http");
  assertEquals(parse("--peers", "--rounds", "9").command, "deno task bench:peers --rounds 9");
});

Deno.test("parseOptions() refuses what it can't use", () => {
  for (
    const [args, found] of [
      [["--only", "http,htp"], `"htp"`],
      [["--rounds", "none"], `--rounds "none"`],
      [["--seconds", "0"], `--seconds "0"`],
      [["--round", "3"], `"--round"`],
      [["http"], `"http"`],
      [["--peers", "--against", "HEAD"], "--against"],
    ] as const
  ) assertThrows(() => parse(...args), UsageError, found);
});
