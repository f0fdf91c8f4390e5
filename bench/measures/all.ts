/**
 * All measures, and a run of some of them.
 *
 * @module
 */
import type { Table } from "../table.ts";
import { big } from "./big.ts";
import { cold } from "./cold.ts";
import { fairness } from "./fairness.ts";
import { held } from "./held.ts";
import { killed } from "./kill.ts";
import { latency } from "./latency.ts";
import { logRate } from "./log_rate.ts";
import type { Measure, Plan } from "./measure.ts";
import { memory } from "./memory.ts";
import { reload } from "./reload.ts";
import { alone, connect, echo, http } from "./throughput.ts";
import { wakeups } from "./wakeups.ts";

/** The measures by the names for `--only`. */
export const MEASURES: Readonly<Record<string, Measure>> = {
  http,
  echo,
  alone,
  connect,
  latency,
  kill: killed,
  reload,
  cold,
  memory,
  held,
  wakeups,
  fairness,
  big,
  log: logRate,
};

/** What the short run has time for. */
export const QUICK: readonly string[] = ["http", "echo", "connect", "kill", "cold", "memory"];

/** How many rounds a measure takes by itself, and those whose bars need more. */
const ROUNDS = 5, MORE_ROUNDS: Readonly<Record<string, number>> = { http: 9 };

/**
 * How many rounds each measure takes, in words.
 *
 * @param rounds What was asked for, if anything.
 */
export function describeRounds(rounds: number | undefined): string {
  if (rounds !== undefined) return String(rounds);
  const more = Object.entries(MORE_ROUNDS).map(([name, count]) => `${name} ${count}`);
  return [ROUNDS, ...more].join(", ");
}

/** What came of a run. */
export interface Measured {
  readonly tables: readonly Table[];
  /** Which measures failed, and why. */
  readonly failed: readonly string[];
}

/**
 * Measures, and says how long each measure took.
 *
 * @param plan The run; `rounds` only if others than those of each measure are wanted.
 * @param names Which measures, in this order.
 */
export async function measureAll(
  plan: Omit<Plan, "rounds"> & Partial<Pick<Plan, "rounds">>,
  names: readonly string[],
): Promise<Measured> {
  const tables: Table[] = [], failed: string[] = [];
  for (const name of names) {
    const start = performance.now();
    try {
      const rounds = plan.rounds ?? MORE_ROUNDS[name] ?? ROUNDS;
      tables.push(...await MEASURES[name]!({ ...plan, rounds }));
    } catch (error) {
      console.error(error);
      failed.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
  return { tables, failed };
}
