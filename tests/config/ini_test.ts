/** Tests of the INI files of a master. */

import { assertEquals, assertThrows } from "@std/assert";
import { isIniFile, parseArguments } from "../../src/config/args.ts";
import { Config } from "../../src/config/config.ts";
import { commandLineSettings } from "../../src/config/effective.ts";
import { ConfigError, formatProblem } from "../../src/config/errors.ts";
import { headOf, iniServices, lintIni, parseIni, readMasterFile } from "../../src/config/ini.ts";
import { withFiles } from "./temp_files.ts";

const cwd = "/srv";

/** The settings of the sections as they are read, each with its line. */
function sectionsOf(text: string): unknown[] {
  const shared = new Config();
  return iniServices([parseIni(text, "s.ini")], { cwd, shared }).flatMap(({ service }) =>
    service === undefined ? [] : [[service.id, service.place, Object.fromEntries(service.settings)]]
  );
}

/** What is wrong with a text. */
function refused(text: string): string[] {
  const error = assertThrows(() => parseIni(text, "s.ini"), ConfigError);
  return error.problems.map(formatProblem);
}

Deno.test("isIniFile() goes by the end of the name", () => {
  assertEquals(["a.ini", "/b/C.INI", "a.cf", "ini", "a.ini.bak"].map(isIniFile), [
    ...[true, true],
    ...[false, false, false],
  ]);
});

Deno.test("an INI file has a service in each section, with the settings before the first one", () => {
  const text =
    "\ufeff; shared\r\ncolor = red\r\n\r\n[a]\r\n// its own\r\nserver-command = ./a\r\n" +
    "server-service=0:80\r\n\n[b c]\nserver-command=./b\nserver-service=0:81\ncolor = blue";
  assertEquals(sectionsOf(text), [
    ["a", { file: "s.ini", line: 4 }, {
      color: "red",
      "server-command": "./a",
      "server-service": "0:80",
    }],
    ["b c", { file: "s.ini", line: 9 }, {
      color: "blue",
      "server-command": "./b",
      "server-service": "0:81",
    }],
  ]);
});

Deno.test("an INI file changes no value, whatever @std/ini reads in it", () => {
  const values = ["007", "1e3", "0x10", "null", "true", '"quoted"', "", "; x", "# y", "[z]", "a=b"];
  const lines = values.map((value, index) => `v${index} = ${value}\n`).join("");
  const head = headOf(parseIni(lines, "s.ini"));
  assertEquals(head.map(({ value }) => value), values);
  assertEquals(head.map(({ line }) => line), values.map((_, index) => index + 1));
  const [[, , settings]] = sectionsOf(
    `[a]\nserver-command = "/a b" "c"\nserver-service = 0:80\n${lines}`,
  ) as [[string, unknown, Record<string, string>]];
  assertEquals(settings["server-command"], '"/a b" "c"');
  assertEquals(values.map((_, index) => settings[`v${index}`]), values);
});

Deno.test("an INI file with lines that mean nothing is refused, with each of these lines", () => {
  const expected = "expected NAME = VALUE, [SERVICE] or a comment on a line of its own";
  const name = "a name with a bracket, a slash or outer white space";
  assertEquals(
    refused("x\n = 1\n[\n[]\n[a] ; b\n[a\na\0b = 1\nc = \u2028\n[a]=[b]\n[a/b]\n[ a ]\n"),
    [
      `s.ini:1: Cannot read "x": no "=" in it, ${expected}`,
      `s.ini:2: Cannot read "= 1": no name before the =, ${expected}`,
      ...[[3, "["], [4, "[]"], [5, "[a] ; b"], [6, "[a"]].map(([line, text]) =>
        `s.ini:${line}: Cannot read "${text}": a [ without a name and a ] at the end of the line, ${expected}`
      ),
      `s.ini:7: Cannot read "a\\u0000b = 1": a NUL or a line separator of Unicode, ${expected}`,
      `s.ini:8: Cannot read "c =": a NUL or a line separator of Unicode, ${expected}`,
      `s.ini:9: Cannot read "[a]=[b]": ${name}, ${expected}`,
      `s.ini:10: Cannot read "[a/b]": ${name}, ${expected}`,
      `s.ini:11: Cannot read "[ a ]": ${name}, ${expected}`,
    ],
  );
});

Deno.test("no message shows a secret value, nor the lines in which it goes on", () => {
  const expected = "expected NAME = VALUE, [SERVICE] or a comment on a line of its own";
  const found = "a NUL or a line separator of Unicode";
  assertEquals(
    refused(
      '[a]\nserver-env = KEY="-----BEGIN\nsecret\n\n[secret\n-----END"\nx\nserver-env = A=1\n[b]\ny\n' +
        "\0server-env = A=secret\u2028\nserver-env secret\nsecret",
    ),
    [
      ...[3, 5, 6, 7].map((line) =>
        `s.ini:${line}: Cannot read "server-env": its value goes on in line ${line}, expected one line`
      ),
      `s.ini:10: Cannot read "y": no "=" in it, ${expected}`,
      `s.ini:11: Cannot read "server-env": ${found}, ${expected}`,
      `s.ini:12: Cannot read "server-env": no "=" in it, ${expected}`,
      's.ini:13: Cannot read "server-env": its value goes on in line 13, expected one line',
    ],
  );
});

Deno.test("a section that is there twice is refused", () => {
  assertEquals(refused("[a]\nx = 1\n[b]\n[a]\ny = 2\n"), [
    's.ini:4: Cannot read section "a": line 1 begins it too, expected one section for a service',
  ]);
});

Deno.test("a mistake in a section is reported with its line, a missing setting with that of the section", () => {
  const file = parseIni(
    "\n[a]\nserver-command = ./a\n\n[b]\nserver-service = 0:0\nserver-command = ./b\n[c]\n",
    "s.ini",
  );
  const results = iniServices([file], { cwd, shared: new Config(), serving: new Set(["c"]) });
  const wanted = "expected server-command and server-service";
  assertEquals(results.flatMap(({ problems }) => problems.map(formatProblem)), [
    `s.ini:2: server-service: Cannot use as a service "a": no server-service, ${wanted}`,
    's.ini:6: server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
    's.ini:8: Cannot use as a service "c": no setting in it, but it serves now, ' +
    `${wanted}, or no such section`,
  ]);
});

Deno.test("a section takes shared settings of the head and of the *.gcf, but not those of the master", () => {
  const text = "server-protocol = libzc\npid-file = p\nrun-user = nobody\nserver-log = stdout\n" +
    "[a]\nserver-command = ./a\nserver-service = 0:80\n";
  const shared = new Config().set("server-protocol", "systemd").set("server-soak", "3s");
  const [{ service }] = iniServices([parseIni(text, "s.ini")], { cwd, shared });
  assertEquals([service?.protocol, service?.soakMs], ["libzc", 3_000]);
  assertEquals([...service!.settings.keys()], [
    ...["server-protocol", "server-log", "server-command", "server-service"],
  ]);
});

Deno.test("a setting of the head that no argument can hand on is refused once, with its line", () => {
  const service = "server-command = ./x\nserver-service = 0:80\n";
  const text = `\n-own = 1\n[a]\n${service}[b]\n${service.replace("80", "81")}`;
  const results = iniServices([parseIni(text, "s.ini")], { cwd, shared: new Config() });
  assertEquals(results.flatMap(({ problems }) => problems.map(formatProblem)), [
    's.ini:2: -own: Cannot hand on setting "-own": a name that is no argument, ' +
    "expected a name and a value that fit into -name value",
  ]);
});

Deno.test("lintIni() warns of slips in a head and in a section, with their lines", () => {
  const file = parseIni(
    "pid-file = p\nserver-log = stdout\nserver-service = 0:80\n[a]\npid-file = p\nx = 1\nx = 2\n" +
      "server-proc-cout = 2\n[b]\nx = 3\n",
    "s.ini",
  );
  assertEquals(lintIni(file).map(formatProblem), [
    's.ini:3: server-service: Cannot use "server-service": a setting of one service before the ' +
    "first section, expected it in the section of each service",
    's.ini:5: pid-file: Cannot use "pid-file": a setting of the master in the section of a service, ' +
    "expected it before the first section",
    's.ini:7: x: Cannot set twice "x": line 6 sets it too, and the last one counts, ' +
    "expected one line for it",
    's.ini:8: server-proc-cout: Cannot find setting "server-proc-cout": no setting has this name, ' +
    "so it can only be a server's own, expected server-proc-count",
  ]);
});

Deno.test("the settings of a master are read whatever is in a section, but not after a mistake in the head", () =>
  withFiles({
    "section.ini": "x = 1\n[a]\ny\n[a\n[a]\n",
    "head.ini": "x\n[a]\ny\n",
    "none.ini": "x = 1\n[a\n",
  }, (dir) => {
    const read = (name: string) => readMasterFile(`${dir}/${name}`);
    assertEquals(read("section.ini").map(({ key, value }) => [key, value]), [["x", "1"]]);
    const linesOf = (name: string) =>
      assertThrows(() => read(name), ConfigError).problems.map(({ line }) => line);
    assertEquals([linesOf("head.ini"), linesOf("none.ini")], [[1, 3], [2]]);
  }));

Deno.test("a server refuses sections, which would become one", () =>
  withFiles({ "a.ini": "x = 1\n[b]\nx = 2\n", "c.ini": "x = 1\n" }, (dir) => {
    const read = (name: string) =>
      commandLineSettings(parseArguments(["-config", `${dir}/${name}`]));
    const error = assertThrows(() => read("a.ini"), ConfigError);
    assertEquals(
      error.message,
      `${dir}/a.ini:2: Cannot read "[b]": a section, which only a master reads, expected NAME = VALUE`,
    );
    assertEquals(read("c.ini").get("x"), "1");
  }));
