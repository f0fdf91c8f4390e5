import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { loadConfigDirectory } from "../src/config/directory.ts";
import { ALL_SETTINGS, SERVER_LOG } from "../src/config/settings.ts";
import { EXAMPLES, LANGUAGES, renderSettingsPage } from "../tools/settings_page.ts";
import { VALUES } from "../tools/settings_zh.ts";
import { TempDir } from "./support/temp.ts";

for (const texts of Object.values(LANGUAGES)) {
  Deno.test(`${texts.page} is what the records of the settings say`, () => {
    const page = new URL(`../${texts.page}`, import.meta.url);
    assertEquals(Deno.readTextFileSync(page), renderSettingsPage(texts));
  });

  Deno.test(`${texts.page} has every setting once, in the section of its group`, () => {
    const [, ...sections] = renderSettingsPage(texts).split("\n## ");
    const names = sections.map((text) =>
      [...text.matchAll(/^\| `([^`]+)` /gm)].map(([, name]) => name)
    );
    Object.keys(EXAMPLES).forEach((group, index) => {
      const expected = ALL_SETTINGS.filter((setting) => setting.group === group);
      assertEquals(names[index], expected.map(({ name }) => name).sort(), group);
    });
    assertEquals(names.flat().length, ALL_SETTINGS.length);
  });
}

Deno.test("docs/settings.md has value, default and aliases of a setting in five cells", () => {
  const lines = renderSettingsPage(LANGUAGES.en).split("\n").filter((line) => line.startsWith("|"));
  for (const line of lines) assertEquals(line.split("|").length, 7, line);
  const row = lines.find((line) => line.includes("| `server-proc-count`")) ?? "";
  assertStringIncludes(row, "| a whole number from 0 to 10000 ");
  assertStringIncludes(row, "| `1` ");
  const standby = lines.find((line) => line.includes("| `server-standby-count`")) ?? "";
  assertStringIncludes(standby, "Alias: `server-spare-count`.");
});

Deno.test("the Chinese forms of values are those of settings", () => {
  const forms = ALL_SETTINGS.map(({ kind }) => kind.expected);
  assertEquals(Object.keys(VALUES).filter((form) => !forms.includes(form)), []);
});

Deno.test("docs/zh-CN/settings.md is not written while a form of value has no Chinese text", () => {
  const kind = { ...SERVER_LOG.kind, expected: "a colour" };
  assertThrows(
    () => LANGUAGES.zh.value({ ...SERVER_LOG, kind }),
    Error,
    'Cannot write the value of server-log in Chinese: no text for "a colour", expected one in VALUES',
  );
});

for (const [group, example] of Object.entries(EXAMPLES)) {
  Deno.test(`docs/settings.md: the example of the ${group} settings is read without a problem`, () => {
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
