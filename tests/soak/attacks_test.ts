import { assertEquals, assertStringIncludes } from "@std/assert";
import { ATTACKS, renderAttacks } from "../../tools/soak/attacks.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("each attack of docs/reliability.md names a test of the suite", () => {
  const missing = ATTACKS.filter(({ file, test }) => {
    const titles = Deno.readTextFileSync(new URL(file, ROOT)).matchAll(
      /(?:Deno\.test\(|\bt\.step\(|\btestKinds\(\s*"\w+",)\s*(["`])(.*?)\1/g,
    );
    return !titles.some(([, , title]) => title.includes(test));
  });
  assertEquals(missing, []);
});

Deno.test("docs/reliability.md ends with the attacks", () => {
  const page = Deno.readTextFileSync(new URL("docs/reliability.md", ROOT));
  assertStringIncludes(page.slice(page.indexOf("# Attacks")), renderAttacks());
});
