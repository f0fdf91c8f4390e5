import { assertEquals, assertLess } from "@std/assert";
import { bytesOf, textOf } from "../../examples/mail/net/latin1.ts";
import { DataReader } from "../../examples/mail/smtp/data_reader.ts";

/** Reads a text in pieces of a size: the message, and what comes behind its end. */
function read(text: string, pieceBytes = Infinity, most = 1_000) {
  const reader = new DataReader(most), bytes = bytesOf(text);
  let used = 0;
  while (used < bytes.length && !reader.isDone) {
    used += reader.feed(bytes.subarray(used, used + pieceBytes));
  }
  const content = reader.content.map(textOf).join("");
  return { content, rest: textOf(bytes.subarray(used)), isDone: reader.isDone, reader };
}

const CASES: readonly (readonly [name: string, sent: string, content: string])[] = [
  ["nothing", ".\r\n", ""],
  ["one line", "a\r\n.\r\n", "a\r\n"],
  ["doubled dots", "..a\r\n...\r\n....b\r\n.\r\n", ".a\r\n..\r\n...b\r\n"],
  ["a dot that was not doubled", ".a\r\n.\r\n", "a\r\n"],
  ["a line feed alone", "a\nb\r\n.\r\n", "a\r\nb\r\n"],
  ["an end with line feeds alone", "a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"],
  ["an end with one line feed alone", "a\r\n.\nb\n.\r\nc\r\n.\r\n", "a\r\n\r\nb\r\n.\r\nc\r\n"],
  ["returns alone", "a\rb\r\r\n.\rc\r\n.\r\n", "a\rb\r\r\n\rc\r\n"],
  ["all bytes", "\0\x80\xff\r\n.\r\n", "\0\x80\xff\r\n"],
];

for (const [name, sent, content] of CASES) {
  Deno.test(`DataReader reads ${name}, in whatever pieces it comes`, () => {
    for (let pieceBytes = 1; pieceBytes <= sent.length; pieceBytes++) {
      const result = read(`${sent}QUIT\r\n.\r\n`, pieceBytes);
      assertEquals(
        [result.content, result.rest, result.isDone],
        [content, "QUIT\r\n.\r\n", true],
        `${pieceBytes} bytes at once`,
      );
    }
  });
}

Deno.test("DataReader reads a message that is too large to its end, and keeps nothing of it", () => {
  const { reader, content, rest } = read(`${"x".repeat(100)}\r\n.\r\nNOOP`, 7, 50);
  assertEquals([reader.isTooLarge, content, rest], [true, "", "NOOP"]);
});

Deno.test("DataReader keeps a message of single bytes in few pieces", () => {
  const message = "x".repeat(100_000);
  const { reader, content } = read(`${message}\r\n.\r\n`, 1, 200_000);
  assertEquals(content, `${message}\r\n`);
  assertLess(reader.content.length, 100);
});
