/**
 * This checkout beside a commit: the ratio of each figure, and what it says. It measures nothing.
 *
 * @module
 */
import { type Interval, median, medianInterval } from "./stats.ts";
import type { Row, RowKey, Table } from "./table.ts";

/** With fewer rounds, nothing is said about a figure. */
export const LEAST_ROUNDS = 5;

/** So many rounds are enough to be as certain as {@linkcode CONFIDENCE}. */
export const COMPARISON_ROUNDS = 9;

/** How certain it has to be that the ratio is not 1. */
const CONFIDENCE = 0.99;

/** A client that uses so much of a CPU may be the limit. */
const BUSY_CLIENT = 0.95;
const CLIENT_SHARE = "client's share of a CPU";

/** Figures of one kind: what it means that there is less or more of them. */
interface Kind {
  readonly columns: RegExp;
  readonly less: string;
  readonly more: string;
}

/** The first one whose pattern matches a column is that of its figures. */
const KINDS: readonly Kind[] = [
  { columns: /^(requests|lines|connections)\/s/, less: "slower", more: "faster" },
  { columns: /(µs|\bms)\b/, less: "faster", more: "slower" },
  { columns: /MB$|^KB/, less: "smaller", more: "larger" },
  { columns: /^(short|long|mixed)$/, less: "more even", more: "less even" },
  { columns: /(^|\s)(failed|lost|1\/s)$|^not in the files$/, less: "fewer", more: "more" },
];

/** A figure of this checkout beside that of the commit. */
export interface Comparison {
  /** The id of the table. */
  readonly table: string;
  readonly column: string;
  /** The row of this checkout. */
  readonly key: RowKey;
  /** The medians. */
  readonly here: number;
  readonly there: number;
  /** The median of the ratios of the rounds, this checkout to the commit, and the bounds of what it stands for. */
  readonly ratio: Interval & { readonly median: number };
  /** What it says, such as `faster`, or `no difference seen`. */
  readonly words: string;
}

/** What tables come to, side by side. */
export interface Comparisons {
  readonly all: readonly Comparison[];
  /** What a reader must know beside them. */
  readonly notes: readonly string[];
}

/** One figure a round; undefined where a round has none. */
function perRound(samples: readonly number[], rounds: number): number[] | undefined {
  const each = samples.length / rounds;
  if (!Number.isInteger(each) || each === 0) return undefined;
  return Array.from(
    { length: rounds },
    (_, round) => median(samples.slice(round * each, (round + 1) * each)),
  );
}

/** Two figures of 0, such as failures, are equal. */
const ratioOf = (here: number, there: number): number => here === there ? 1 : here / there;

function wordsOf({ less, more }: Kind, { low, high }: Interval, rounds: number): string {
  if (low === 1 && high === 1) return "equal";
  if (rounds < LEAST_ROUNDS) return "too few rounds to tell";
  if (low > 1) return more;
  return high < 1 ? less : "no difference seen";
}

function compareRows(
  table: Table,
  { here, there, rounds }: { readonly here: Row; readonly there: Row; readonly rounds: number },
): Comparison[] {
  return table.columns().flatMap((column) => {
    const kind = KINDS.find(({ columns }) => columns.test(column));
    const [ours, theirs] = [here, there].map(({ samples }) =>
      perRound(samples.get(column) ?? [], rounds)
    );
    if (kind === undefined || ours === undefined || theirs === undefined) return [];
    const ratios = ours.map((one, round) => ratioOf(one, theirs[round]!));
    const ratio = { ...medianInterval(ratios, CONFIDENCE), median: median(ratios) };
    const { who, scale } = here;
    return {
      table: table.id,
      column,
      key: { who, scale },
      here: median(ours),
      there: median(theirs),
      ratio,
      words: wordsOf(kind, ratio, rounds),
    };
  });
}

/**
 * Compares each row of this checkout with the row of the commit.
 *
 * @param tables What was measured of both, in turns.
 * @param options The commit, and in how many rounds.
 */
export function compare(
  tables: readonly Table[],
  { commit, rounds }: { readonly commit: string; readonly rounds: number },
): Comparisons {
  const all: Comparison[] = [], notes: string[] = [];
  for (const table of tables) {
    for (const here of table.rows.filter((row) => row.commit === undefined)) {
      const { who, scale } = here;
      const there = table.find({ who, scale, commit });
      if (there !== undefined) all.push(...compareRows(table, { here, there, rounds }));
      const busy = Math.max(
        ...[here, there].map((row) => median(row?.samples.get(CLIENT_SHARE) ?? [0])),
      );
      if (busy < BUSY_CLIENT) continue;
      const share = busy.toFixed(2);
      notes.push(
        `${table.id}: ${who}, ${scale}: the client used ${share} of its CPU and may be the limit of the rate.`,
      );
    }
    notes.push(...table.notes.map((note) => `${table.id}: ${note}`));
  }
  return { all, notes };
}
