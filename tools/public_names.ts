/**
 * The list of the names that users may import, from each entry point in `deno.json`.
 *
 * A test compares it with the code, so that no name becomes public, or ceases to be, by accident.
 * `deno run -A tools/public_names.ts` writes it.
 *
 * @module
 */
import manifest from "../deno.json" with { type: "json" };
import { type DocumentedSymbol, documentedSymbols } from "./documented_types.ts";

/** The list, from the root. */
export const PUBLIC_NAMES = "tests/public_names.txt";

const ROOT = new URL("..", import.meta.url);

/**
 * Lists the public names as the code has them.
 *
 * @returns For each entry point a line with its name, and below it one line for each name.
 */
export function renderPublicNames(): string {
  const symbols = documentedSymbols(Object.values(manifest.exports));
  return Object.entries(manifest.exports).map(([entry, file]) =>
    [entry, ...symbols.get(file)!.map((symbol) => `  ${lineOf(symbol)}`).sort()].join("\n")
  ).join("\n\n") + "\n";
}

function lineOf({ name, declarations }: DocumentedSymbol): string {
  return `${name}: ${[...new Set(declarations.map(({ kind }) => kind))].join(", ")}`;
}

if (import.meta.main) Deno.writeTextFileSync(new URL(PUBLIC_NAMES, ROOT), renderPublicNames());
