import { assertEquals } from "@std/assert";
import { bytesOf, textOf } from "../../examples/mail/net/latin1.ts";
import { topOf, withEnd } from "../../examples/mail/pop3/message_text.ts";

Deno.test("withEnd() doubles dots at the beginnings of lines, and ends the last one", () => {
  const cases = [
    ["", ".\r\n"],
    ["a\r\n", "a\r\n.\r\n"],
    ["a", "a\r\n.\r\n"],
    [".\r\n..\r\na.\r\n\r\n.b", "..\r\n...\r\na.\r\n\r\n..b\r\n.\r\n"],
    ["a\r.\r\n", "a\r.\r\n.\r\n"],
    ["\xff.\0\r\n", "\xff.\0\r\n.\r\n"],
  ];
  for (const [message, sent] of cases) assertEquals(textOf(withEnd(bytesOf(message))), sent);
});

Deno.test("topOf() has the head and so many lines of the body", () => {
  const head = "A: b\r\nC: d\r\n\r\n", message = bytesOf(`${head}1\r\n2\r\n3`);
  const top = (lines: number) => textOf(topOf(message, lines)).slice(head.length);
  assertEquals([0, 1, 2, 3, 9].map(top), [
    "",
    "1\r\n",
    "1\r\n2\r\n",
    ...Array(2).fill("1\r\n2\r\n3"),
  ]);
  assertEquals(textOf(topOf(bytesOf("A: b\r\n"), 1)), "A: b\r\n");
});
