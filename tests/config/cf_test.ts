/** Tests of the settings-file grammar: a table of odd files, and the files that can't be read. */

import { assertEquals, assertInstanceOf, assertLess, assertThrows } from "@std/assert";
import { parseCf, readCfFile, systemReason } from "../../src/config/cf.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { withFiles } from "./temp_files.ts";

/** One odd file: what it holds, and its entries as `line key value`. */
interface Row {
  readonly name: string;
  readonly text: string | Uint8Array<ArrayBuffer>;
  readonly entries: readonly (readonly [line: number, key: string, value: string, raw?: string])[];
}

const LONG = "x".repeat(1_000_000);

/** A byte for each character, for what isn't UTF-8. */
function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const ROWS: readonly Row[] = [
  { name: "an empty file", text: "", entries: [] },
  { name: "a line end only", text: "\n", entries: [] },
  { name: "blank lines", text: " \n\t\n\r\n\n", entries: [] },
  { name: "a plain line", text: "a = b\n", entries: [[1, "a", "b"]] },
  { name: "no line end at the end", text: "a = b", entries: [[1, "a", "b"]] },
  { name: "no white space", text: "a=b\n", entries: [[1, "a", "b"]] },
  { name: "CRLF line ends", text: "a = b\r\nc = d\r\n", entries: [[1, "a", "b"], [2, "c", "d"]] },
  { name: "a CR within a line", text: "a = b\rc = d\n", entries: [[1, "a", "b\rc = d"]] },
  { name: "a CR as the only line end", text: "a = 1\rb\r", entries: [[1, "a", "1\rb"]] },
  { name: "tabs", text: "\ta\t=\tb\tc\t\n", entries: [[1, "a", "b\tc"]] },
  { name: "form feed and vertical tab", text: "\f\va\v=\fb\v\n", entries: [[1, "a", "b"]] },
  {
    name: "control characters at the ends",
    text: "\x01a\x7f=\x1bb\x02\n",
    entries: [[1, "a", "b"]],
  },
  {
    name: "control characters inside",
    text: "a\x01b=c\x7fd\n",
    entries: [[1, "a\x01b", "c\x7fd"]],
  },
  {
    name: "Unicode white space is text",
    text: "\u3000a\u00a0 = \u2003b\u3000\n",
    entries: [[1, "\u3000a\u00a0", "\u2003b\u3000"]],
  },
  {
    name: "NEL and line separator are text",
    text: "a=b\u0085c\u2028d\n",
    entries: [[1, "a", "b\u0085c\u2028d"]],
  },
  { name: "no equals sign", text: "standalone\n", entries: [[1, "standalone", ""]] },
  { name: "no equals sign, with blanks", text: "  two words  \n", entries: [[1, "two words", ""]] },
  { name: "an equals sign only", text: "=\n", entries: [[1, "", ""]] },
  { name: "an equals sign in blanks", text: "  =  \n", entries: [[1, "", ""]] },
  { name: "no key", text: "= x\n", entries: [[1, "", "x"]] },
  { name: "no value", text: "a =\n", entries: [[1, "a", ""]] },
  { name: "two equals signs", text: "a==b\n", entries: [[1, "a", "=b"]] },
  { name: "three equals signs", text: "===\n", entries: [[1, "", "=="]] },
  { name: "an equals sign in the value", text: "a = b = c\n", entries: [[1, "a", "b = c"]] },
  {
    name: "a URL with a query",
    text: "u=http://h/?x=1&y=2\n",
    entries: [[1, "u", "http://h/?x=1&y=2"]],
  },
  { name: "a comment", text: "# a = b\n", entries: [] },
  { name: "a comment behind blanks", text: " \t# a = b\n", entries: [] },
  { name: "a comment behind a control character", text: "\x01# a = b\n", entries: [] },
  { name: "a number sign in the value", text: "a=b#c\n", entries: [[1, "a", "b#c"]] },
  { name: "a number sign behind a blank", text: "a = b # c\n", entries: [[1, "a", "b # c"]] },
  { name: "a number sign in the key", text: "a#b = c\n", entries: [[1, "a#b", "c"]] },
  { name: "a number sign as the value", text: "a = #\n", entries: [[1, "a", "#"]] },
  { name: "an equals sign before a number sign", text: "=#\n", entries: [[1, "", "#"]] },
  { name: "a semicolon first", text: "; x\n", entries: [[1, "; x", ""]] },
  { name: "a semicolon with a value", text: ";a = b\n", entries: [[1, ";a", "b"]] },
  { name: "slashes first", text: "// a = b\n", entries: [[1, "// a", "b"]] },
  { name: "a section", text: "[s]\na = b\n", entries: [[1, "[s]", ""], [2, "a", "b"]] },
  { name: "double quotes", text: 'a = "b c"\n', entries: [[1, "a", '"b c"']] },
  { name: "single quotes", text: "a = ' b '\n", entries: [[1, "a", "' b '"]] },
  { name: "an open quote", text: 'a = "b\nc = d\n', entries: [[1, "a", '"b'], [2, "c", "d"]] },
  {
    name: "a backslash at the end",
    text: "a = b\\\nc = d\n",
    entries: [[1, "a", "b\\"], [2, "c", "d"]],
  },
  { name: "escapes", text: "a = \\n\\t\\x41\n", entries: [[1, "a", "\\n\\t\\x41"]] },
  { name: "a dollar sign", text: "a = $HOME ${x} `y`\n", entries: [[1, "a", "$HOME ${x} `y`"]] },
  { name: "a number with zeros", text: "a = 007\n", entries: [[1, "a", "007"]] },
  {
    name: "words that mean something elsewhere",
    text: "a = null\nb = true\nc = 1e3\n",
    entries: [[1, "a", "null"], [2, "b", "true"], [3, "c", "1e3"]],
  },
  {
    name: "the same key again",
    text: "a=1\nb=2\na=3\n",
    entries: [[1, "a", "1"], [2, "b", "2"], [3, "a", "3"]],
  },
  {
    name: "keys that differ in capitals",
    text: "a=1\nA=2\n",
    entries: [[1, "a", "1"], [2, "A", "2"]],
  },
  {
    name: "a key of Object.prototype",
    text: "__proto__ = x\nconstructor\n",
    entries: [[1, "__proto__", "x"], [2, "constructor", ""]],
  },
  { name: "Unicode", text: "名字 = 值 😀\n", entries: [[1, "名字", "值 😀"]] },
  { name: "a byte order mark", text: "\ufeffa = b\n", entries: [[1, "\ufeffa", "b"]] },
  {
    name: "a comment behind a byte order mark",
    text: "\ufeff# a\n",
    entries: [[1, "\ufeff# a", ""]],
  },
  {
    name: "a NUL in the value",
    text: "a = b\0c\nd = e\n",
    entries: [[1, "a", "b"], [2, "d", "e"]],
  },
  { name: "a NUL in the key", text: "a\0b = c\n", entries: [[1, "a", ""]] },
  { name: "a NUL first", text: "\0a = b\nc = d\n", entries: [[2, "c", "d"]] },
  { name: "NULs only", text: "\0\0\0", entries: [] },
  {
    name: "bytes that are not UTF-8 in a value",
    text: bytes("a = b\xffc\nd = e\n"),
    entries: [[1, "a", "b\ufffdc", "b\udcffc"], [2, "d", "e"]],
  },
  {
    name: "bytes that are not UTF-8 in a comment",
    text: bytes("# \xc4\xe3\na = b\n"),
    entries: [[2, "a", "b"]],
  },
  {
    name: "a UTF-8 sequence cut off by a line end",
    text: bytes("a = \xe4\nb = c\n"),
    entries: [[1, "a", "\ufffd", "\udce4"], [2, "b", "c"]],
  },
  {
    name: "GBK, with a backslash and an equals sign among its bytes",
    text: bytes("\xc3\xfb\xd7\xd6 = \xd6\xb5\x81\x5c=\nb = c\n"),
    entries: [[1, "名字", "值乗=", "\udcd6\udcb5\udc81\udc5c="], [2, "b", "c"]],
  },
  {
    name: "a value of 1 MB",
    text: `a = ${LONG}\nb = c\n`,
    entries: [[1, "a", LONG], [2, "b", "c"]],
  },
  { name: "a key of 1 MB", text: `${LONG} = b\n`, entries: [[1, LONG, "b"]] },
  { name: "a comment of 1 MB", text: `#${LONG}\na = b\n`, entries: [[2, "a", "b"]] },
  {
    name: "1 MB of blanks around",
    text: `a${" ".repeat(1_000_000)}= b\n`,
    entries: [[1, "a", "b"]],
  },
  {
    name: "lines that are counted",
    text: "\n# x\n\n  a = b\r\n\nc\n",
    entries: [[4, "a", "b"], [6, "c", ""]],
  },
];

Deno.test("readCfFile() reads every odd file as LIB-ZC does", async (t) => {
  for (const { name, text, entries } of ROWS) {
    await t.step(name, () =>
      withFiles({ "odd.cf": text }, (dir) => {
        const file = `${dir}/odd.cf`;
        const expected = entries.map(([line, key, value, raw]) => {
          return { key, value, file, line, ...(raw !== undefined && { raw }) };
        });
        assertEquals(readCfFile(file), expected);
        if (typeof text === "string") assertEquals(parseCf(text, file), expected);
      }));
  }
});

Deno.test("readCfFile() names a file that isn't there, with its cause", () => {
  const error = assertThrows(() => readCfFile("/nonexistent/a.cf"), ConfigError);
  assertEquals(
    error.message,
    '/nonexistent/a.cf: Cannot read settings file "/nonexistent/a.cf": ' +
      "no such file or directory, expected a regular file that may be read",
  );
  assertInstanceOf(error.cause, Deno.errors.NotFound);
});

Deno.test("readCfFile() refuses a directory", () =>
  withFiles({}, (dir) => {
    const error = assertThrows(() => readCfFile(dir), ConfigError);
    assertEquals(
      error.message,
      `${dir}: Cannot read settings file "${dir}": ` +
        "a directory, expected a regular file that may be read",
    );
  }));

Deno.test("readCfFile() refuses a device instead of reading it for ever", () => {
  const error = assertThrows(() => readCfFile("/dev/zero"), ConfigError);
  assertEquals(
    error.message,
    '/dev/zero: Cannot read settings file "/dev/zero": ' +
      "not a file, expected a regular file that may be read",
  );
});

Deno.test("readCfFile() names a path below a plain file", () =>
  withFiles({ "a.cf": "" }, (dir) => {
    const path = `${dir}/a.cf/b.cf`;
    const error = assertThrows(() => readCfFile(path), ConfigError);
    assertEquals(
      error.message,
      `${path}: Cannot read settings file "${path}": ` +
        "not a directory, expected a regular file that may be read",
    );
  }));

Deno.test("systemReason() words the common refusals, and repeats any other", () => {
  assertEquals(systemReason(new Deno.errors.NotFound("x")), "no such file or directory");
  assertEquals(systemReason(new Deno.errors.PermissionDenied("x")), "permission denied");
  assertEquals(systemReason(new Deno.errors.NotADirectory("x")), "not a directory");
  assertEquals(systemReason(new Error("Is on fire (os error 5)")), "Is on fire (os error 5)");
});

Deno.test("parseCf() takes linear time for every shape of file", async (t) => {
  // Quadratic work on a megabyte is some 10^12 steps, far beyond the bound; linear work needs
  // about a hundredth of it.
  const SIZE = 1_000_000;
  const BOUND_MS = 30_000;
  const shapes = ["\n", " ", "=", "#", "\0", "\r", "a", " \n", "=\n", "a\n", "a=b\n", " a = b \n"];
  for (const shape of [...shapes, "#\n", "\0\n", " =", "a ", "\x01\n", "\ufeff"]) {
    await t.step(JSON.stringify(shape), () => {
      const text = shape.repeat(SIZE / shape.length);
      const start = performance.now();
      parseCf(text, "big.cf");
      assertLess(performance.now() - start, BOUND_MS);
    });
  }
});
