import { assert, assertEquals } from "@std/assert";
import type { KeptRecord } from "../../../src/log/record.ts";
import {
  RECENT_MAX,
  RECENT_SIZE_MAX,
  RecentLines,
  SERVICES_MAX,
} from "../../../src/master/outputs/recent_lines.ts";

function record(timeMs: number, text: string) {
  return { timeMs, level: "info", ident: "a", pid: 1, text, key: `${timeMs}` } as const;
}

/** Adds a record of a service. */
function add(recent: RecentLines, id: string, one: KeptRecord, maker?: { isOfOldMaster: boolean }) {
  recent.add(id, { ...one, service: id }, maker);
}

const textsOf = (records: readonly { readonly text: string }[]) => records.map(({ text }) => text);

Deno.test("RecentLines gives the last records of all services in the order of their times", () => {
  const recent = new RecentLines();
  add(recent, "a", record(1, "a1"));
  add(recent, "b", record(2, "b2"));
  add(recent, "a", record(2.5, "a2"));
  add(recent, "a", record(3, "a3"));
  assertEquals(textsOf(recent.last(10)), ["a1", "b2", "a2", "a3"]);
  assertEquals(textsOf(recent.last(2)), ["a2", "a3"]);
  assertEquals(textsOf(recent.last(2, "a")), ["a2", "a3"]);
  assertEquals(recent.last(0), []);
  assertEquals(recent.last(5, "none"), []);
});

Deno.test("RecentLines gives the lines of the master about a service with those of the service", () => {
  const recent = new RecentLines();
  recent.add("", record(1, "web.cf: process 2 ended: exit code 3"));
  add(recent, "web.cf", record(2, "out"));
  add(recent, "api.cf", record(3, "web.cf: of another one"));
  recent.add("", record(4, "reload: services: 1 replaced"));
  recent.add("", record(5, "web.cf: FAILED"));
  const texts = ["web.cf: process 2 ended: exit code 3", "out", "web.cf: FAILED"];
  assertEquals(textsOf(recent.last(10, "web.cf")), texts);
  assertEquals(textsOf(recent.last(2, "web.cf")), texts.slice(1));
});

Deno.test("RecentLines keeps the last 1,000 records of a service", () => {
  const recent = new RecentLines();
  for (let number = 0; number < 3 * RECENT_MAX; number++) {
    add(recent, "a", record(number, `${number}`));
  }
  const kept = recent.last(Infinity);
  assertEquals(kept.length, RECENT_MAX);
  assertEquals([kept[0].text, kept.at(-1)!.text], [`${2 * RECENT_MAX}`, `${3 * RECENT_MAX - 1}`]);
});

Deno.test("RecentLines keeps 262,144 characters of a service, and a million at most in an answer", () => {
  const recent = new RecentLines(), text = "x".repeat(10_000);
  for (let number = 0; number < 1_000; number++) {
    for (let service = 0; service < 10; service++) add(recent, `${service}`, record(number, text));
  }
  assert(recent.last(Infinity, "1").length * text.length <= RECENT_SIZE_MAX);
  const bytes = recent.last(Infinity).length * text.length;
  assert(bytes <= 1 << 20 && bytes > 900_000, `${bytes}`);
});

Deno.test("RecentLines keeps the last record, however long it is", () => {
  const recent = new RecentLines();
  add(recent, "a", record(1, "x"));
  add(recent, "a", record(2, "y".repeat(2 * RECENT_SIZE_MAX)));
  assertEquals(recent.last(10, "a").length, 1);
});

Deno.test("RecentLines keeps the 64 services whose last records are the youngest", () => {
  const recent = new RecentLines();
  add(recent, "first", record(1, "first"));
  add(recent, "second", record(2, "second"));
  add(recent, "first", record(3, "again"));
  for (let number = 0; number < SERVICES_MAX - 1; number++) {
    add(recent, `${number}`, record(4, "x"));
  }
  assertEquals(recent.last(Infinity, "second"), []);
  assertEquals(textsOf(recent.last(Infinity, "first")), ["first", "again"]);
});

Deno.test("RecentLines keeps the records that come after the time of day was set back", () => {
  const recent = new RecentLines(), late = 3_600_000;
  for (let number = 0; number < RECENT_MAX; number++) {
    add(recent, "a", record(late + number, "before"));
  }
  add(recent, "b", record(late + RECENT_MAX, "before"));
  add(recent, "a", record(1, "a1"));
  add(recent, "b", record(2, "b2"));
  add(recent, "a", record(3, "a3"));
  assertEquals(textsOf(recent.last(4)), ["before", "a1", "b2", "a3"]);
  assertEquals(textsOf(recent.last(3, "a")), ["before", "a1", "a3"]);
  assertEquals(recent.last(Infinity, "a").length, RECENT_MAX);
  // Those of an old master, which has seen the same.
  const old = { isOfOldMaster: true };
  add(recent, "a", record(late + RECENT_MAX + 1, "old before"), old);
  add(recent, "a", record(4, "old after"), old);
  assertEquals(textsOf(recent.last(3, "a")), ["a3", "old before", "old after"]);
});

Deno.test("RecentLines keeps the youngest records of two masters, in whatever order they come", () => {
  const recent = new RecentLines();
  for (let number = 0; number < 600; number++) add(recent, "a", record(1_000 + number, "new"));
  for (let number = 0; number < 600; number++) {
    add(recent, "a", record(number, "old"), { isOfOldMaster: true });
  }
  const kept = recent.last(Infinity);
  assertEquals(kept.filter(({ text }) => text === "new").length, 600);
  assertEquals(
    kept.map(({ timeMs }) => timeMs),
    kept.map(({ timeMs }) => timeMs).toSorted((a, b) => a - b),
  );
});
