import { assertEquals, assertThrows } from "@std/assert";
import { ARCHITECTURE_PAGE, withFolders } from "../tools/folders_table.ts";

Deno.test("docs/architecture.md has the table of folders that is checked", () => {
  const page = Deno.readTextFileSync(new URL(`../${ARCHITECTURE_PAGE}`, import.meta.url));
  assertEquals(page, withFolders(page));
});

Deno.test("withFolders() refuses a page that has no room for the table", () => {
  assertThrows(() => withFolders("# A page\n"), Error, "no room, expected <!-- folders:");
});
