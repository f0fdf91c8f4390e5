import { assertEquals } from "@std/assert";

const PAGE = Deno.readTextFileSync(new URL("../docs/glossary.md", import.meta.url));

for (const group of PAGE.split(/^## /m).slice(1)) {
  const terms = Array.from(group.matchAll(/^- \*\*(.+?)\*\*/gm), ([, term]) => term.toLowerCase());
  if (terms.length === 0) continue;
  Deno.test(`the terms of docs/glossary.md below "${group.split("\n")[0]}" are sorted`, () => {
    assertEquals(terms, terms.toSorted());
  });
}
