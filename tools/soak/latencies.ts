/**
 * How long answers took, in so little room that it can be sent, merged and kept for any number of
 * them: a histogram whose buckets grow by 4 %, which is also how exact its percentiles are.
 *
 * @module
 */

const GROWTH = 1.04;
const LOG_GROWTH = Math.log(GROWTH);
/** The upper bound of the first bucket, in milliseconds. */
const SMALLEST_MS = 0.01;

/** The form in which it travels: numbers of the buckets, and how many answers are in each. */
export interface LatencyData {
  readonly maxMs: number;
  readonly buckets: readonly (readonly [number, number])[];
}

/** A histogram of times. */
export class Latencies {
  #maxMs = 0;
  readonly #buckets = new Map<number, number>();

  /**
   * Counts one answer.
   *
   * @param ms How long it took, in milliseconds.
   */
  add(ms: number): void {
    this.#maxMs = Math.max(this.#maxMs, ms);
    const bucket = Math.max(0, Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
  }

  /**
   * Adds what another one has counted.
   *
   * @param data Its data.
   */
  merge({ maxMs, buckets }: LatencyData): void {
    this.#maxMs = Math.max(this.#maxMs, maxMs);
    for (const [bucket, count] of buckets) {
      this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + count);
    }
  }

  /** The longest time, in milliseconds. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /**
   * The time within which a part of the answers came.
   *
   * @param part The part, from 0 to 1.
   * @returns Milliseconds; 0 when there was no answer.
   */
  percentile(part: number): number {
    const sorted = [...this.#buckets].sort(([a], [b]) => a - b);
    const wanted = part * sorted.reduce((sum, [, count]) => sum + count, 0);
    let seen = 0;
    for (const [bucket, count] of sorted) {
      seen += count;
      if (seen >= wanted) return Math.min(SMALLEST_MS * GROWTH ** bucket, this.#maxMs);
    }
    return 0;
  }

  /** The form in which it travels. */
  toJSON(): LatencyData {
    return { maxMs: this.#maxMs, buckets: [...this.#buckets] };
  }
}
