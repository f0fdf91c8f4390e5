/**
 * Runs the examples in the doc comments of `src` as tests, all in one process. `deno test --doc`
 * does the same with a process for each module, which takes ten times as much processor time; it
 * stays the check of their types (`deno check --doc`). `deno run -A tools/doc_examples.ts`
 *
 * @module
 */
import { walkSync } from "@std/fs/walk";

/** A code block of a doc comment that is not marked with `ignore`. */
const BLOCK = /^ *\* ```ts$\n([^]*?)^ *\* ```$/gm;
const IMPORT = /^import [^;]*? from "([^"]+)";$/gm;

const ROOT = new URL("..", import.meta.url);

/** A code block, and its place as `PATH:LINE`. */
interface Example {
  readonly file: URL;
  readonly place: string;
  readonly block: string;
}

function readExamples(): Example[] {
  const modules = walkSync(new URL("src", ROOT), { exts: [".ts"], includeDirs: false });
  return Array.from(modules, ({ path }) => path).sort().flatMap((path) => {
    const file = new URL(path, ROOT), text = Deno.readTextFileSync(file);
    return Array.from(text.matchAll(BLOCK), ({ 1: block, index }) => {
      const line = text.slice(0, index).split("\n").length;
      return { file, place: `${path.slice(ROOT.pathname.length)}:${line}`, block };
    });
  });
}

/** An example as a module with one test. */
function testOf({ file, place, block }: Example): string {
  const code = block.replaceAll(/^ *\* ?/gm, "");
  const imports = Array.from(
    code.matchAll(IMPORT),
    ([statement, specifier]) =>
      specifier.startsWith(".")
        ? statement.replace(specifier, new URL(specifier, file).href)
        : statement,
  );
  const body = code.replaceAll(IMPORT, "");
  return `${imports.join("\n")}
Deno.test(${JSON.stringify(place)}, async () => {
${body}});
`;
}

const examples = readExamples();
// Deno is content with a run of no test.
if (examples.length === 0) throw new Error("Cannot find an example in src, expected blocks of ts");
const folder = Deno.makeTempDirSync({ prefix: "zc_examples_" });
let code = 1;
try {
  const imports = examples.map((example) => {
    // An error in the module itself names only the file.
    const name = `${example.place.replaceAll("/", "_")}.ts`;
    Deno.writeTextFileSync(`${folder}/${name}`, testOf(example));
    return `import "./${name}";\n`;
  });
  Deno.writeTextFileSync(`${folder}/all_test.ts`, imports.join(""));
  const args = ["test", "--no-check", "-A", "-q", "--config", "deno.json", `${folder}/all_test.ts`];
  ({ code } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status);
} finally {
  Deno.removeSync(folder, { recursive: true });
}
Deno.exit(code);
