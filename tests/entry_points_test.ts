import { assert, assertEquals, assertMatch } from "@std/assert";
import manifest from "../deno.json" with { type: "json" };
import { PUBLIC_NAMES, renderPublicNames } from "../tools/public_names.ts";
import { startDeno } from "./support/processes.ts";
import { TempDir } from "./support/temp.ts";

const ROOT = new URL("..", import.meta.url);
const ENTRIES = Object.values(manifest.exports);

/** The exported names, as far as they are looked at. */
type Symbols = readonly {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
    readonly def: {
      readonly params: readonly unknown[];
      readonly returnType: { readonly repr: string };
    };
  }[];
}[];

/** What a command of Deno prints, on both outputs. */
async function outputOf(...args: readonly string[]): Promise<string> {
  await using child = startDeno(args, { cwd: ROOT.pathname });
  const { code, stdout, stderr } = await child.ended();
  assertEquals(code, 0, stderr);
  return stdout + stderr;
}

Deno.test("each entry point exports the names of the list, and no others", () => {
  const listed = Deno.readTextFileSync(new URL(`../${PUBLIC_NAMES}`, import.meta.url));
  assertEquals(
    renderPublicNames(),
    listed,
    `the names that users may import are not those of ${PUBLIC_NAMES}. If that is meant, run ` +
      "deno run -A tools/public_names.ts and write a line into CHANGELOG.md; else take the export back",
  );
});

Deno.test("deno doc writes the pages of all entry points without a warning", async () => {
  using dir = new TempDir();
  const output = await outputOf(
    "doc",
    "--html",
    "--name=@zc/master",
    `--output=${dir.path}`,
    ...ENTRIES,
  );
  assertMatch(output, /^Written \d+ files to .*\n$/);
});

Deno.test("each exported function says what its parameters and its result are", async () => {
  const { nodes } = JSON.parse(await outputOf("doc", "--json", ...ENTRIES));
  const missing: string[] = [];
  for (const { symbols } of Object.values<{ symbols: Symbols }>(nodes)) {
    for (const { name, declarations } of symbols) {
      for (const { kind, jsDoc, def } of declarations) {
        if (kind !== "function") continue;
        const told = (tag: string) => (jsDoc?.tags ?? []).filter((one) => one.kind === tag).length;
        if (told("param") < def.params.length) missing.push(`${name}: @param`);
        const isNothing = /^(void|never)$/.test(def.returnType.repr);
        if (!isNothing && told("return") === 0) missing.push(`${name}: @returns`);
      }
    }
  }
  assertEquals(missing, []);
});

Deno.test("each entry point has a description and an example, or says that users don't import it", async () => {
  const { nodes } = JSON.parse(await outputOf("doc", "--json", ...ENTRIES));
  for (const file of ENTRIES) {
    const { doc, tags = [] } = nodes[new URL(file, ROOT).href].module_doc;
    const kinds = tags.map(({ kind }: { readonly kind: string }) => kind);
    assert(doc.includes("Not for import by users") || kinds.includes("example"), file);
  }
});
