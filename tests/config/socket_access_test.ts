import { assertEquals, assertThrows } from "@std/assert";
import { parseSocketMode, parseSocketOwner } from "../../src/config/socket_access.ts";

Deno.test("parseSocketMode() reads three octal digits, with a leading zero or without", () => {
  const texts = ["0660", "660", "0000", "777", "0600"];
  assertEquals(texts.map(parseSocketMode), [0o660, 0o660, 0, 0o777, 0o600]);
});

for (
  const [text, found] of [
    ["rw-rw----", "not octal"],
    ["0o660", "not octal"],
    ["-660", "not octal"],
    ["0669", "not three octal digits"],
    ["66", "not three octal digits"],
    ["00660", "not three octal digits"],
    ["1777", "bits beyond 0777"],
    ["4660", "bits beyond 0777"],
  ] as const
) {
  Deno.test(`parseSocketMode() refuses ${text}: ${found}`, () => {
    const { message } = assertThrows(() => parseSocketMode(text), TypeError);
    const expected = "three octal digits such as 0660";
    assertEquals(message, `Cannot read "${text}": ${found}, expected ${expected}`);
  });
}

Deno.test("parseSocketOwner() reads a user, a group, and both", () => {
  assertEquals(parseSocketOwner("www"), { user: "www" });
  assertEquals(parseSocketOwner("www:mail"), { user: "www", group: "mail" });
  assertEquals(parseSocketOwner(":mail"), { group: "mail" });
  assertEquals(parseSocketOwner("33:8"), { user: "33", group: "8" });
});

for (
  const [text, found] of [
    [":", "no group after the colon"],
    ["www:", "no group after the colon"],
    ["www:mail:x", "none of the forms"],
    ["www mail", "none of the forms"],
  ] as const
) {
  Deno.test(`parseSocketOwner() refuses ${text}: ${found}`, () => {
    const { message } = assertThrows(() => parseSocketOwner(text), TypeError);
    const expected = "USER, USER:GROUP or :GROUP, each a name or a number";
    assertEquals(message, `Cannot read "${text}": ${found}, expected ${expected}`);
  });
}
