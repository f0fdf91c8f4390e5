/**
 * Reads the figures of docs/performance.md, which a run of the benchmarks has written.
 *
 * @module
 */

/** The page, from the root. */
export const PERFORMANCE_PAGE = "docs/performance.md";

/** A figure: the median of the rounds, and the least and the greatest. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Which figure. */
export interface FigureKey {
  /** How the heading of its table begins. */
  readonly section: string;
  readonly column: string;
  readonly who: string;
  /** Such as `2 processes`. */
  readonly scale: string;
}

/** Finds a figure; undefined if the run has not measured it. */
export type Figures = (key: FigureKey) => Figure | undefined;

const cellsOf = (line: string): string[] => line.slice(1, -1).split("|").map((cell) => cell.trim());

/** Reads `12 (11–14)`, or `12` where all rounds came to the same. */
function figureOf(text: string): Figure | undefined {
  const numbers = text.replaceAll(",", "").match(/[\d.]+/g)?.map(Number) ?? [];
  const [median, min = median, max = median] = numbers;
  return median === undefined ? undefined : { median, min, max };
}

/**
 * Reads a page.
 *
 * @param page Its text.
 * @returns What finds a figure in it.
 */
export function figuresOf(page: string): Figures {
  const tables = new Map(
    page.split(/^## /m).slice(1).map((section) => {
      const [title, ...lines] = section.split("\n");
      return [title, lines.filter((line) => line.startsWith("|")).map(cellsOf)];
    }),
  );
  return ({ section, column, who, scale }) => {
    const title = [...tables.keys()].find((title) => title.startsWith(section));
    const [head = [], , ...rows] = title === undefined ? [] : tables.get(title)!;
    const row = rows.find(([name, count]) => name === who && count === scale);
    const cell = row?.[head.indexOf(column)];
    return cell === undefined ? undefined : figureOf(cell);
  };
}
