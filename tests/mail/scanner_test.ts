import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Piece } from "../../examples/mail/imap/command_reader.ts";
import { readFetchItems } from "../../examples/mail/imap/fetch_items.ts";
import { nameTest, pathOf } from "../../examples/mail/imap/folders.ts";
import {
  flagList,
  internalDate,
  lettersOf,
  nilOrString,
  readDate,
  sentDay,
  stringOf,
} from "../../examples/mail/imap/format.ts";
import { isInSet, readSet } from "../../examples/mail/imap/number_set.ts";
import { ImapSyntaxError, Scanner } from "../../examples/mail/imap/scanner.ts";
import { bytesOf } from "../../examples/mail/net/latin1.ts";

const scan = (...pieces: Piece[]) => new Scanner(pieces);

Deno.test("Scanner reads atoms, strings, literals and lists to their end", () => {
  const scanner = scan('a.b "q\\"u\\\\" ', bytesOf("li\r\nteral"), " (x y ", bytesOf("z"), ") 12");
  assertEquals(scanner.astring(), "a.b");
  scanner.space();
  assertEquals(scanner.astring(), 'q"u\\');
  scanner.space();
  assertEquals(scanner.astring(), "li\r\nteral");
  scanner.space();
  assertEquals(scanner.list(() => scanner.astring()), ["x", "y", "z"]);
  scanner.space();
  assertEquals(scanner.number(), 12);
  scanner.end();
});

Deno.test("Scanner refuses what is of another form", () => {
  const wrong: (readonly [Scanner, (scanner: Scanner) => unknown])[] = [
    [scan(""), (scanner) => scanner.astring()],
    [scan('"open'), (scanner) => scanner.astring()],
    [scan('"a\\b"'), (scanner) => scanner.astring()],
    [scan("(a b"), (scanner) => scanner.list(() => scanner.atom())],
    [scan("(a  b)"), (scanner) => scanner.list(() => scanner.atom())],
    [scan("a"), (scanner) => scanner.literal()],
    [scan("x"), (scanner) => scanner.number()],
    [scan("a b"), (scanner) => (scanner.atom(), scanner.end())],
    [scan("a ", bytesOf("b"), ""), (scanner) => (scanner.atom(), scanner.end())],
    [scan("\xe4"), (scanner) => scanner.atom()],
  ];
  for (const [scanner, read] of wrong) assertThrows(() => read(scanner), ImapSyntaxError);
});

Deno.test("sets of numbers have ranges in both directions, and * for the last one", () => {
  const found = (text: string) => {
    const set = readSet(scan(text));
    return [1, 2, 3, 4, 5].filter((number) => isInSet(set, number, 5));
  };
  assertEquals(found("2"), [2]);
  assertEquals(found("1,3:4"), [1, 3, 4]);
  assertEquals(found("4:2"), [2, 3, 4]);
  assertEquals(found("*"), [5]);
  assertEquals(found("4:*"), [4, 5]);
  assertEquals(found("9:*"), [5]);
  for (const text of ["", "x", ":1", "1:2:3"]) {
    {
      const scanner = scan(text);
      assertThrows(() => (readSet(scanner), scanner.end()), ImapSyntaxError);
    }
  }
});

Deno.test("readFetchItems() reads macros, sections, fields and ranges", () => {
  const kinds = (text: string) => readFetchItems(scan(text)).map(({ kind }) => kind);
  assertEquals(kinds("ALL"), ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]);
  assertEquals(kinds("(UID BODY BODYSTRUCTURE)"), ["UID", "BODY", "BODYSTRUCTURE"]);
  const [one] = readFetchItems(scan('body.peek[1.2.header.fields (Subject "X-Y")]<5.10>'));
  assertEquals(one, {
    kind: "section",
    label: 'BODY[1.2.HEADER.FIELDS ("Subject" "X-Y")]<5>',
    isPeek: true,
    path: [1, 2],
    text: "HEADER.FIELDS",
    fields: ["subject", "x-y"],
    range: [5, 10],
  });
  for (const section of ["", "TEXT", "1", "1.MIME", "12.3.TEXT", "HEADER"]) {
    const [item] = readFetchItems(scan(`BODY[${section}]`));
    assertEquals(item.kind === "section" && [item.label, item.isPeek], [`BODY[${section}]`, false]);
  }
  const wrong = [
    "X",
    "BODY[X]",
    "BODY[0]",
    "BODY[MIME]",
    "BODY[1.]",
    "BODY[.1]",
    "BODY[1",
    "BODY[]<1>",
  ];
  for (const text of [...wrong, "(FLAGS"]) {
    assertThrows(() => (readFetchItems(scan(text))), ImapSyntaxError, undefined, text);
  }
});

Deno.test("values of answers are quoted, or literals where they can't be", () => {
  assertEquals(stringOf('a"b\\'), '"a\\"b\\\\"');
  assertEquals(stringOf("a\r\nb"), "{4}\r\na\r\nb");
  assertEquals(stringOf("\xe4"), "{1}\r\n\xe4");
  assertEquals([nilOrString(undefined), nilOrString("")], ["NIL", '""']);
  assertEquals(internalDate(new Date("2026-01-02T03:04:05Z")), '" 2-Jan-2026 03:04:05 +0000"');
  assertEquals(readDate(" 2-Jan-2026 05:04:05 +0200"), new Date("2026-01-02T03:04:05Z"));
  assertEquals(readDate("31-dec-2025"), new Date("2025-12-31T00:00:00Z"));
  for (const text of ["", "1-Xyz-2026", "2026-01-02", "99-Jan-2026"]) {
    assertEquals(readDate(text), undefined);
  }
  assertEquals(flagList("DS", true), "(\\Draft \\Seen \\Recent)");
  assertEquals(lettersOf(["\\seen", "\\FLAGGED", "$Junk", "\\Recent"]), "FS");
});

Deno.test("sentDay() has the day of a message, and no field Date takes long", () => {
  for (
    const field of ["Sat, 31 Jan 2026 23:59:01 -0800", "31 Jan 2026 00:00 (UTC)", "31 Jan 2026"]
  ) {
    assertEquals(sentDay(field), new Date("2026-01-31T00:00:00Z"));
  }
  const since = performance.now();
  assertEquals(sentDay(`${"1".repeat(100_000)}\rx`).getTime(), NaN);
  // In quadratic time it would be more than a minute.
  assertLess(performance.now() - since, 10_000);
});

Deno.test("the names of folders never lead out of the directory of a user", () => {
  const path = (name: string) => pathOf("/u", name);
  assertEquals([path("inbox"), path("A"), path("A.b c"), path("&AOQ-")], [
    ...["/u", "/u/.A", "/u/.A.b c", "/u/.&AOQ-"],
  ]);
  const wrong = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a..b",
    ".a",
    "a.",
    "a*",
    "a%",
    "\xe4",
    "a\0",
    "a\nb",
  ];
  for (const name of [...wrong, "x".repeat(201)]) assertEquals(path(name), undefined, name);
});

Deno.test("the patterns of LIST are met within a level, or over all", () => {
  const names = ["INBOX", "A", "A.B", "A.B.C", "X+"];
  const met = (pattern: string) => names.filter(nameTest(pattern));
  assertEquals(met("*"), names);
  assertEquals(met("%"), ["INBOX", "A", "X+"]);
  assertEquals(met("A.%"), ["A.B"]);
  assertEquals(met("A*"), ["A", "A.B", "A.B.C"]);
  assertEquals(met("inbox"), ["INBOX"]);
  assertEquals([met("X+"), met("a"), met(".*")], [["X+"], [], []]);
  assertEquals([met("A*B%"), met("%.%.%"), met("%%*"), met("*C")], [
    ["A.B"],
    ["A.B.C"],
    names,
    ["A.B.C"],
  ]);
  assertEquals([met("i*x"), met("%x"), met("")], [["INBOX"], ["INBOX"], []]);
});

Deno.test("no pattern of LIST takes long", () => {
  const name = "a".repeat(200), begin = performance.now();
  for (const part of ["*a", "%a", "**", "*%", "a*%*"]) {
    const test = nameTest(`${part.repeat(10_000)}b`);
    for (let i = 0; i < 100; i++) assertEquals(test(name), false);
  }
  // Backtracking would take longer than the universe has existed.
  assert(performance.now() - begin < 20_000);
});
