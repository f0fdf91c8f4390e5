// What this project relies on in @std packages. The same tests run against the stand-ins in links/
// and, with deno.jsr.json, against the real packages: they state nothing that either lacks.
import {
  assert,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
  unreachable,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { parseArgs as parseArgsOfAll } from "@std/cli";
import { ensureDirSync } from "@std/fs/ensure-dir";
import { exists, existsSync } from "@std/fs/exists";
import { walkSync } from "@std/fs/walk";
import * as fs from "@std/fs";
import { parse, stringify } from "@std/ini";
import { BaseHandler } from "@std/log/base-handler";
import { getLevelByName, getLevelName, LogLevelNames, LogLevels } from "@std/log/levels";
import { Logger, LogRecord } from "@std/log/logger";
import * as log from "@std/log";

/** Calls back with the path of a folder that exists until then. */
async function withFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    await use(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Keeps the texts that it would write. */
class Kept extends BaseHandler {
  readonly lines: string[] = [];
  override log(msg: string): void {
    this.lines.push(msg);
  }
}

/** Any value, with nothing known of its type. */
const unknown = (value: unknown): unknown => value;

Deno.test("deno.jsr.json is deno.json without the stand-ins", () => {
  const read = (name: string) =>
    JSON.parse(Deno.readTextFileSync(new URL(`../${name}`, import.meta.url)));
  const { workspace: _, ...rest } = read("deno.json");
  assertEquals(rest, read("deno.jsr.json"));
  assertEquals(Object.keys(rest), Object.keys(read("deno.jsr.json")));
});

Deno.test("assertions of @std/assert pass on what they are told to expect", async () => {
  assert(1);
  assertArrayIncludes([1, 2, 3], [3, 1]);
  assertEquals({ a: [1, new Map([[1, { b: 2 }]])] }, { a: [1, new Map([[1, { b: 2 }]])] });
  assertExists(0);
  assertGreater(2, 1);
  assertGreaterOrEqual(2, 2);
  assertInstanceOf(new TypeError("x"), Error);
  assertLess(1, 2);
  assertLessOrEqual(2, 2);
  assertMatch("abc", /b/);
  assertNotEquals({ a: 1 }, { a: 2 });
  assertStrictEquals(NaN, NaN);
  assertStringIncludes("abc", "bc");
  await assertRejects(() => Promise.reject(1));
});

Deno.test("assertions of @std/assert throw an AssertionError on anything else", async () => {
  const failures: (() => void)[] = [
    () => assert(0),
    () => assertArrayIncludes([1, 2], [3]),
    () => assertEquals([1], [1, 2]),
    () => assertExists(null),
    () => assertGreater(1, 1),
    () => assertGreaterOrEqual(1, 2),
    () => assertInstanceOf({}, Error),
    () => assertLess(1, 1),
    () => assertLessOrEqual(2, 1),
    () => assertMatch("abc", /d/),
    () => assertNotEquals({ a: 1 }, { a: 1 }),
    () => assertStrictEquals({}, {}),
    () => assertStringIncludes("abc", "d"),
    () => assertThrows(() => {}),
    () => fail("why"),
    () => unreachable(),
  ];
  for (const failure of failures) assertThrows(failure, AssertionError);
  await assertRejects(() => assertRejects(() => Promise.resolve()), AssertionError);
});

Deno.test("assert(), assertExists() and assertInstanceOf() narrow the type", () => {
  const text = unknown("abc") as string | undefined;
  assertExists(text);
  assertEquals(text.length, 3);
  const error = unknown(new TypeError("why"));
  assertInstanceOf(error, TypeError);
  assertEquals(error.message, "why");
  const number = unknown(1) as number | string;
  assert(typeof number === "number");
  assertEquals(number.toFixed(1), "1.0");
});

Deno.test("assertThrows() and assertRejects() return the error and look at class and message", async () => {
  const error = new RangeError("too far");
  const thrown: RangeError = assertThrows(
    () => {
      throw error;
    },
    RangeError,
    "far",
  );
  assertStrictEquals(thrown, error);
  assertThrows(() => assertThrows(() => fail(), RangeError), AssertionError);
  assertThrows(() => assertThrows(() => fail("near"), Error, "far"), AssertionError);
  const rejected: RangeError = await assertRejects(() => Promise.reject(error), RangeError, "far");
  assertStrictEquals(rejected, error);
});

Deno.test("parseArgs() takes flags, values and plain arguments apart", () => {
  assertStrictEquals(parseArgs, parseArgsOfAll);
  const args = parseArgs(["a", "--on", "--name", "x", "--level=3", "-v", "b", "--", "-c"]);
  assertEquals(args, { _: ["a", "-c"], on: true, name: "x", level: 3, v: "b" });
});

Deno.test("parseArgs() keeps texts, counts switches as given or not, and sets defaults", () => {
  const args = parseArgs(["--dir", "007", "--json", "rest"], {
    string: ["dir", "other"],
    boolean: ["json", "quiet"],
    default: { port: 80 },
  });
  const { dir, other, json, quiet }: {
    dir?: string;
    other?: string;
    json: boolean;
    quiet: boolean;
  } = args;
  assertEquals([dir, other, json, quiet, args.port], ["007", undefined, true, false, 80]);
  assertEquals(args._, ["rest"]);
});

Deno.test("parseArgs() knows aliases, lists, negation and what follows a double dash", () => {
  const args = parseArgs(["-o", "f", "--tag", "a", "--tag", "b", "--no-color", "--", "-x"], {
    string: ["out", "tag"],
    boolean: ["color"],
    collect: ["tag"],
    negatable: ["color"],
    alias: { out: "o" },
    default: { color: true },
    "--": true,
  });
  const { tag, color, "--": rest }: { tag: string[]; color: boolean; "--": string[] } = args;
  assertEquals([args.out, args.o, tag, color, rest], ["f", "f", ["a", "b"], false, ["-x"]]);
});

Deno.test("parseArgs() reports unknown flags and stops early when told to", () => {
  const strange: string[] = [];
  const unknown = (arg: string) => {
    strange.push(arg);
    return false;
  };
  assertEquals(parseArgs(["--bad", "--good"], { boolean: ["good"], unknown }), {
    _: [],
    good: true,
  });
  assertEquals(strange, ["--bad"]);
  assertEquals(parseArgs(["--a", "cmd", "--b"], { boolean: ["a"], stopEarly: true })._, [
    "cmd",
    "--b",
  ]);
});

Deno.test("parse() of @std/ini reads sections and comments, and changes the values", () => {
  const text = 'a=1\r\n# c = 2\n; d\n// e\nf = null\ng = "2"\n\n[s t]\nh = true\ni = x = y\n';
  assertEquals(parse(text), { a: 1, f: null, g: "2", "s t": { h: true, i: "x = y" } });
});

Deno.test("parse() of @std/ini tells a section, a setting and all else in one line apart", () => {
  const keysOf = (line: string) => Object.keys(parse(line));
  assertEquals(["", " ; a = b", "# a", "// [a]"].flatMap(keysOf), []);
  assertEquals(parse("\ufeff[a b] "), { "a b": {} });
  assertEquals(["a = [b]", " a.b = = c", "a=;"].flatMap(keysOf), ["a", "a.b", "a"]);
  assertThrows(() => parse("[a] ; b"), SyntaxError);
});

Deno.test("parse() of @std/ini hands a reviver what each text stands for", () => {
  const seen: unknown[] = [];
  const reviver = (key: string, value: string | number | boolean | null, section?: string) => {
    seen.push([section, key, value]);
    return `${value}!`;
  };
  const text = 'a=007\nq="1"\nempty=\n [ s ] \nb=null\nc=true\n';
  assertEquals<unknown>(parse(text, { reviver }), {
    a: "7!",
    q: "1!",
    empty: "0!",
    " s ": { b: "null!", c: "true!" },
  });
  assertEquals(seen, [
    [undefined, "a", 7],
    [undefined, "q", "1"],
    [undefined, "empty", 0],
    [" s ", "b", null],
    [" s ", "c", true],
  ]);
});

Deno.test("parse() of @std/ini refuses what is neither section, comment nor assignment", () => {
  for (const text of ["a", "=a", "[a", "[]", "[ ]"]) assertThrows(() => parse(text), SyntaxError);
});

Deno.test("stringify() of @std/ini writes plain values first, then the sections", () => {
  const value = { a: 1, s: { b: "x", c: true }, d: null, empty: {}, t: { e: 2 }, l: [1, 2] };
  assertEquals(stringify(value), "a=1\nd=null\nl=1,2\n[s]\nb=x\nc=true\n[empty]\n[t]\ne=2");
  assertEquals(stringify({ a: 1, s: { b: 2 } }, { pretty: true }), "a = 1\n[s]\nb = 2");
  assertEquals(stringify({ a: 1, b: 2 }, { lineBreak: "\r\n" }), "a=1\r\nb=2");
  assertEquals(stringify({}), "");
});

Deno.test("stringify() of @std/ini asks the replacer for each text", () => {
  const replacer = (key: string, value: unknown, section?: string) => `${section}.${key}:${value}`;
  assertEquals(stringify({ a: 1, s: { b: 2 } }, { replacer }), "a=undefined.a:1\n[s]\nb=s.b:2");
});

Deno.test("getLevelByName() and getLevelName() of @std/log are each other's inverse", () => {
  assertEquals(LogLevelNames, ["NOTSET", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]);
  assertEquals(Object.values(LogLevels), [0, 10, 20, 30, 40, 50]);
  for (const name of LogLevelNames) assertEquals(getLevelName(getLevelByName(name)), name);
  assertThrows(() => getLevelByName("LOUD" as log.LevelName), Error);
  assertThrows(() => getLevelName(15 as log.LogLevel), Error);
});

Deno.test("LogRecord knows message, arguments, level, logger and time", () => {
  const before = Date.now();
  const args = [1, "two"];
  const record = new LogRecord({ msg: "m", args, level: LogLevels.WARN, loggerName: "l" });
  args.push(3);
  assertEquals([record.msg, record.level, record.levelName, record.loggerName], [
    "m",
    30,
    "WARN",
    "l",
  ]);
  assertEquals(record.args, [1, "two"]);
  assertGreaterOrEqual(record.datetime.getTime(), before);
  assertLessOrEqual(record.datetime.getTime(), Date.now());
});

Deno.test("Logger passes on what has its level, and handlers write what has theirs", () => {
  const low = new Kept("NOTSET");
  const high = new Kept("ERROR", { formatter: ({ msg, loggerName }) => `${loggerName}: ${msg}` });
  const logger = new Logger("l", "INFO", { handlers: [low, high] });
  logger.debug("debug");
  logger.info("info");
  logger.warn("warn");
  logger.error("error");
  logger.critical("critical");
  assertEquals(low.lines, ["INFO info", "WARN warn", "ERROR error", "CRITICAL critical"]);
  assertEquals(high.lines, ["l: error", "l: critical"]);
});

Deno.test("Logger returns the message, and calls a function only if its result is written", () => {
  const kept = new Kept("NOTSET");
  const logger = new Logger("l", "INFO", { handlers: [kept] });
  const text: string = logger.info("a");
  const number: number | undefined = logger.info(() => 7);
  assertEquals([text, number, logger.debug(() => fail())], ["a", 7, undefined]);
  assertEquals(kept.lines, ["INFO a", "INFO 7"]);
});

Deno.test("Logger turns values into texts", () => {
  const kept = new Kept("NOTSET", { formatter: ({ msg }) => msg });
  const logger = new Logger("l", "INFO", { handlers: [kept] });
  const error = new Error("why");
  const texts = ["a", 1, 1n, null, undefined, true, { a: "b", c: { d: 1 } }, [1, "x"], error];
  for (const value of texts) logger.info(value);
  assertEquals<unknown>(kept.lines, [
    "a",
    "1",
    "1",
    "null",
    "undefined",
    "true",
    '{"a":"b","c":{"d":1}}',
    '{"0":1,"1":"x"}',
    error.stack,
  ]);
});

Deno.test("Logger and BaseHandler let their levels be changed", () => {
  const kept = new Kept("ERROR");
  const logger = new Logger("l", "ERROR");
  logger.handlers = [kept];
  logger.level = LogLevels.DEBUG;
  kept.levelName = "DEBUG";
  assertEquals([logger.levelName, kept.level, logger.loggerName], ["DEBUG", 10, "l"]);
  logger.levelName = "INFO";
  kept.level = LogLevels.INFO;
  assertEquals([logger.level, kept.levelName], [20, "INFO"]);
  logger.debug("no");
  logger.info("yes");
  assertEquals(kept.lines, ["INFO yes"]);
  assertThrows(() => logger.level = 15 as log.LogLevel, TypeError);
});

Deno.test("BaseHandler is destroyed at the end of a using block", () => {
  let destroyed = 0;
  class Counted extends Kept {
    override destroy(): void {
      destroyed++;
    }
  }
  {
    using handler = new Counted("INFO");
    handler.setup();
    assertEquals(destroyed, 0);
  }
  assertEquals(destroyed, 1);
});

Deno.test("@std/log exports the same classes as its parts", () => {
  assertStrictEquals(log.Logger, Logger);
  assertStrictEquals(log.BaseHandler, BaseHandler);
  assertStrictEquals(log.LogLevels, LogLevels);
});

Deno.test("walkSync() yields the root and all below it, with normalized paths", () =>
  withFolder((folder) => {
    ensureDirSync(`${folder}/a/b`);
    Deno.writeTextFileSync(`${folder}/x.cf`, "");
    Deno.writeTextFileSync(`${folder}/a/b/y.gcf`, "");
    Deno.symlinkSync("x.cf", `${folder}/link`);
    const paths = (options?: fs.WalkOptions) =>
      [...walkSync(`${folder}/./a/..`, options)].map(({ path }) => path.slice(folder.length))
        .sort();
    assertEquals(paths(), ["", "/a", "/a/b", "/a/b/y.gcf", "/link", "/x.cf"]);
    assertEquals(paths({ maxDepth: 1 }), ["", "/a", "/link", "/x.cf"]);
    assertEquals(paths({ includeDirs: false, includeSymlinks: false }), ["/a/b/y.gcf", "/x.cf"]);
    assertEquals(paths({ includeFiles: false }), ["", "/a", "/a/b", "/link"]);
    assertEquals(paths({ exts: ["cf", ".gcf"], includeDirs: false }), ["/a/b/y.gcf", "/x.cf"]);
    assertEquals(paths({ match: [/\.cf$/, /b$/] }), ["/a/b", "/x.cf"]);
    assertEquals(paths({ skip: [/\/a$/] }), ["", "/link", "/x.cf"]);
    assertEquals(paths({ followSymlinks: true, includeDirs: false }), [
      "/a/b/y.gcf",
      "/x.cf",
      "/x.cf",
    ]);
  }));

Deno.test("walkSync() says what each entry is, and takes a URL", () =>
  withFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/a b`, "");
    const [root, file] = [...fs.walkSync(new URL(`file://${folder}`))];
    assertEquals(root, {
      path: folder,
      name: folder.replace(/.*\//, ""),
      isFile: false,
      isDirectory: true,
      isSymlink: false,
    });
    assertEquals(file, {
      path: `${folder}/a b`,
      name: "a b",
      isFile: true,
      isDirectory: false,
      isSymlink: false,
    });
  }));

Deno.test("walkSync() throws NotFound for a root that is not there", () =>
  withFolder((folder) => {
    assertThrows(() => [...walkSync(`${folder}/none`)], Deno.errors.NotFound);
  }));

Deno.test("exists() and existsSync() tell what is there, and of which kind", () =>
  withFolder(async (folder) => {
    assertStrictEquals(fs.existsSync, existsSync);
    Deno.writeTextFileSync(`${folder}/file`, "", { mode: 0o400 });
    Deno.writeTextFileSync(`${folder}/closed`, "", { mode: 0o000 });
    const cases: [string, fs.ExistsOptions | undefined, boolean][] = [
      ["file", undefined, true],
      ["none", undefined, false],
      ["file", { isFile: true }, true],
      ["file", { isDirectory: true }, false],
      [".", { isDirectory: true }, true],
      ["file", { isReadable: true }, true],
      ["closed", { isReadable: true }, false],
    ];
    for (const [name, options, expected] of cases) {
      assertEquals(existsSync(`${folder}/${name}`, options), expected, name);
      assertEquals(await exists(`${folder}/${name}`, options), expected, name);
    }
    assertThrows(() => existsSync(folder, { isFile: true, isDirectory: true }), TypeError);
  }));

Deno.test("ensureDirSync() makes what is missing and refuses a file", () =>
  withFolder((folder) => {
    ensureDirSync(`${folder}/a/b`);
    ensureDirSync(`${folder}/a/b`);
    assert(Deno.statSync(`${folder}/a/b`).isDirectory);
    Deno.writeTextFileSync(`${folder}/file`, "");
    assertThrows(() => ensureDirSync(`${folder}/file`), Error);
  }));
