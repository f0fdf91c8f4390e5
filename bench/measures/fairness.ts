/**
 * How evenly connections are shared out among the processes.
 *
 * @module
 */
import { Asker } from "../ask.ts";
import type { Contender, Running } from "../contenders/contender.ts";
import { unevenness } from "../stats.ts";
import { rowText, Table } from "../table.ts";
import { contenders, inTurns, keyOf, type Measure, withContenders } from "./measure.ts";

const CONNECTIONS = 64;
/** Even shares are 1 with these, and 8 or 1 connection each. */
const COUNTS = [2, 8, 64];
const SHORT_COUNTS = [2, 8];
/** A master that gives connections out may wait for processes that it knows nothing of. */
const PATIENCE_MS = 5_000;

/** Counts which process gets which connection. */
class Shares {
  readonly #counts = new Map<number, number>();

  /** @param pids The processes that share. */
  constructor(pids: readonly number[]) {
    for (const pid of pids) this.#counts.set(pid, 0);
  }

  /** Asks over a connection, and counts it. */
  async count(asker: Asker): Promise<void> {
    const pid = await asker.pid();
    this.#counts.set(pid, (this.#counts.get(pid) ?? 0) + 1);
  }

  get unevenness(): number {
    return unevenness([...this.#counts.values()]);
  }
}

/** One after the other, each closed before the next. */
async function short(port: number, shares: Shares, count = CONNECTIONS): Promise<void> {
  for (let i = 0; i < count; i++) {
    using asker = await Asker.connect(port);
    await shares.count(asker);
  }
}

/** All at once, and held; what is done meanwhile is done with them open. */
async function long(
  port: number,
  shares: Shares,
  { count = CONNECTIONS, meanwhile }: { count?: number; meanwhile?: () => Promise<void> } = {},
): Promise<void> {
  const askers = await Promise.all(Array.from({ length: count }, () => Asker.connect(port)));
  try {
    await Promise.all(askers.map((asker) => shares.count(asker)));
    await meanwhile?.();
  } finally {
    for (const asker of askers) asker[Symbol.dispose]();
  }
}

/** Half of them held while the other half come one after the other. */
function mixed(port: number, shares: Shares): Promise<void> {
  const count = CONNECTIONS / 2;
  return long(port, shares, { count, meanwhile: () => short(port, shares, count) });
}

const KINDS = { short, long, mixed };

async function measureOne(table: Table, running: Running): Promise<void> {
  const { port } = running;
  const key = keyOf(running);
  for (const [name, connections] of Object.entries(KINDS)) {
    const shares = new Shares(running.pids().workers);
    const work = connections(port, shares);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error("some connections were not answered")),
        PATIENCE_MS,
      );
    });
    try {
      await Promise.race([work, late]);
      table.add(key, { [name]: shares.unevenness });
    } catch (error) {
      work.catch(() => {});
      table.note(`${rowText(key)}, ${name}: ${(error as Error).message}.`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The largest share over the mean one. */
export const fairness: Measure = async (plan) => {
  const table = new Table(
    "fairness",
    "Fairness",
    `The largest share over the mean one, of ${CONNECTIONS} connections; 1 is even. Short ones come one after the ` +
      "other and are closed after one answer, long ones come all at once and stay; mixed: half of them stay while " +
      "the other half come one after the other.",
  );
  const which = ({ speaks, reload }: Contender) => speaks === "http" && reload !== undefined;
  for (const count of plan.long ? COUNTS : SHORT_COUNTS) {
    const all = contenders(plan, { count, which });
    await withContenders(plan, { all, count, table }, async (running) => {
      const turns = { all: running, rounds: plan.rounds, table, key: keyOf };
      await inTurns(turns, (one) => measureOne(table, one));
    });
  }
  return [table];
};
