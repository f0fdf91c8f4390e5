/**
 * The statistics of the benchmarks.
 *
 * @module
 */

/** What many samples come to. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/**
 * A quantile, interpolated between the two nearest samples.
 *
 * @param samples At least one, in any order.
 * @param share Which one, from 0 (the least) to 1 (the greatest).
 * @throws {RangeError} When there is no sample.
 */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) {
    throw new RangeError(`Cannot take a quantile: no samples, expected one or more`);
  }
  const sorted = samples.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!, above = sorted[Math.ceil(at)]!;
  // Between two infinite ones there is no difference.
  return below === above ? below : below + (above - below) * (at - Math.floor(at));
}

/**
 * The sample in the middle, or the mean of the two there.
 *
 * @param samples At least one, in any order.
 * @throws {RangeError} When there is no sample.
 */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/**
 * Median and spread.
 *
 * @param samples At least one, in any order.
 * @throws {RangeError} When there is no sample.
 */
export function summarize(samples: readonly number[]): Summary {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
}

/**
 * How samples compare with others: the ratios of those of the same round, since what else the machine did in a
 * round has hit both alike; the ratio of the medians where there were not as many rounds.
 *
 * @param samples Whose ratio.
 * @param others What they are divided by, in the same order of rounds.
 * @throws {RangeError} When one of them is empty.
 */
export function ratios(samples: readonly number[], others: readonly number[]): Summary {
  if (samples.length !== others.length) {
    const ratio = median(samples) / median(others);
    return { median: ratio, min: ratio, max: ratio };
  }
  return summarize(samples.map((sample, round) => sample / others[round]!));
}

/** Bounds of the median of what was sampled, and how certainly it is within them. */
export interface Interval {
  readonly low: number;
  readonly high: number;
  /** From 0 to 1. */
  readonly confidence: number;
}

/**
 * Bounds of the median of what was sampled, whatever its distribution: two samples between which it is at least as
 * certainly as wanted, or else the least and the greatest one. The median of what was sampled is above, or below, all
 * of n samples once in 2^n times.
 *
 * @param samples At least one, in any order.
 * @param wanted The confidence, from 0 to 1.
 */
export function medianInterval(samples: readonly number[], wanted: number): Interval {
  const sorted = samples.toSorted((a, b) => a - b), count = sorted.length;
  // The part of all cases in which exactly `outside` samples are above it.
  let outside = 0, part = 2 ** -count, confidence = 1 - 2 * part;
  for (;;) {
    part *= (count - outside) / (outside + 1);
    const next = confidence - 2 * part;
    if (next < wanted) break;
    confidence = next;
    outside++;
  }
  return { low: sorted[outside]!, high: sorted[count - 1 - outside]!, confidence };
}

/**
 * How unevenly things are shared out: the largest share over the mean one. 1 is even.
 *
 * @param shares How much each has got, the idle ones included.
 * @throws {RangeError} When nobody got anything.
 */
export function unevenness(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  if (sum === 0) throw new RangeError("Cannot compare shares: all are 0, expected one above 0");
  return Math.max(...shares) / (sum / shares.length);
}
