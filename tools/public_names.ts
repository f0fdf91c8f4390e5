/**
 * The list of the names that users may import, from each entry point in `deno.json`.
 *
 * A test compares it with the code, so that no name becomes public, or ceases to be, by accident.
 * `deno run -A tools/public_names.ts` writes it.
 *
 * @module
 */
import manifest from "../deno.json" with { type: "json" };

/** The list, from the root. */
export const PUBLIC_NAMES = "tests/public_names.txt";

const ROOT = new URL("..", import.meta.url);

/** The part of the output of `deno doc --json` that is read here. */
interface Documentation {
  readonly nodes: Readonly<Record<string, { readonly symbols: readonly PublicSymbol[] }>>;
}

interface PublicSymbol {
  readonly name: string;
  readonly declarations: readonly { readonly kind: string }[];
}

/**
 * Lists the public names as the code has them.
 *
 * @returns For each entry point a line with its name, and below it one line for each name.
 */
export function renderPublicNames(): string {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(manifest.exports)],
    cwd: ROOT,
  }).outputSync();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
  return Object.entries(manifest.exports).map(([entry, file]) => {
    const { symbols } = nodes[new URL(file, ROOT).href];
    return [entry, ...symbols.map((symbol) => `  ${textOf(symbol)}`).sort()].join("\n");
  }).join("\n\n") + "\n";
}

function textOf({ name, declarations }: PublicSymbol): string {
  return `${name}: ${[...new Set(declarations.map(({ kind }) => kind))].join(", ")}`;
}

if (import.meta.main) Deno.writeTextFileSync(new URL(PUBLIC_NAMES, ROOT), renderPublicNames());
