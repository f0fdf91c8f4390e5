/**
 * What a terminal shows, as a picture.
 *
 * @module
 */
import { unicodeWidth } from "@std/cli/unicode-width";
import { COLOURS, darkStyle, escapeXml } from "./themes.ts";

const FONT_SIZE = 14, CELL_WIDTH = 8.4, LINE_HEIGHT = 20, MARGIN = 20;

/** How a piece of a line looks. */
interface Look {
  readonly fill: string;
  readonly bold: boolean;
}

/** A piece of a line in one look. */
interface Piece extends Look {
  readonly column: number;
  readonly text: string;
}

const PLAIN: Look = { fill: COLOURS.ink.light, bold: false };

/** What each parameter of "select graphic rendition" changes: those that the commands use. */
const CHANGES: Readonly<Record<string, Partial<Look>>> = {
  "1": { bold: true },
  "2": { fill: COLOURS.dim.light },
  "22": PLAIN,
  "31": { fill: COLOURS.red.light },
  "32": { fill: COLOURS.green.light },
  "33": { fill: COLOURS.yellow.light },
  "39": { fill: COLOURS.ink.light },
};

/**
 * Reads the colours of a line.
 *
 * @param line The line, with the escape sequences that a command has printed.
 * @returns Its pieces.
 * @throws {Error} When it has another sequence than those of the commands.
 */
function piecesOf(line: string): Piece[] {
  const pieces: Piece[] = [];
  let look = PLAIN, column = 0;
  // deno-lint-ignore no-control-regex
  for (const part of line.split(/(\x1b\[[\d;]*[A-Za-z])/)) {
    // deno-lint-ignore no-control-regex
    const [, code] = /^\x1b\[(.*)m$/.exec(part) ?? [];
    const change = code === undefined ? undefined : CHANGES[code];
    if (change !== undefined) look = { ...look, ...change };
    else if (part.startsWith("\x1b")) {
      throw new Error(`Cannot draw ${JSON.stringify(part)}, expected a colour or bold text`);
    } else {
      // Each word stands where its column is, whatever the font is that the viewer has.
      for (const { 0: text, index } of part.matchAll(/\S+(?: \S+)*/g)) {
        pieces.push({ ...look, text, column: column + unicodeWidth(part.slice(0, index)) });
      }
      column += unicodeWidth(part);
    }
  }
  return pieces;
}

/**
 * Draws what a terminal shows.
 *
 * @param transcript The lines, with the escape sequences of their colours. Those that begin with `$` are typed.
 * @param title What is said to those who do not see it.
 * @returns The picture, as SVG.
 */
export function drawTerminal(transcript: string, title: string): string {
  const lines = transcript.trimEnd().split("\n").map((line) =>
    line.startsWith("$ ")
      ? [
        { text: "$", column: 0, fill: COLOURS.dim.light, bold: false },
        { text: line.slice(2), column: 2, fill: COLOURS.blue.light, bold: true },
      ]
      : piecesOf(line)
  );
  const columns = Math.max(
    ...lines.flatMap((line) => line.map(({ column, text }) => column + unicodeWidth(text))),
  );
  const width = Math.ceil(columns * CELL_WIDTH) + 2 * MARGIN;
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  const texts = lines.flatMap((line, index) =>
    line.map(({ column, text, fill, bold }) => {
      const x = (MARGIN + column * CELL_WIDTH).toFixed(1);
      const y = MARGIN + index * LINE_HEIGHT + FONT_SIZE;
      const length = (unicodeWidth(text) * CELL_WIDTH).toFixed(1);
      const weight = bold ? ' font-weight="bold"' : "";
      return `<text x="${x}" y="${y}" textLength="${length}" fill="${fill}"${weight}>` +
        `${escapeXml(text)}</text>\n`;
    })
  );
  const { ground, border } = COLOURS;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img">\n<title>${escapeXml(title)}</title>\n` +
    `${darkStyle()}\n<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" ` +
    `fill="${ground.light}" stroke="${border.light}"/>\n` +
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" ` +
    `font-size="${FONT_SIZE}">\n${texts.join("")}</g>\n</svg>\n`;
}
