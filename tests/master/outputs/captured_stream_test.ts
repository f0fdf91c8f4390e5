import { assertEquals } from "@std/assert";
import {
  CapturedStream,
  type CapturedText,
  TEXT_MAX,
} from "../../../src/master/outputs/captured_stream.ts";
import { LineLimit, LINES_PER_SECOND } from "../../../src/master/outputs/line_limit.ts";

const encoder = new TextEncoder();

/** A stream, and what it has passed on. */
function stream() {
  const texts: CapturedText[] = [];
  let time = 0;
  const nowMs = () => time;
  const captured = new CapturedStream({
    limit: new LineLimit(nowMs),
    nowMs,
    onText: (text) => texts.push(text),
  });
  return {
    advance: (ms: number) => time += ms,
    texts,
    captured,
    read: (text: string) => captured.take(encoder.encode(text)),
  };
}

Deno.test("CapturedStream makes a record of each line, at the level that it begins with", () => {
  const { texts, captured, read } = stream();
  read("plain\n<3>failed\n<4>careful\n<6>fine\n<7>detail\n<0>worst\n<8>no level\n< 3>none\n");
  captured.flush();
  assertEquals(texts, [
    { level: "info", text: "plain" },
    { level: "error", text: "failed" },
    { level: "warn", text: "careful" },
    { level: "info", text: "fine" },
    { level: "debug", text: "detail" },
    { level: "error", text: "worst" },
    { level: "info", text: "<8>no level" },
    { level: "info", text: "< 3>none" },
  ]);
});

Deno.test("CapturedStream takes what a server marks for the error that ends it, and nothing else", () => {
  const { texts, captured, read } = stream();
  read("error: Uncaught Error: of a plain program\n");
  read("\x1b[merror: Uncaught Error: boom\n    at a.ts:1\n");
  read("without an end\x1b[merror: Uncaught (in promise) Error: boom\n");
  // The program has handled the error, or writes in colours.
  read("\x1b[mhandled\none \x1b[mtwo\n");
  captured.flush();
  assertEquals(texts, [
    { level: "info", text: "error: Uncaught Error: of a plain program" },
    { level: "error", text: "error: Uncaught Error: boom\n    at a.ts:1" },
    { level: "info", text: "without an end" },
    { level: "error", text: "error: Uncaught (in promise) Error: boom" },
    { level: "info", text: "handled" },
    { level: "info", text: "one \x1b[mtwo" },
  ]);
});

Deno.test("CapturedStream keeps the indented lines of a trace with the line before", () => {
  const { texts, captured, read } = stream();
  read("<3>Error: boom\n    at a.ts:1\n\tat b.ts:2\nnext\n");
  captured.flush();
  assertEquals(texts, [
    { level: "error", text: "Error: boom\n    at a.ts:1\n\tat b.ts:2" },
    { level: "info", text: "next" },
  ]);
});

Deno.test("CapturedStream joins no line to one that was passed on before", () => {
  const { texts, captured, read } = stream();
  read("first\n");
  captured.flush();
  read("  second\n");
  captured.flush();
  assertEquals(texts.map(({ text }) => text), ["first", "  second"]);
});

Deno.test("CapturedStream bounds a record of indented lines, and loses none", () => {
  const { texts, captured, read } = stream();
  const line = ` ${"x".repeat(999)}\n`;
  read("first\n");
  for (let count = 0; count < 200; count++) read(line);
  captured.end();
  assertEquals(texts.map(({ text }) => text).join("\n"), `first\n${line.repeat(200)}`.trimEnd());
  assertEquals(texts.filter(({ text }) => text.length > TEXT_MAX), []);
});

Deno.test("CapturedStream passes on a line without an end when the output is closed", () => {
  const { texts, captured, read } = stream();
  read("no end");
  captured.flush();
  assertEquals(texts, []);
  captured.end();
  assertEquals(texts, [{ level: "info", text: "no end" }]);
});

Deno.test("CapturedStream reads GBK", () => {
  const { texts, captured } = stream();
  // 中文 in GBK.
  captured.take(Uint8Array.from([0xd6, 0xd0, 0xce, 0xc4, 0x0a]));
  captured.flush();
  assertEquals(texts, [{ level: "info", text: "中文" }]);
});

const NOTICE = "dropped: more than 10000 of the service within a second";

Deno.test("CapturedStream drops the lines beyond 10,000 within a second, and says how many", () => {
  const { texts, captured, read, advance } = stream();
  read("\n".repeat(LINES_PER_SECOND + 300));
  read("still too many\n");
  captured.flush();
  assertEquals(texts.length, LINES_PER_SECOND + 1);
  advance(1_000);
  read("next second\n");
  captured.flush();
  assertEquals(texts.slice(LINES_PER_SECOND), [
    { level: "warn", text: `301 lines ${NOTICE}` },
    { level: "info", text: "next second" },
  ]);
});

Deno.test("CapturedStream tells dropped lines once a second at most, and at the end", () => {
  const { texts, captured, read, advance } = stream();
  read("x\n".repeat(LINES_PER_SECOND));
  for (let count = 0; count < 100; count++) {
    read("y\n");
    captured.flush();
  }
  assertEquals(texts.slice(LINES_PER_SECOND).map(({ text }) => text), [`1 line ${NOTICE}`]);
  assertEquals(captured.hasDropped, true);
  advance(500);
  captured.end();
  assertEquals(texts.at(-1)!.text, `99 lines ${NOTICE}`);
});
