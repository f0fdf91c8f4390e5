import { assertEquals, assertLessOrEqual } from "@std/assert";
import {
  droppedText,
  masterlogRecords,
  outputLines,
  periodName,
  perSecond,
  RECORD_BYTES_MAX,
  syslogRecords,
  timeOfDay,
} from "../../src/log/lines.ts";

const SOURCE = { ident: "imapd", pid: 77 };

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

Deno.test("outputLines() writes ident and pid before the text, and keeps its line breaks", () => {
  assertEquals(text(outputLines(SOURCE)("one\n  two")), "imapd[77] one\n  two\n");
});

Deno.test("outputLines() lets no text look like a line of its own, nor steer a terminal", () => {
  const forged = "one\nimapd[1] forged\r\nsmtpd[2] forged\rx\n\n\tindented\x1b[2J\x9b2J\0";
  assertEquals(
    text(outputLines(SOURCE)(forged)),
    "imapd[77] one\n    imapd[1] forged\n    smtpd[2] forged\n    x\n\n\tindented [2J 2J \n",
  );
});

Deno.test("outputLines() without an ident writes the bare text, as C does", () => {
  assertEquals(text(outputLines({ ident: "", pid: 77 })("one")), "one\n");
});

Deno.test("masterlogRecords() writes IDENT,PID,TEXT without an end of line", () => {
  assertEquals(text(masterlogRecords(SOURCE)("a, b [x.ts:1]")), "imapd,77,a, b [x.ts:1]");
});

Deno.test("masterlogRecords() lets no ident end before its time", () => {
  assertEquals(text(masterlogRecords({ ident: "a,b", pid: 1 })("x")), "a_b,1,x");
});

const ONE_LINE: readonly (readonly [string, string])[] = [
  ["plain\ttext äöü", "plain\ttext äöü"],
  ["two\nlines", "two lines"],
  ["Error: x\r\n    at y\n\n    at z", "Error: x at y at z"],
  ["ends\n", "ends"],
  ["\nbegins", " begins"],
  ["nul\0bell\x07escape\x1b[31mdel\x7fcsi\x9b31m", "nul bell escape [31mdel csi 31m"],
];

for (const [from, to] of ONE_LINE) {
  Deno.test(`masterlogRecords() makes one line of ${JSON.stringify(from)}`, () => {
    assertEquals(text(masterlogRecords(SOURCE)(from)), `imapd,77,${to}`);
  });
}

Deno.test("masterlogRecords() takes 10,240 bytes whole", () => {
  const body = "x".repeat(RECORD_BYTES_MAX - "imapd,77,".length);
  assertEquals(text(masterlogRecords(SOURCE)(body)), `imapd,77,${body}`);
});

for (const [name, letter] of [["2", "é"], ["3", "€"], ["4", "😀"]] as const) {
  Deno.test(`masterlogRecords() cuts a longer record between characters of ${name} bytes`, () => {
    for (let shift = 0; shift < 4; shift++) {
      const bytes = masterlogRecords(SOURCE)("x".repeat(shift) + letter.repeat(10_000));
      assertLessOrEqual(bytes.length, RECORD_BYTES_MAX);
      assertLessOrEqual(RECORD_BYTES_MAX - bytes.length, Number(name) - 1);
      text(bytes);
    }
  });
}

Deno.test("syslogRecords() writes the header of RFC 3164, its day padded with a space", () => {
  const now = () => new Date(2026, 10, 3, 4, 5, 6).getTime();
  const encode = syslogRecords(SOURCE, { facility: 2, now });
  assertEquals(text(encode("hello\nworld")), "<22>Nov  3 04:05:06 imapd[77]: hello world");
});

Deno.test("syslogRecords() goes along with the time", () => {
  let ms = new Date(2026, 0, 31, 23, 59, 59, 999).getTime();
  const encode = syslogRecords(SOURCE, { facility: 23, now: () => ms });
  assertEquals(text(encode("a")), "<190>Jan 31 23:59:59 imapd[77]: a");
  ms++;
  assertEquals(text(encode("b")), "<190>Feb  1 00:00:00 imapd[77]: b");
});

Deno.test("syslogRecords() cuts the whole datagram", () => {
  const encode = syslogRecords(SOURCE, { facility: 1, now: Date.now });
  assertEquals(encode("y".repeat(20_000)).length, RECORD_BYTES_MAX);
});

Deno.test("perSecond() makes its value once a second, and again when the clock is set back", () => {
  let ms = 5_000;
  const made: number[] = [];
  const value = perSecond(() => ms, (date) => made.push(date.getTime()));
  for (ms of [5_000, 5_999, 6_000, 6_500, 5_500]) value();
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
