/** Tests of the map of settings and of its typed readings. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Config,
  defaultConfig,
  loadEntries,
  setFrom,
  settingOrigin,
} from "../../src/config/config.ts";
import { parseCf } from "../../src/config/cf.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { toBool, toInt, toLong, toSecond, toSize } from "../../src/config/units.ts";
import { withFiles } from "./temp_files.ts";

Deno.test("Config keeps the order of first setting, and the last value wins", () => {
  const config = loadEntries(new Config(), parseCf("b = 1\na = 2\nb = 3\n", "x.cf"));
  assertEquals([...config], [["b", "3"], ["a", "2"]]);
  assertEquals([...config.keys()], ["b", "a"]);
  assertEquals(config.size, 2);
  assertEquals(settingOrigin(config, "b"), { file: "x.cf", line: 3 });
});

Deno.test("Config tells a setting that is empty from one that isn't set", () => {
  const config = new Config().set("a", "");
  assert(config.has("a"));
  assertEquals(config.get("a"), "");
  assertEquals(config.getStr("a", "default"), "");
  assertEquals(config.get("b"), undefined);
  assertEquals(config.getStr("b", "default"), "default");
});

Deno.test("Config.delete() forgets value and origin", () => {
  const config = setFrom(new Config(), "a", "1", "argument");
  assert(config.delete("a"));
  assert(!config.delete("a"));
  assertEquals(settingOrigin(config, "a"), undefined);
});

Deno.test("Config.merge() lets the other one win and takes its origins over", () => {
  const config = setFrom(new Config(), "a", "1", { file: "a.cf", line: 1 });
  setFrom(config, "b", "2", "argument");
  const other = setFrom(new Config(), "a", "3", "argument").set("c", "4");
  config.merge(other);
  assertEquals([...config], [["a", "3"], ["b", "2"], ["c", "4"]]);
  assertEquals(settingOrigin(config, "a"), "argument");
  assertEquals(settingOrigin(config, "c"), undefined);
  assertEquals(other.size, 2);
});

Deno.test("Config.loadFile() changes nothing when the file can't be read", () =>
  withFiles({ "a.cf": "a = 1\n" }, (dir) => {
    const config = new Config().loadFile(`${dir}/a.cf`);
    assertThrows(() => config.loadFile(`${dir}/b.cf`), ConfigError);
    assertEquals([...config], [["a", "1"]]);
  }));

Deno.test("Config takes keys of Object.prototype for ordinary ones", () => {
  const config = new Config();
  assertEquals(config.get("constructor"), undefined);
  assertEquals(config.set("__proto__", "x").get("__proto__"), "x");
});

Deno.test("Config's typed readings give the default for a setting that is missing or empty", () => {
  const config = new Config().set("empty", "");
  for (const key of ["missing", "empty"]) {
    assertEquals(config.getInt(key, 7), 7);
    assertEquals(config.getLong(key, 8), 8);
    assertEquals(config.getBool(key, true), true);
    assertEquals(config.getSecond(key, 9), 9);
    assertEquals(config.getSize(key, 10), 10);
  }
});

Deno.test("Config's typed readings read what is set", () => {
  const config = new Config().set("n", "12").set("b", "Yes").set("t", "2m").set("s", "4K");
  assertEquals(config.getInt("n"), 12);
  assertEquals(config.getLong("n"), 12);
  assertEquals(config.getBool("b"), true);
  assertEquals(config.getSecond("t"), 120);
  assertEquals(config.getSize("s"), 4096);
});

Deno.test("defaultConfig is a Config of the whole process", () => {
  assert(defaultConfig instanceof Config);
});

/** `undefined` stands for the default. */
type Rows<T> = readonly (readonly [text: string, value: T | undefined])[];

const LONGS: Rows<number> = [
  ["0", 0],
  ["42", 42],
  ["-42", -42],
  ["+42", 42],
  ["007", 7],
  [" \t42", 42],
  ["42 apples", 42],
  ["42abc", 42],
  ["1.9", 1],
  ["1e3", 1],
  ["0x10", 0],
  ["9007199254740991", 9_007_199_254_740_991],
  ["9007199254740992", undefined],
  ["abc", undefined],
  ["-", undefined],
  ["+-1", undefined],
  ["", undefined],
  ["\u00a042", undefined],
];

Deno.test("toLong() reads as atol(3) does, and the default where there is no number", () => {
  for (const [text, value] of LONGS) assertEquals(toLong(text, -1), value ?? -1, text);
});

Deno.test("toInt() gives the default beyond 32 bits", () => {
  assertEquals(toInt("2147483647", -1), 2_147_483_647);
  assertEquals(toInt("2147483648", -1), -1);
  assertEquals(toInt("-2147483648", -1), -2_147_483_648);
  assertEquals(toInt("-2147483649", -1), -1);
});

Deno.test("toBool() knows eight words in capitals or not", () => {
  for (const text of ["1", "y", "Y", "yes", "YES", "Yes", "true", "TRUE"]) {
    assertEquals(toBool(text, false), true, text);
  }
  for (const text of ["0", "n", "N", "no", "NO", "No", "false", "FALSE"]) {
    assertEquals(toBool(text, true), false, text);
  }
  for (const text of ["", "2", "on", "off", "yes ", "ja", "ye\u017f"]) {
    assertEquals(toBool(text, true), true, text);
    assertEquals(toBool(text, false), false, text);
  }
});

const SECONDS: Rows<number> = [
  ["90", 90],
  ["90s", 90],
  ["90S", 90],
  ["5m", 300],
  ["5M", 300],
  ["2h", 7_200],
  ["1d", 86_400],
  ["1w", 604_800],
  ["0", 0],
  ["-5", 0],
  ["-5m", 0],
  ["+5", 5],
  [" 5", 5],
  ["5x", 5],
  ["5 ", 5],
  ["5 s", undefined],
  ["5ms", undefined],
  ["5é", undefined],
  ["s", undefined],
  ["abc", undefined],
  ["", undefined],
  ["1.5", undefined],
  ["9007199254740991w", undefined],
];

Deno.test("toSecond() reads as LIB-ZC does", () => {
  for (const [text, value] of SECONDS) assertEquals(toSecond(text, -1), value ?? -1, text);
});

const SIZES: Rows<number> = [
  ["512", 512],
  ["512b", 512],
  ["64k", 65_536],
  ["64K", 65_536],
  ["10m", 10_485_760],
  ["1g", 1_073_741_824],
  ["1G", 1_073_741_824],
  ["-1", 0],
  ["-1k", 0],
  ["7t", 7],
  ["10mb", undefined],
  ["10 m", undefined],
  ["k", undefined],
  ["", undefined],
];

Deno.test("toSize() reads as LIB-ZC does", () => {
  for (const [text, value] of SIZES) assertEquals(toSize(text, -1), value ?? -1, text);
});
