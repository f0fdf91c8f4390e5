/**
 * Random input that comes again: generators with a seed.
 *
 * @module
 */

/** How many inputs a fuzz test makes; `ZC_FUZZ_COUNT=1000000` makes a million. */
export const FUZZ_COUNT = Number(Deno.env.get("ZC_FUZZ_COUNT") ?? 20_000);

/** Where the generators start; another `ZC_FUZZ_SEED` gives other inputs. */
export const FUZZ_SEED = Number(Deno.env.get("ZC_FUZZ_SEED") ?? 20_260_101);

/** Gives whole numbers from 0 to below its argument. */
export type Random = (bound: number) => number;

/**
 * Makes a generator: xorshift32, which is small and good enough to choose inputs.
 *
 * @param seed The same seed gives the same numbers.
 */
export function seededRandom(seed: number): Random {
  let state = (seed | 0) || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/**
 * Picks one of some values.
 *
 * @param random The generator.
 * @param values At least one.
 */
export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random(values.length)];
}
