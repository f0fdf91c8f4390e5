/** Tests of the command line's grammar and of the order in which settings win. */

import { assertEquals, assertThrows } from "@std/assert";
import { applyArguments, parseArguments } from "../../src/config/args.ts";
import { Config, settingOrigin } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { withFiles } from "./temp_files.ts";

Deno.test("parseArguments() tells settings, flags and plain arguments apart", () => {
  const args = ["MASTER", "-server-log", "syslog,mail", "plain", "--debug", "-", "last"];
  assertEquals(parseArguments(args), {
    settings: [{ key: "server-log", value: "syslog,mail" }, { key: "debug", value: "yes" }],
    configFiles: [],
    rest: ["MASTER", "plain", "-", "last"],
  });
});

Deno.test("parseArguments() takes the next argument as a value whatever it looks like", () => {
  const { settings, rest } = parseArguments(["-a", "-b", "-c", "--d", "-e", "", "-f", "-"]);
  assertEquals(settings, [
    { key: "a", value: "-b" },
    { key: "c", value: "--d" },
    { key: "e", value: "" },
    { key: "f", value: "-" },
  ]);
  assertEquals(rest, []);
});

Deno.test("parseArguments() keeps an = in a flag's name, and a repeated setting", () => {
  const { settings } = parseArguments(["--a=b", "--", "-x", "1", "-x", "2"]);
  assertEquals(settings, [
    { key: "a=b", value: "yes" },
    { key: "", value: "yes" },
    { key: "x", value: "1" },
    { key: "x", value: "2" },
  ]);
});

Deno.test("parseArguments() collects the files of -config, but --config is a flag", () => {
  const parsed = parseArguments(["-config", "a.cf", "--config", "-config", "b.cf"]);
  assertEquals(parsed.configFiles, ["a.cf", "b.cf"]);
  assertEquals(parsed.settings, [{ key: "config", value: "yes" }]);
});

Deno.test("parseArguments() keeps an empty argument and no arguments at all", () => {
  assertEquals(parseArguments([""]).rest, [""]);
  assertEquals(parseArguments([]), { settings: [], configFiles: [], rest: [] });
});

Deno.test("parseArguments() names the argument that lacks its value", () => {
  for (const name of ["pid-file", "config"]) {
    const error = assertThrows(() => parseArguments(["--debug", `-${name}`]), ConfigError);
    assertEquals(
      error.message,
      `Cannot read argument "-${name}": ` +
        `no value after it, expected -${name} VALUE`,
    );
  }
});

Deno.test("applyArguments() lets a later file win over an earlier one, and arguments over files", () =>
  withFiles({ "a.cf": "x = a\ny = a\nz = a\n", "b.cf": "y = b\nz = b\n" }, (dir) => {
    const config = new Config().set("x", "before").set("w", "before");
    const args = ["-z", "argument", "-config", `${dir}/a.cf`, "-config", `${dir}/b.cf`];
    applyArguments(config, parseArguments(args));
    assertEquals([...config].sort(), [
      ["w", "before"],
      ["x", "a"],
      ["y", "b"],
      ["z", "argument"],
    ]);
    assertEquals(settingOrigin(config, "y"), { file: `${dir}/b.cf`, line: 1 });
    assertEquals(settingOrigin(config, "z"), "argument");
  }));

Deno.test("applyArguments() names every file that can't be read, and changes nothing", () =>
  withFiles({ "good.cf": "a = 1\n" }, (dir) => {
    const files = ["x.cf", "good.cf", "y.cf"].flatMap((name) => ["-config", `${dir}/${name}`]);
    const config = new Config();
    const parsed = parseArguments([...files, "--debug"]);
    const error = assertThrows(() => applyArguments(config, parsed), ConfigError);
    assertEquals(error.problems.map(({ file }) => file), [`${dir}/x.cf`, `${dir}/y.cf`]);
    assertEquals(config.size, 0);
  }));
