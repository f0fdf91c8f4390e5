/**
 * What the commands write: tables, colours and messages for people.
 *
 * @module
 */
import { showsColours } from "../log/output_form.ts";
import { unicodeWidth } from "@std/cli/unicode-width";

/** A colour or weight of text. */
export type Style = "bold" | "dim" | "green" | "yellow" | "red";

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
};

/** A part of a line. */
export interface Cell {
  readonly text: string;
  readonly style?: Style;
  /** Whether it is a number, whose digits stand below each other. */
  readonly right?: boolean;
}

/**
 * Whether an output shows colours.
 *
 * @param output What is written to.
 */
export function showsColour(output: { isTerminal(): boolean } = Deno.stdout): boolean {
  return showsColours({ isTerminal: output.isTerminal() });
}

/**
 * Lays a table out in columns.
 *
 * @param rows The rows; the first one is the head.
 * @param options `colour`: whether styles are used.
 * @returns One line for each row.
 */
export function layOut(
  rows: readonly (readonly (string | Cell)[])[],
  { colour }: { readonly colour: boolean },
): string[] {
  const cells = rows.map((row) =>
    row.map((cell) => typeof cell === "string" ? { text: cell } : cell)
  );
  const columns = Math.max(0, ...cells.map(({ length }) => length));
  const widths = Array.from(
    { length: columns },
    (_, column) => Math.max(...cells.map((row) => unicodeWidth(row[column]?.text ?? ""))),
  );
  return cells.map((row) =>
    row.map((cell, column) => {
      const space = " ".repeat(widths[column] - unicodeWidth(cell.text));
      const text = colour ? styled(cell.text, cell.style) : cell.text;
      return cell.right ? space + text : text + space;
    }).join("  ").trimEnd()
  );
}

/** Gives a text a style. */
export function styled(text: string, style?: Style): string {
  if (style === undefined) return text;
  const [on, off] = CODES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/** Writes what is wrong, or only suspicious, to standard error. */
export function complain(severity: "error" | "warning", text: string): void {
  const mark = showsColour(Deno.stderr)
    ? styled(severity, severity === "error" ? "red" : "yellow")
    : severity;
  console.error(`${mark}: ${text}`);
}

/** Writes to standard output. Unlike `console.log`, it fails if there is no reader any more. */
export async function writeAll(bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await Deno.stdout.write(bytes));
}
