import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MAX_REQUEST_BYTES } from "../src/control/messages.ts";
import { DRAIN_BUCKETS_MS } from "../src/control/status.ts";
import { MAX_WAITING } from "../src/master/changes.ts";
import { MAX_UNSENT_BYTES } from "../src/master/control/connection.ts";
import { MAX_CLIENTS } from "../src/master/control/control_socket.ts";
import { NEXT_PHASES } from "../src/master/phase.ts";
import { CONTROL_PAGE, controlTypes, PARTS, withControl } from "../tools/control_tables.ts";
import type { TypeNode } from "../tools/documented_types.ts";

const PAGE = Deno.readTextFileSync(new URL(`../${CONTROL_PAGE}`, import.meta.url));

/** The words in the first column of the table with this head. */
function firstColumn(head: string): string[] {
  const [, table] = PAGE.split(new RegExp(`^\\| ${head} +\\| .*\\n\\|[ |-]+\\n`, "m"));
  const [rows] = table.split("\n\n", 1);
  return [...rows.matchAll(/^\| `([^`]+)`/gm)].map(([, word]) => word);
}

/** The names of all types in a type. */
function namesIn(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  const own = "typeName" in node ? [node.typeName as string] : [];
  return [...own, ...Object.values(node).flatMap(namesIn)];
}

/** The texts of a union. */
function textsOf(type: TypeNode): string[] {
  if (type.kind === "union") return type.value.flatMap(textsOf);
  return type.kind === "literal" ? [type.repr] : [];
}

Deno.test("docs/control.md has the tables of the types of the messages", async () => {
  assertEquals(PAGE, await withControl(PAGE));
});

Deno.test("docs/control.md has every type that a result has", () => {
  const types = controlTypes(), found = new Set<string>();
  const look = (name: string) => {
    if (["Record", "Readonly", "Waiting"].includes(name) || found.has(name)) return;
    found.add(name);
    namesIn(types.get(name).type).forEach(look);
  };
  look("Commands");
  // The words of this one are on the page beside the lines that have it.
  found.delete("LogLevel");
  found.delete("Commands");
  assertEquals([...found].sort(), Object.values(PARTS).flat().sort());
});

Deno.test("docs/control.md has every error, phase and event, and no others", () => {
  const types = controlTypes();
  const code = types.propertiesOf(types.get("ControlFailure").type)
    .find(({ name }) => name === "code")!;
  assertEquals(firstColumn("code"), textsOf(code.tsType));
  assertEquals(firstColumn("`phase` of the master"), Object.keys(NEXT_PHASES));
  const events = types.get("ControlEvent").type;
  assert(events.kind === "intersection" && events.value[1].kind === "parenthesized");
  const { value: union } = events.value[1];
  assert(union.kind === "union");
  const fields = union.value.map((event) =>
    types.propertiesOf(event).map(({ name, tsType }) => name === "type" ? textsOf(tsType)[0] : name)
  );
  const [, section] = PAGE.split("\n## Events\n");
  const rows = [...section.matchAll(/^\| `(\w+)` +\|([^|]*)\|/gm)].map(([, type, told]) =>
    type === "line" ? [type] : [type, ...told.matchAll(/`(\w+)`/g).map(([, name]) => name)]
  );
  // The first one is the head.
  assertEquals(rows.slice(1), fields);
});

Deno.test("docs/control.md has the limits of the source", () => {
  const text = PAGE.replace(/\s+/g, " ");
  for (
    const sentence of [
      `A line that is longer than ${MAX_REQUEST_BYTES / 1024} KiB,`,
      `one request of ${MAX_REQUEST_BYTES / 1024} KiB and ${
        MAX_UNSENT_BYTES === 1 << 20 ? "one MiB" : MAX_UNSENT_BYTES
      } of answers`,
      `At most ${MAX_WAITING} changes wait`,
      `At most ${MAX_CLIENTS} clients are connected.`,
      `${DRAIN_BUCKETS_MS.slice(0, -1).map((ms) => ms / 1000).join(", ")} and ${
        DRAIN_BUCKETS_MS.at(-1)! / 1000
      } s`,
    ]
  ) assertStringIncludes(text, sentence);
});

Deno.test("a field that is missing, undocumented or of another type is a difference", () => {
  const types = controlTypes(), { type } = types.get("UnreadyService");
  assertEquals(types.differences({ id: "a.cf", reason: "" }, type, "it"), []);
  assertEquals(types.differences({ id: null, why: "" }, type, "it"), [
    "it.why: not documented",
    "it.id: null, not string",
    "it.reason: missing",
  ]);
});

Deno.test("withControl() refuses a page that has no room for the tables", async () => {
  await assertRejects(() => withControl("# A page\n"), Error, "no room, expected <!-- commands:");
});
