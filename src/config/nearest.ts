/**
 * The search for the known word that is most similar to an unknown one.
 *
 * @module
 */

/** Longest word that is compared; the time grows with the product of both lengths. */
const LONGEST_WORD = 64;

/**
 * Finds the known word that a misspelt word was probably meant to be: another case, `_` for `-`, or a few letters
 * that are wrong, missing, added or swapped. The common beginning counts less: `server-lang` is not similar to
 * `server-log`, although only two letters differ.
 *
 * @param word The word as written.
 * @param known The known words.
 * @returns The nearest of them; undefined if none is similar.
 *
 * @example
 * ```ts
 * import { nearest } from "./nearest.ts";
 *
 * const known = ["server-command", "server-service"];
 * console.assert(nearest("server_comand", known) === "server-command");
 * console.assert(nearest("server-port", known) === undefined);
 * ```
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let found: string | undefined, least = Infinity;
  const written = normalize(word);
  if (written.length > LONGEST_WORD) return undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - written.length) > MOST_EDITS) continue;
    const limit = Math.min(limitFor(written, candidate), least - 1);
    const distance = editDistance(written, normalize(candidate));
    if (distance <= limit) [found, least] = [candidate, distance];
  }
  return found;
}

function normalize(word: string): string {
  return word.toLowerCase().replaceAll(/[_. ]/g, "-");
}

const MOST_EDITS = 3;

/** The number of letters that may differ, by the length of the words after their common beginning. */
function limitFor(written: string, candidate: string): number {
  const parts = candidate.split("-"), given = written.split("-");
  const same = parts.findIndex((part, index) => part !== given[index]);
  const { length } = parts.slice(Math.max(same, 0)).join("-");
  return length < 3 ? 0 : length < 6 ? 1 : length < 10 ? 2 : MOST_EDITS;
}

/**
 * The Damerau-Levenshtein distance in its restricted form (optimal string alignment): how many
 * letters have to be inserted, removed, replaced or swapped with their neighbour.
 */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [], last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length];
}
