import { assertEquals } from "@std/assert";
import { blankControls, escapeControls } from "../../src/log/control_characters.ts";

/** Characters with a byte from 0x80 to 0x9f among them. */
const TEXT = [...new TextEncoder().encode("plain\tü 漢字 😀 \u00a0ߛ\ud7db\u{10ffff}")];
const LETTER = 0x61, BLANK = 0x20;

/** Parts of an output, and what a terminal gets of each. */
const OUTPUT: readonly (readonly [string, readonly number[][], readonly number[][]])[] = [
  ["text", [[...TEXT, 0x0a]], [[...TEXT, 0x0a]]],
  ["ASCII", [[0x1b, 0x5b, 0x0d, 0x7f, 0]], [[BLANK, 0x5b, BLANK, BLANK, BLANK]]],
  // U+009B, the control sequence introducer.
  ["U+009B", [[0xc2, 0x9b, LETTER]], [[BLANK, BLANK, LETTER]]],
  ["U+009B, cut", [[LETTER, 0xc2], [0x9b]], [[LETTER], [BLANK, BLANK]]],
  ["a character, cut", [[LETTER, 0xe6], [0x9b], [0x9b, LETTER]], [[LETTER], [], [
    0xe6,
    0x9b,
    0x9b,
    LETTER,
  ]]],
  ["a byte", [[0x9b, LETTER]], [[BLANK, LETTER]]],
  ["a byte after a first one", [[0xe6, LETTER, 0x9b]], [[0xe6, LETTER, BLANK]]],
  ["an incomplete character", [[0xe6, 0x9b, LETTER]], [[0xe6, BLANK, LETTER]]],
  ["an incomplete character, at the end", [[0xe6, 0x9b]], [[], [0xe6, BLANK]]],
  ["overlong forms", [[0xc1, 0x9b, 0xe0, 0x82, 0x9b, 0xf0, 0x80, 0x82, 0x9b]], [[
    0xc1,
    BLANK,
    0xe0,
    BLANK,
    BLANK,
    0xf0,
    BLANK,
    BLANK,
    BLANK,
  ]]],
  ["beyond Unicode", [[0xf4, 0x90, 0x80, 0x80, 0xf5, 0x80, 0x9b, 0x9b]], [[
    0xf4,
    BLANK,
    BLANK,
    BLANK,
    0xf5,
    BLANK,
    BLANK,
    BLANK,
  ]]],
];

for (const [name, parts, expected] of OUTPUT) {
  Deno.test(`blankControls() leaves no control character, and no part of one, of ${name}`, () => {
    let kept: readonly number[] = [];
    const written = parts.map((part) => {
      const bytes = new Uint8Array([...kept, ...part]), end = blankControls(bytes);
      kept = [...bytes.subarray(end)];
      return [...bytes.subarray(0, end)];
    });
    const rest = new Uint8Array(kept);
    assertEquals(blankControls(rest, true), rest.length);
    assertEquals([...written, ...(rest.length > 0 ? [[...rest]] : [])], expected);
  });
}

Deno.test("escapeControls() escapes each byte of a control character, and no byte of another", () => {
  const escaped = (...bytes: readonly number[]) =>
    new TextDecoder("latin1").decode(escapeControls(new Uint8Array(bytes)));
  assertEquals([...escapeControls(new Uint8Array(TEXT))], TEXT);
  assertEquals(escaped(LETTER, 0xc2, 0x9b, 0x33), "a\\xc2\\x9b3");
  assertEquals(escaped(LETTER, 0xc2, 0x85, 0x0a), "a\\xc2\\x85");
  assertEquals(escaped(0x9b, 0xb0, 0xe6, 0x9b), "\\x9b°æ\\x9b");
  assertEquals(escaped(0x0a, 0x0d, 0x0a), "\\n\\r");
});
