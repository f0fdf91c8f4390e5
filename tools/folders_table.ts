/**
 * The table of folders in docs/architecture.md, written from the one that tools/check_layers.ts checks.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { renderFolders } from "./check_layers.ts";

/** The page, from the root. */
export const ARCHITECTURE_PAGE = "docs/architecture.md";

const BEGIN = "<!-- folders: written by deno task docs -->\n";
const END = "<!-- end of folders -->\n";

/**
 * Puts the table where the page has room for it.
 *
 * @param page The text of the page.
 * @returns The page with the table as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withFolders(page: string): string {
  const begin = page.indexOf(BEGIN), end = page.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(
      `Cannot write the folders into ${ARCHITECTURE_PAGE}: no room, expected ${BEGIN}`,
    );
  }
  const table = `\n\`\`\`text\n${renderFolders()}\`\`\`\n\n`;
  return page.slice(0, begin + BEGIN.length) + table + page.slice(end);
}

if (import.meta.main) {
  Deno.writeTextFileSync(ARCHITECTURE_PAGE, withFolders(Deno.readTextFileSync(ARCHITECTURE_PAGE)));
}
