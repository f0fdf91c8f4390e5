import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { LOG_LEVELS } from "../../src/config/log_form.ts";
import {
  datagramParts,
  droppedText,
  masterlogRecord,
  periodName,
  perSecond,
  RECORD_BYTES_MAX,
  syslogRecords,
  timeOfDay,
} from "../../src/log/lines.ts";
import type { LogRecord } from "../../src/log/record.ts";

/** A record of imapd. */
function record(text: string, other: Partial<LogRecord> = {}): LogRecord {
  return { timeMs: Date.now(), level: "info", ident: "imapd", pid: 77, text, ...other };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

Deno.test("masterlogRecord() writes IDENT,PID,TEXT without an end of line", () => {
  assertEquals(text(masterlogRecord(record("a, b [x.ts:1]"))), "imapd,77,a, b [x.ts:1]");
});

Deno.test("masterlogRecord() lets no ident end before its time", () => {
  assertEquals(text(masterlogRecord(record("x", { ident: "a,b", pid: 1 }))), "a_b,1,x");
});

const ONE_LINE: readonly (readonly [string, string])[] = [
  ["plain\ttext äöü", "plain\ttext äöü"],
  ["two\nlines", "two lines"],
  ["Error: x\r\n    at y\n\n    at z", "Error: x at y at z"],
  ["ends\n", "ends"],
  ["\nbegins", " begins"],
  [" \r \n \t\n ", ""],
  ["a \t\ufeff\r\r b\t", "a b"],
  ["nul\0bell\x07escape\x1b[31mdel\x7fcsi\x9b31m", "nul bell escape [31mdel csi 31m"],
];

for (const [from, to] of ONE_LINE) {
  Deno.test(`masterlogRecord() makes one line of ${JSON.stringify(from)}`, () => {
    assertEquals(text(masterlogRecord(record(from))), `imapd,77,${to}`);
  });
}

Deno.test("masterlogRecord() and syslogRecords() make one line of many blanks in a moment", () => {
  const since = performance.now(), blanks = `\x07a${" ".repeat(200_000)}b`;
  for (const encode of [masterlogRecord, syslogRecords(1)]) encode(record(blanks));
  // In quadratic time it would be half a minute.
  assertLess(performance.now() - since, 10_000);
});

Deno.test("masterlogRecord() takes 10,240 bytes whole", () => {
  const body = "x".repeat(RECORD_BYTES_MAX - "imapd,77,".length);
  assertEquals(text(masterlogRecord(record(body))), `imapd,77,${body}`);
});

for (const [name, letter] of [["2", "é"], ["3", "€"], ["4", "😀"]] as const) {
  Deno.test(`masterlogRecord() cuts a longer record between characters of ${name} bytes`, () => {
    for (let shift = 0; shift < 4; shift++) {
      const bytes = masterlogRecord(record("x".repeat(shift) + letter.repeat(10_000)));
      assertLessOrEqual(bytes.length, RECORD_BYTES_MAX);
      assertLessOrEqual(RECORD_BYTES_MAX - bytes.length, Number(name) - 1);
      text(bytes);
    }
  });
}

Deno.test("masterlogRecord() says a warning and an error by a word, since a record has no level", () => {
  const [debug, info, warn, error] = LOG_LEVELS.map((level) =>
    text(masterlogRecord(record("x", { level })))
  );
  assertEquals([debug, info], ["imapd,77,x", "imapd,77,x"]);
  assertEquals([warn, error], ["imapd,77,warning: x", "imapd,77,error: x"]);
});

Deno.test("masterlogRecord() and syslogRecords() write the position behind the text", () => {
  const placed = record("x", { position: "a.ts:1" });
  assertEquals(text(masterlogRecord(placed)), "imapd,77,x [a.ts:1]");
  assert(text(syslogRecords(1)(placed)).endsWith(" imapd[77]: x [a.ts:1]"));
});

Deno.test("syslogRecords() writes the header of RFC 3164, its day padded with a space", () => {
  const timeMs = new Date(2026, 10, 3, 4, 5, 6).getTime();
  const encode = syslogRecords(2);
  assertEquals(
    text(encode(record("hello\nworld", { timeMs }))),
    "<22>Nov  3 04:05:06 imapd[77]: hello world",
  );
});

Deno.test("syslogRecords() writes the severity of each level", () => {
  const encode = syslogRecords(2);
  const heads = LOG_LEVELS.map((level) => text(encode(record("x", { level }))).slice(0, 4));
  assertEquals(heads, ["<23>", "<22>", "<20>", "<19>"]);
});

Deno.test("syslogRecords() goes along with the time", () => {
  const timeMs = new Date(2026, 0, 31, 23, 59, 59, 999).getTime();
  const encode = syslogRecords(23);
  assertEquals(text(encode(record("a", { timeMs }))), "<190>Jan 31 23:59:59 imapd[77]: a");
  const next = record("b", { timeMs: timeMs + 1 });
  assertEquals(text(encode(next)), "<190>Feb  1 00:00:00 imapd[77]: b");
});

Deno.test("syslogRecords() cuts the whole datagram", () => {
  const encode = syslogRecords(1);
  assertEquals(encode(record("y".repeat(20_000))).length, RECORD_BYTES_MAX);
});

Deno.test("perSecond() makes its value once a second, and again when the clock is set back", () => {
  const made: number[] = [];
  const value = perSecond((date) => made.push(date.getTime()));
  for (const ms of [5_000, 5_999, 6_000, 6_500, 5_500]) value(ms);
  assertEquals(made, [5_000, 6_000, 5_500]);
});

Deno.test("timeOfDay() and periodName() write local time with all its zeros", () => {
  const date = new Date(2027, 1, 3, 4, 5, 6);
  assertEquals(timeOfDay(date), "04:05:06");
  assertEquals(periodName(date, "day"), "20270203");
  assertEquals(periodName(date, "hour"), "2027020304");
});

Deno.test("droppedText() counts in English", () => {
  assertEquals([droppedText(1), droppedText(2)], ["1 log line dropped", "2 log lines dropped"]);
});

Deno.test("datagramParts() parts a long text between its lines, and loses nothing", () => {
  const record = { timeMs: 0, level: "error", ident: "web", pid: 7 } as const;
  assertEquals(datagramParts({ ...record, text: "short" }), [{ ...record, text: "short" }]);
  const text = Array.from({ length: 400 }, (_, number) => `    at 漢 line ${number}`).join("\n");
  const parts = datagramParts({ ...record, text });
  assertEquals(parts.map(({ text }) => text).join("\n"), text);
  for (const part of parts) assertEquals(masterlogRecord(part).length < 10_240, true);
  const long = "漢".repeat(20_000), pieces = datagramParts({ ...record, text: long });
  assertEquals(pieces.map(({ text }) => text).join(""), long);
  for (const piece of pieces) assertEquals(masterlogRecord(piece).length < 10_240, true);
});
