/**
 * What measures have in common: what they are told, and taking turns.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { type Checkout, THIS_CHECKOUT } from "../checkout.ts";
import { CONTENDERS } from "../contenders/all.ts";
import {
  canRun,
  type Contender,
  rowOf,
  type Running,
  startContender,
} from "../contenders/contender.ts";
import { masterPairs } from "../contenders/master.ts";
import type { RowKey, Table } from "../table.ts";

/** What a measure is told. */
export interface Plan {
  readonly bench: Bench;
  /** How many rounds. */
  readonly rounds: number;
  /** How long a load lasts. */
  readonly seconds: number;
  /** Whether it is the long run; else what takes long is left out. */
  readonly long: boolean;
  /** What this checkout is compared with, and nothing else; default: with all contenders. */
  readonly against?: Checkout;
}

/** Measures something. */
export type Measure = (plan: Plan) => Promise<Table[]>;

/**
 * The contenders that can take part.
 *
 * @param plan The run.
 * @param options With how many processes, and which of them are wanted.
 */
export function contenders(
  { bench, against }: Plan,
  options: { readonly count: number; readonly which: (contender: Contender) => boolean },
): Contender[] {
  const all = against === undefined ? CONTENDERS : masterPairs(against);
  return all.filter((contender) =>
    canRun(contender, { tools: bench.tools, count: options.count }) && options.which(contender)
  );
}

/**
 * What only shows how the figures of the contenders are to be read; nothing in a comparison of two checkouts.
 *
 * @param plan The run.
 * @param all What does so.
 */
export function references<T>({ against }: Plan, ...all: readonly T[]): readonly T[] {
  return against === undefined ? all : [];
}

/** The sources whose programs are measured. */
export function checkouts({ against }: Plan): Checkout[] {
  return against === undefined ? [THIS_CHECKOUT] : [THIS_CHECKOUT, against];
}

/**
 * The rounds of a measure that takes fewer than others, since it is slow or steady; a comparison needs all.
 *
 * @param plan The run.
 * @param fewer How many it takes.
 */
export function roundsOf({ against, rounds }: Plan, fewer: number): number {
  return against === undefined ? fewer : rounds;
}

/** Whose turns, how many each, and where to note who could not take one. */
export interface Turns<T> {
  readonly all: readonly T[];
  readonly rounds: number;
  readonly table: Table;
  /** The row of one of them. */
  readonly key: (one: T) => RowKey;
}

/**
 * Does something with each in turns: once with each in every round, and every other round from the
 * last to the first, so that no one always comes after the same other. Who fails has no more turns.
 *
 * @param turns Whose turns, and how many.
 * @param turn What to do in a turn.
 */
export async function inTurns<T>(
  { all, rounds, table, key }: Turns<T>,
  turn: (one: T, round: number) => Promise<void>,
): Promise<void> {
  const failed = new Set<T>();
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? all : all.toReversed()) {
      if (failed.has(one)) continue;
      try {
        await turn(one, round);
      } catch (error) {
        failed.add(one);
        table.noteError(key(one), error);
      }
    }
  }
}

/** The row of a contender that runs. */
export function keyOf({ contender, count }: Running): RowKey {
  return rowOf(contender, count);
}

/**
 * Starts contenders, does something with all that could be started, and ends them.
 *
 * @param plan The run.
 * @param options Which ones, with how many processes each, and where to note who could not start.
 * @param use What to do.
 */
export async function withContenders(
  plan: Plan,
  options: {
    readonly all: readonly Contender[];
    readonly count: number;
    readonly table: Table;
  },
  use: (all: readonly Running[]) => Promise<void>,
): Promise<void> {
  const running: Running[] = [];
  try {
    for (const contender of options.all) {
      try {
        running.push(await startContender(contender, { bench: plan.bench, count: options.count }));
      } catch (error) {
        options.table.noteError(rowOf(contender, options.count), error);
      }
    }
    await use(running);
  } finally {
    for (const one of running) await one.end();
  }
}

/** The CPU for the client: another than that of a server with one process. */
export function clientCpu({ bench }: Plan, { count }: Running): number | undefined {
  return bench.pins && count === 1 ? 1 : undefined;
}
