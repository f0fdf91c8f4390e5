/**
 * The parts of pages in docs/ that are written from the code, each between two marks.
 *
 * @module
 */
import { unicodeWidth } from "@std/cli/unicode-width";

/** A part of a page. */
export interface PagePart {
  /** The page, from the root. */
  readonly page: string;
  /** What the part has, as its marks say. */
  readonly name: string;
}

/**
 * Puts a text where its page has room for it.
 *
 * @param part Which part.
 * @param page The text of the page.
 * @param text What is to be between its marks.
 * @returns The page with the text as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withPart({ page: file, name }: PagePart, page: string, text: string): string {
  const mark = `<!-- ${name}: written by deno task docs -->\n`;
  const begin = page.indexOf(mark), end = page.indexOf(`<!-- end of ${name} -->\n`);
  if (begin < 0 || end < begin) {
    throw new Error(`Cannot write the ${name} into ${file}: no room, expected ${mark}`);
  }
  return `${page.slice(0, begin + mark.length)}\n${text}\n${page.slice(end)}`;
}

/**
 * A table, with columns as wide as the formatter makes them.
 *
 * @param rows The head, and all others.
 */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) =>
    Math.max(...rows.map((row) => unicodeWidth(row[column])))
  );
  const padded = (cell: string, column: number) =>
    cell + " ".repeat(widths[column] - unicodeWidth(cell));
  const line = (row: readonly string[]) => `| ${row.map(padded).join(" | ")} |\n`;
  const [head, ...body] = rows;
  return [head, widths.map((width) => "-".repeat(width)), ...body].map(line).join("");
}
