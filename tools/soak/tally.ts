/**
 * What became of the requests to one target in one way, counted.
 *
 * @module
 */
import { Latencies, type LatencyData } from "./latencies.ts";
import type { LoadKind } from "./load_plan.ts";

/** The ways in which a request can be lost. */
export const LOSSES = ["refused", "reset", "timedOut", "cut", "wrong"] as const;

/** One of {@linkcode LOSSES}. */
export type LossKind = typeof LOSSES[number];

/**
 * What is no loss after the whole installation was told to stop: a connection that is refused, and
 * one that is reset because it waited in the queue of a listener that was closed.
 */
export const FAREWELLS = ["refusedAtEnd", "queuedAtEnd"] as const;

/** One of {@linkcode FAREWELLS}. */
export type Farewell = typeof FAREWELLS[number];

/** Everything that can become of a request. */
export type Outcome = "ok" | LossKind | Farewell;

/** How many losses are told in words. */
const EXAMPLES = 5;

/** What is reported. */
export interface TallyReport {
  /** The name of the target. */
  readonly target: string;
  readonly kind: LoadKind;
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly latency: LatencyData;
  /** How many answers each version has given. */
  readonly versions: Readonly<Record<string, number>>;
  /** How many processes have answered. */
  readonly pids: readonly number[];
  /** The first losses, in words. */
  readonly examples: readonly string[];
}

/** Counts. */
export class Tally {
  readonly #latencies = new Latencies();
  readonly #counts: Record<Outcome, number> = {
    ok: 0,
    refused: 0,
    reset: 0,
    timedOut: 0,
    cut: 0,
    wrong: 0,
    refusedAtEnd: 0,
    queuedAtEnd: 0,
  };
  readonly #versions = new Map<string, number>();
  readonly #pids = new Set<number>();
  readonly #examples: string[] = [];

  /**
   * @param target The name of the target.
   * @param kind How it is asked.
   */
  constructor(readonly target: string, readonly kind: LoadKind) {}

  /**
   * Counts an answer.
   *
   * @param answer Who gave it, and how long it took.
   */
  answered({ version, pid, ms }: { version: string; pid: number; ms: number }): void {
    this.#counts.ok++;
    this.#latencies.add(ms);
    this.#versions.set(version, (this.#versions.get(version) ?? 0) + 1);
    this.#pids.add(pid);
  }

  /**
   * Counts a loss.
   *
   * @param kind Its kind.
   * @param text What happened.
   */
  lost(kind: LossKind, text: string): void {
    this.#counts[kind]++;
    if (this.#examples.length < EXAMPLES) {
      this.#examples.push(`${new Date().toISOString()} ${kind}: ${text}`);
    }
  }

  /**
   * Counts what is no loss any more.
   *
   * @param kind Its kind.
   */
  parted(kind: Farewell): void {
    this.#counts[kind]++;
  }

  /** What was counted so far. */
  report(): TallyReport {
    return {
      target: this.target,
      kind: this.kind,
      counts: { ...this.#counts },
      latency: this.#latencies.toJSON(),
      versions: Object.fromEntries(this.#versions),
      pids: [...this.#pids],
      examples: [...this.#examples],
    };
  }

  /**
   * Adds what another one has reported.
   *
   * @param report The report.
   */
  merge(report: TallyReport): void {
    for (const key of Object.keys(report.counts) as Outcome[]) {
      this.#counts[key] += report.counts[key];
    }
    this.#latencies.merge(report.latency);
    for (const [version, count] of Object.entries(report.versions)) {
      this.#versions.set(version, (this.#versions.get(version) ?? 0) + count);
    }
    for (const pid of report.pids) this.#pids.add(pid);
    this.#examples.push(...report.examples.slice(0, EXAMPLES - this.#examples.length));
  }
}

/**
 * Adds up reports of the same target and kind.
 *
 * @param reports The reports.
 * @returns One for each target and kind, in the order of their first.
 */
export function mergeReports(reports: readonly TallyReport[]): TallyReport[] {
  const tallies = new Map<string, Tally>();
  for (const report of reports) {
    const key = `${report.target} ${report.kind}`;
    const tally = tallies.get(key) ?? new Tally(report.target, report.kind);
    tallies.set(key, tally);
    tally.merge(report);
  }
  return [...tallies.values()].map((tally) => tally.report());
}

/**
 * How many requests were lost.
 *
 * @param report Of which target.
 */
export function lostIn({ counts }: TallyReport): number {
  return LOSSES.reduce((sum, kind) => sum + counts[kind], 0);
}
