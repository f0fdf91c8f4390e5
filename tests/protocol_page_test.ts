/** Compares docs/protocol.md with the types, the limits and the variables of the source. Nothing is started. */
import { walkSync } from "@std/fs/walk";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  MASTER,
  MAX_DESCRIPTORS,
  MAX_SMALL_PAYLOAD_BYTES,
  maxPayloadBytes,
  TYPE_NUMBERS,
} from "../src/ipc/protocol.ts";
import { BLOCK_BYTES, BLOCKS_MAX } from "../src/log/append_queue.ts";
import { RECORD_BYTES_MAX } from "../src/log/lines.ts";
import { DEFAULT_LIMIT_BYTES } from "../src/log/spool.ts";
import { TEXT_MAX } from "../src/master/outputs/captured_stream.ts";
import { LINES_PER_SECOND } from "../src/master/outputs/line_limit.ts";
import { LINE_BYTES_MAX } from "../src/master/outputs/line_splitter.ts";
import { RECENT_MAX, RECENT_SIZE_MAX, SERVICES_MAX } from "../src/master/outputs/recent_lines.ts";
import { ENDED_MAX } from "../src/master/outputs/server_outputs.ts";
import { MOST_LEAVERS } from "../src/master/policy/capacity.ts";
import { MAX_ARGUMENT_BYTES, MAX_ARGUMENTS_BYTES } from "../src/master/services/start_size.ts";
import { MAX_FDS_PER_MESSAGE } from "../src/os/ffi/layout.ts";
import { PROTOCOL_PAGE, sizeText, withMessages } from "../tools/protocol_tables.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const PAGE = Deno.readTextFileSync(`${ROOT}${PROTOCOL_PAGE}`);

/** The cells of each row of the table in a section, without the head. */
function rowsOf(section: string): string[][] {
  const [, text] = PAGE.split(`\n## ${section}\n`), [own] = text.split("\n## ", 1);
  const rows = [...own.matchAll(/^\| (.+) \|$/gm)];
  return rows.slice(2).map(([, row]) => row.split(" | ").map((cell) => cell.trim()));
}

Deno.test("docs/protocol.md has the tables of the messages", async () => {
  assertEquals(PAGE, await withMessages(PAGE));
});

Deno.test("docs/protocol.md explains each message", () => {
  const names = ["descriptors", ...Object.keys(TYPE_NUMBERS)].filter((name) =>
    // These have only what the table says; the text of others names them.
    !["heartbeat", "spent", "loaded", "counts"].includes(name)
  );
  assertEquals(names.filter((name) => !new RegExp(`^- \\*\\*${name}\\*\\*`, "m").test(PAGE)), []);
});

/** The bounds that are no payload of a message: who sends it, what it is, and how much of it. */
const BOUNDS: readonly (readonly [from: string, what: RegExp, most: string])[] = [
  ["settings of a service", /^the start message/, sizeText(maxPayloadBytes("start"))],
  ["settings of a service", /^one argument/, `${sizeText(MAX_ARGUMENT_BYTES)} with its end`],
  ["settings of a service", /^all arguments/, `${sizeText(MAX_ARGUMENTS_BYTES)}; 112 KiB with`],
  ["server", /^payload of any type/, sizeText(MAX_SMALL_PAYLOAD_BYTES)],
  ["master", /^payload of .*unknown/, sizeText(MASTER.unknownBytes)],
  ["master", /^descriptors with one/, `${MAX_FDS_PER_MESSAGE}, and`],
  ["master", /^descriptors ahead/, MAX_DESCRIPTORS.toLocaleString("en")],
  ["program of LIB-ZC's protocol", /^closed status pipes/, `${MOST_LEAVERS} for each service,`],
  ["new master", /^payload of any other/, sizeText(MAX_SMALL_PAYLOAD_BYTES)],
  ["any process, to the log service", /^a datagram/, RECORD_BYTES_MAX.toLocaleString("en")],
  ["any process, to the log service", /^lines that wait/, sizeText(BLOCK_BYTES * BLOCKS_MAX)],
  [
    "server",
    /^captured output: a line/,
    `${sizeText(LINE_BYTES_MAX)}, a record of indented lines ${sizeText(TEXT_MAX)}`,
  ],
  ["server", /^captured lines$/, `${LINES_PER_SECOND.toLocaleString("en")} of a service`],
  [
    "server",
    /^captured output that/,
    `${sizeText(DEFAULT_LIMIT_BYTES)} for each of the master's outputs, ${
      sizeText(BLOCK_BYTES * BLOCKS_MAX)
    } for a file`,
  ],
  [
    "server",
    /^captured lines that are kept/,
    `${RECENT_MAX.toLocaleString("en")} and ${
      RECENT_SIZE_MAX.toLocaleString("en")
    } characters for a service, of ${SERVICES_MAX} services`,
  ],
  ["server", /^outputs that programs hold/, `those of ${ENDED_MAX} processes`],
];

Deno.test("docs/protocol.md has the bounds of the source", () => {
  const rows = rowsOf("Bounds");
  for (const [from, what, most] of BOUNDS) {
    const row = rows.find(([one, about]) => one === from && what.test(about));
    assert(row !== undefined, `${from}: ${what}`);
    assertStringIncludes(row[2], most);
  }
  for (const [, what, most] of rows) {
    const [, list = ""] = /^payload of ([a-z, ]+)/.exec(what) ?? [];
    const named = list.split(/,? and |, /).filter((name) => Object.hasOwn(TYPE_NUMBERS, name));
    for (const name of named) {
      assertEquals(most, sizeText(maxPayloadBytes(name as keyof typeof TYPE_NUMBERS)), what);
    }
  }
});

const VARIABLE =
  /^(?:(?:ZC|LISTEN|NOTIFY|WATCHDOG|SYSTEMD|JOURNAL|DENO|OTEL|XDG)_[A-Z_]+|HOME|USER|LOGNAME|PATH|PWD|TERM)$/;

Deno.test("docs/protocol.md has every environment variable that the source names", () => {
  const found = new Set<string>(["NO_COLOR"]);
  const add = (name: unknown) => {
    if (typeof name === "string" && VARIABLE.test(name)) found.add(name);
  };
  const plugin: Deno.lint.Plugin = {
    name: "variables",
    rules: {
      all: {
        create: () => ({
          Literal: ({ value }) => add(value),
          Property: ({ key }) => key.type === "Identifier" && add(key.name),
          MemberExpression: ({ property }) => property.type === "Identifier" && add(property.name),
        }),
      },
    },
  };
  for (const { path } of walkSync(`${ROOT}src`, { exts: [".ts"], includeDirs: false })) {
    Deno.lint.runPlugin(plugin, path, Deno.readTextFileSync(path));
  }
  const told = rowsOf("Environment variables").flatMap(([names]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name)
  );
  assertEquals(told.toSorted(), [...found].sort());
});

Deno.test("withMessages() refuses a page that has no room for the tables", async () => {
  await assertRejects(() => withMessages("# A page\n"), Error, "no room, expected <!-- messages:");
});
