import { assertEquals } from "@std/assert";
import { renderSettingsPage, SETTINGS_PAGE } from "../tools/settings_page.ts";

Deno.test("docs/settings.md is what the records of the settings say", () => {
  const page = new URL(`../${SETTINGS_PAGE}`, import.meta.url);
  assertEquals(Deno.readTextFileSync(page), renderSettingsPage());
});
