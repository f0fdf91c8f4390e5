import { assertEquals } from "@std/assert";
import { LOG_LEVELS } from "../../src/config/log_form.ts";
import {
  journalRecord,
  jsonRecord,
  plainTerminalRecord,
  terminalRecord,
  textRecord,
} from "../../src/log/formats.ts";
import type { LogRecord, RecordEncoder } from "../../src/log/record.ts";

const TIME = new Date(2026, 10, 29, 1, 29, 40, 7).getTime();
const FORGED =
  "one\nimapd[1] forged\r\nsmtpd[2] forged\rx\n\ufeffpop3d[3] forged\n\n\tindented\x1b[2J\x9b2J\0";

/** Encodes a record of imapd. */
function encode(encoder: RecordEncoder, text: string, other: Partial<LogRecord> = {}): string {
  const record = {
    timeMs: TIME,
    level: "info",
    ident: "imapd",
    pid: 4711,
    text,
    ...other,
  } as const;
  return new TextDecoder("utf-8", { fatal: true }).decode(encoder(record));
}

function everyLevel(encoder: RecordEncoder): string[] {
  return LOG_LEVELS.map((level) => encode(encoder, "TEXT", { level }));
}

/** The zone of the time as date(1) writes it. */
function zone(): string {
  const { stdout } = new Deno.Command("date", { args: ["-d", `@${TIME / 1_000}`, "+%:z"] })
    .outputSync();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("textRecord() writes time with zone, level, ident and pid", () => {
  const time = `2026-11-29T01:29:40.007${zone()}`;
  assertEquals(everyLevel(textRecord), [
    `${time} debug imapd[4711] TEXT\n`,
    `${time} info imapd[4711] TEXT\n`,
    `${time} warn imapd[4711] TEXT\n`,
    `${time} error imapd[4711] TEXT\n`,
  ]);
  assertEquals(
    encode(textRecord, "TEXT", { position: "server.ts:12" }),
    `${time} info imapd[4711] TEXT [server.ts:12]\n`,
  );
});

for (
  const [name, offset] of [["Asia/Shanghai", "+08:00"], ["Asia/Kolkata", "+05:30"], [
    "America/St_Johns",
    "-03:30",
  ], ["UTC", "+00:00"]]
) {
  Deno.test(`textRecord() writes the zone ${name} as ${offset}`, async () => {
    const url = new URL("../../src/log/formats.ts", import.meta.url);
    const code = `import { textRecord } from "${url}";
      const record = { level: "info", ident: "p", pid: 1, text: "" };
      for (const timeMs of [0, 86_400_000.5]) {
        Deno.stdout.writeSync(textRecord({ ...record, timeMs: timeMs - ${offsetMs(offset)} }));
      }`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", code],
      env: { TZ: name },
    }).output();
    const [first, second] = new TextDecoder().decode(stdout).split("\n");
    // St. John's of 1970 had the same offset, and the others too.
    assertEquals(first, `1970-01-01T00:00:00.000${offset} info p[1] `);
    assertEquals(second, `1970-01-02T00:00:00.000${offset} info p[1] `);
  });
}

function offsetMs(offset: string): number {
  const [hours, minutes] = offset.slice(1).split(":").map(Number);
  return (offset.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

Deno.test("textRecord() goes along with the time, back too", () => {
  const times = [TIME, TIME + 992, TIME + 993, TIME - 8].map((timeMs) =>
    encode(textRecord, "", { timeMs }).slice(11, 23)
  );
  assertEquals(times, ["01:29:40.007", "01:29:40.999", "01:29:41.000", "01:29:39.999"]);
});

Deno.test("textRecord() lets no text look like a line of its own, nor steer a terminal", () => {
  const head = `2026-11-29T01:29:40.007${zone()} info imapd[4711] `;
  assertEquals(
    encode(textRecord, FORGED),
    `${head}one\n    imapd[1] forged\n    smtpd[2] forged\n    x\n    \ufeffpop3d[3] forged\n\n\tindented [2J 2J \n`,
  );
});

Deno.test("plainTerminalRecord() is short, with a word for warn and error", () => {
  assertEquals(everyLevel(plainTerminalRecord), [
    "01:29:40 imapd[4711] TEXT\n",
    "01:29:40 imapd[4711] TEXT\n",
    "01:29:40 warn imapd[4711] TEXT\n",
    "01:29:40 error imapd[4711] TEXT\n",
  ]);
});

Deno.test("terminalRecord() shows the level in colour too", () => {
  assertEquals(everyLevel(terminalRecord), [
    "\x1b[2m01:29:40 imapd[4711] TEXT\x1b[0m\n",
    "\x1b[2m01:29:40\x1b[0m imapd[4711] TEXT\n",
    "\x1b[2m01:29:40\x1b[0m \x1b[33mwarn\x1b[0m imapd[4711] TEXT\n",
    "\x1b[2m01:29:40\x1b[0m \x1b[31merror\x1b[0m imapd[4711] TEXT\n",
  ]);
  assertEquals(
    encode(terminalRecord, "\x1b[31mred\nmore", { position: "a.ts:1" }),
    "\x1b[2m01:29:40\x1b[0m imapd[4711]  [31mred\n    more [a.ts:1]\n",
  );
});

for (const [name, encoder] of Object.entries({ textRecord, plainTerminalRecord, terminalRecord })) {
  Deno.test(`${name}() writes the text of a program without a name, with a word for a warning`, () => {
    const lines = LOG_LEVELS.map((level) => encode(encoder, "a\nb\x9b", { level, ident: "" }));
    assertEquals(lines, ["a\n    b \n", "a\n    b \n", "warning: a\n    b \n", "a\n    b \n"]);
  });
}

Deno.test("journalRecord() writes the priority before each line, and no time", () => {
  assertEquals(everyLevel(journalRecord), [
    "<7>imapd[4711] TEXT\n",
    "<6>imapd[4711] TEXT\n",
    "<4>imapd[4711] TEXT\n",
    "<3>imapd[4711] TEXT\n",
  ]);
  assertEquals(
    encode(journalRecord, "failed\r\n  at x\nforged", { level: "error", position: "a.ts:1" }),
    "<3>imapd[4711] failed\n<3>  at x\n<3>    forged [a.ts:1]\n",
  );
});

Deno.test("jsonRecord() writes the fields of OpenTelemetry", () => {
  const Timestamp = `2026-11-29T01:29:40.007${zone()}`;
  const Resource = { "service.name": "imapd", "process.pid": 4711 };
  assertEquals(everyLevel(jsonRecord).map((line) => JSON.parse(line)), [
    { Timestamp, SeverityText: "DEBUG", SeverityNumber: 5, Body: "TEXT", Resource },
    { Timestamp, SeverityText: "INFO", SeverityNumber: 9, Body: "TEXT", Resource },
    { Timestamp, SeverityText: "WARN", SeverityNumber: 13, Body: "TEXT", Resource },
    { Timestamp, SeverityText: "ERROR", SeverityNumber: 17, Body: "TEXT", Resource },
  ]);
  const captured = encode(jsonRecord, "TEXT", {
    service: "mail/imapd.cf",
    stream: "stderr",
    position: "server.ts:12",
  });
  assertEquals(
    captured,
    `{"Timestamp":"${Timestamp}","SeverityText":"INFO","SeverityNumber":9,"Body":"TEXT",` +
      `"Resource":{"service.name":"imapd","zc.service":"mail/imapd.cf","process.pid":4711},` +
      `"Attributes":{"log.iostream":"stderr","code.file.path":"server.ts","code.line.number":12}}\n`,
  );
  assertEquals(JSON.parse(encode(jsonRecord, "", { ident: "" })).Resource, { "process.pid": 4711 });
});

Deno.test("jsonRecord() keeps any text whole on one line without a control character", () => {
  for (const text of [FORGED, '"quoted" \\', "\u2028 \u{1f600} \x7f\x80\x9f", "\ud800"]) {
    const line = encode(jsonRecord, text);
    assertEquals(JSON.parse(line).Body, text);
    // deno-lint-ignore no-control-regex
    assertEquals(line.search(/[\0-\x1f\x7f-\x9f]/), line.length - 1);
  }
});
