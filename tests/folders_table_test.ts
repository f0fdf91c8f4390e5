import { assert, assertEquals, assertThrows } from "@std/assert";
import { ARCHITECTURE_PAGE, withFolders } from "../tools/folders_table.ts";

Deno.test("docs/architecture.md has the table of folders that is checked", () => {
  const page = Deno.readTextFileSync(new URL(`../${ARCHITECTURE_PAGE}`, import.meta.url));
  assertEquals(page, withFolders(page));
});

Deno.test("docs/design/README.md names each design page", () => {
  const folder = new URL("../docs/design/", import.meta.url);
  const index = Deno.readTextFileSync(new URL("README.md", folder));
  const numbered = Array.from(Deno.readDirSync(folder), ({ name }) => name)
    .filter((name) => /^\d\d_/.test(name));
  assertEquals(numbered.filter((name) => !index.includes(`](${name})`)), []);
  assert(numbered.length > 0);
});

Deno.test("withFolders() refuses a page that has no room for the table", () => {
  assertThrows(() => withFolders("# A page\n"), Error, "no room, expected <!-- folders:");
});
