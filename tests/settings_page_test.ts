import { assert, assertEquals } from "@std/assert";
import { loadConfigDirectory } from "../src/config/directory.ts";
import { ALL_SETTINGS } from "../src/config/settings.ts";
import { renderSettingsPage, SECTIONS, SETTINGS_PAGE } from "../tools/settings_page.ts";
import { TempDir } from "./support/temp.ts";

Deno.test("docs/settings.md is what the records of the settings say", () => {
  const page = new URL(`../${SETTINGS_PAGE}`, import.meta.url);
  assertEquals(Deno.readTextFileSync(page), renderSettingsPage());
});

Deno.test("docs/settings.md has every setting once, in the section of its group", () => {
  const [, ...sections] = renderSettingsPage().split("\n## ");
  const names = sections.map((text) =>
    [...text.matchAll(/^\| `([^`]+)` /gm)].map(([, name]) => name)
  );
  Object.keys(SECTIONS).forEach((group, index) => {
    const expected = ALL_SETTINGS.filter((setting) => setting.group === group);
    assertEquals(names[index], expected.map(({ name }) => name).sort(), group);
  });
  assertEquals(names.flat().length, ALL_SETTINGS.length);
});

for (const [group, { title, example }] of Object.entries(SECTIONS)) {
  Deno.test(`docs/settings.md: the example of "${title}" is read without a problem`, () => {
    using dir = new TempDir();
    const [, file] = /^# conf\/(\S+\.g?cf)\b/.exec(example) ?? [];
    dir.write(file, example);
    const { services, globals, ...found } = loadConfigDirectory(dir.path, { cwd: dir.path });
    assertEquals(found, { problems: [], warnings: [] });
    assertEquals(services.length, file.endsWith(".cf") ? 1 : 0);
    const keys = [
      ...services.flatMap(({ settings }) => [...settings.keys()]),
      ...globals.map(({ key }) => key),
    ];
    const ofGroup = ALL_SETTINGS.filter((setting) => setting.group === group);
    assert(ofGroup.some(({ name }) => keys.includes(name)), `${keys}`);
  });
}
