import { assertEquals } from "@std/assert";
import { EXIT } from "../src/commands/connect.ts";
import { COMMANDS } from "../src/commands/table.ts";
import { COMMANDS_PAGE, renderCommandsPage } from "../tools/commands_page.ts";

Deno.test("docs/commands.md is what the tables of commands, arguments and exit codes say", () => {
  const page = new URL(`../${COMMANDS_PAGE}`, import.meta.url);
  assertEquals(Deno.readTextFileSync(page), renderCommandsPage());
});

Deno.test("the table of commands has the exit codes that commands end with, and no others", () => {
  const told = new Set(COMMANDS.flatMap(({ exits }) => exits.map(([code]) => code)));
  assertEquals(told, new Set(Object.values(EXIT)));
});
