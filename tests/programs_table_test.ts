import { assertEquals } from "@std/assert";
import { PROGRAMS_PAGE, withPrograms } from "../tools/programs_table.ts";

Deno.test("docs/programs.md has the table of the programs that the tests run", () => {
  const page = Deno.readTextFileSync(new URL(`../${PROGRAMS_PAGE}`, import.meta.url));
  assertEquals(page, withPrograms(page));
});
