/** Tests of text that stands for bytes: they come back, whatever they are. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { decodeBytes, encodeText, readable, readableBytes } from "../../../src/os/ffi/byte_text.ts";

/** A byte for each character. */
function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const utf8 = new TextEncoder();

/** Bytes, and what a person reads. */
const TEXTS: readonly (readonly [name: string, bytes: Uint8Array<ArrayBuffer>, text: string])[] = [
  ["nothing", bytes(""), ""],
  ["ASCII", bytes("a\\b = c\n"), "a\\b = c\n"],
  ["UTF-8", utf8.encode("名字 = é 😀\n"), "名字 = é 😀\n"],
  ["GBK", bytes("\xd6\xd0\xce\xc4"), "中文"],
  ["GBK with ASCII", bytes("/srv/\xd6\xd0/\xce\xc4.cf"), "/srv/中/文.cf"],
  ["GBK whose second bytes are ASCII", bytes("\x81\x5c\x81\x7c/\x81\x40"), "乗亅/丂"],
  ["four bytes of GB18030", bytes("\x81\x30\x81\x30a"), "\x80a"],
  ["GBK and UTF-8 by lines", bytes("\xd6\xd0\n\xe4\xb8\xad\n"), "中\n中\n"],
  // As a line of its own it would be "Ű".
  ["a line of GBK that happens to be UTF-8", bytes("\xd6\xd0\n\xc5\xb0\n"), "中\n虐\n"],
  ["bytes of no encoding", bytes("a\xffb\x80c"), "a\ufffdb€c"],
  ["a character that is cut off", bytes("a\xd6"), "a\ufffd"],
];

for (const [name, input, text] of TEXTS) {
  Deno.test(`decodeBytes() keeps ${name}, and readable() shows it`, () => {
    const decoded = decodeBytes(input);
    assertEquals(encodeText(decoded), input);
    assertEquals(readable(decoded), text);
    assertEquals(JSON.parse(JSON.stringify(decoded)), decoded);
    for (const separator of ["/", "=", "\\", " "]) {
      assertEquals(encodeText(decoded.split(separator).join(separator)), input);
    }
  });
}

Deno.test("decodeBytes() gives no ASCII character for a byte of another one", () => {
  assertEquals(decodeBytes(bytes("\x81\x5c\\")).indexOf("\\"), 2);
});

Deno.test("decodeBytes() and encodeText() are each other's opposite for random bytes", () => {
  let state = 1;
  const random = () => state = Math.imul(state, 1_103_515_245) + 12_345 >>> 0;
  for (let count = 0; count < 3_000; count++) {
    const input = Uint8Array.from({ length: random() % 40 }, () => random() >>> 16 & 0xff);
    const decoded = decodeBytes(input);
    assertEquals(encodeText(decoded), input);
    assert(readable(decoded).isWellFormed());
  }
});

Deno.test("bytes in no encoding are decoded in a moment, however many lines they are in", () => {
  const since = performance.now(), count = 200_000, line = Uint8Array.of(0xff, 0x0a);
  const bytes = Uint8Array.from({ length: count * line.length }, (_, at) => line[at % line.length]);
  assertEquals(decodeBytes(bytes), "\udcff\n".repeat(count));
  for (let i = 0; i < count; i++) readableBytes(line);
  // With an error for each line it would be half a minute.
  assertLess(performance.now() - since, 10_000);
});

Deno.test("a replacement character in UTF-8 is a character as any other", () => {
  const encoder = new TextEncoder();
  for (const text of ["\ufffd", "a\ufffd\n\u4e2d\ufffd"]) {
    assertEquals([decodeBytes(encoder.encode(text)), readableBytes(encoder.encode(text))], [
      text,
      text,
    ]);
  }
  const mixed = Uint8Array.of(...encoder.encode("\ufffd"), 0xff);
  assertEquals(encodeText(decodeBytes(mixed)), mixed);
});
