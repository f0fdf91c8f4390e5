/**
 * The table of folders in docs/architecture.md, written from the one that tools/check_layers.ts checks.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { renderFolders } from "./check_layers.ts";
import { withPart } from "./page_part.ts";

/** The page, from the root. */
export const ARCHITECTURE_PAGE = "docs/architecture.md";

/**
 * Puts the table where the page has room for it.
 *
 * @param page The text of the page.
 * @returns The page with the table as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withFolders(page: string): string {
  const text = `\`\`\`text\n${renderFolders()}\`\`\`\n`;
  return withPart({ page: ARCHITECTURE_PAGE, name: "folders" }, page, text);
}

if (import.meta.main) {
  Deno.writeTextFileSync(ARCHITECTURE_PAGE, withFolders(Deno.readTextFileSync(ARCHITECTURE_PAGE)));
}
