import { assert, assertStringIncludes } from "@std/assert";
import { ATTACKS, renderAttacks } from "../../tools/soak/attacks.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("each attack of docs/reliability.md names a test of the suite", () => {
  for (const { attack, file, test } of ATTACKS) {
    const titles = Deno.readTextFileSync(new URL(file, ROOT)).matchAll(
      /Deno\.test\(\s*(["`])(.*?)\1/g,
    );
    assert([...titles].some(([, , title]) => title.includes(test)), `${attack}: ${file}: ${test}`);
  }
});

Deno.test("docs/reliability.md ends with the attacks", () => {
  const page = Deno.readTextFileSync(new URL("docs/reliability.md", ROOT));
  assertStringIncludes(page.slice(page.indexOf("# Attacks")), renderAttacks());
});
