import { assertEquals } from "@std/assert";
import { readPath } from "../../examples/mail/smtp/path.ts";

Deno.test("readPath() reads addresses with their parameters", () => {
  const read = (text: string) => {
    const { local, domain, address, parameters } = readPath(text, "FROM") ?? {};
    return [local, domain, address, Object.fromEntries(parameters ?? [])];
  };
  assertEquals(read("FROM:<a.b@X.Test>"), ["a.b", "x.test", "a.b@X.Test", {}]);
  assertEquals(read("from: <>"), ["", "", "", {}]);
  assertEquals(read("FROM:<a@x> size=12 BODY=8BITMIME"), [
    ...["a", "x", "a@x"],
    { SIZE: "12", BODY: "8BITMIME" },
  ]);
  assertEquals(read(String.raw`FROM:<"a b\"c"@x>`), ['a b"c', "x", String.raw`"a b\"c"@x`, {}]);
  assertEquals(read("FROM:<@r.test,@s.test:a@x>").slice(0, 2), ["a", "x"]);
  assertEquals(read("FROM:<postmaster>").slice(0, 2), ["postmaster", ""]);
});

Deno.test("readPath() refuses what is no path", () => {
  const wrong = [
    "",
    "FROM:a@x",
    "TO:<a@x>",
    "FROM:<a@x",
    "FROM:<a b@x>",
    "FROM:<a@x>b",
    "FROM:<a@@x>",
  ];
  for (const text of [...wrong, "FROM:<a\0@x>", "FROM:<\xe4@x>", "FROM:<a@x y>", "FROM:<a@b@x>"]) {
    assertEquals(readPath(text, "FROM"), undefined, text);
  }
});
