/**
 * What clients lose while a contender is reloaded.
 *
 * @module
 */
import { sleep } from "../bench.ts";
import { type Contender, reloadAndWait, rowOf, type Running } from "../contenders/contender.ts";
import { describeFailures, failures, load } from "../load.ts";
import { rowText, Table } from "../table.ts";
import {
  contenders,
  inTurns,
  keyOf,
  type Measure,
  type Plan,
  roundsOf,
  withContenders,
} from "./measure.ts";

const COUNT = 2;
const RELOADS = 10;
const NEW_CONNECTIONS_PER_S = 300;
const KEPT_CONNECTIONS = 20;
const KEPT_REQUESTS_PER_S = 400;
/** Of one reload, and then its pause. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 500;
/** How long a part of the load is: parts follow each other until the last reload is over. */
const PART_SECONDS = 1;

/** The two kinds of load. A client that waits holds no other up: there are enough connections. */
const KINDS = {
  "new connections failed": { fresh: true, connections: 2000, rate: NEW_CONNECTIONS_PER_S },
  "kept-alive requests failed": { connections: KEPT_CONNECTIONS, rate: KEPT_REQUESTS_PER_S },
};

/** Clients that go on until they are told to stop. */
class Clients {
  /** How many requests failed, of each kind. */
  readonly failed: Record<string, number> = {};
  answered = 0;
  worstMs = 0;
  /** How they failed, in words. */
  readonly notes: string[] = [];
  readonly #all: Promise<unknown>;
  #stopped = false;

  constructor(plan: Plan, running: Running) {
    this.#all = Promise.all(
      Object.entries(KINDS).map(([kind, options]) => this.#press(kind, { plan, running, options })),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#all;
  }

  async #press(kind: string, { plan, running, options }: {
    readonly plan: Plan;
    readonly running: Running;
    readonly options: {
      readonly fresh?: boolean;
      readonly connections: number;
      readonly rate: number;
    };
  }): Promise<void> {
    this.failed[kind] = 0;
    while (!this.#stopped) {
      const { port } = running;
      const result = await load(plan.bench, {
        port,
        http: true,
        seconds: PART_SECONDS,
        ...options,
      });
      this.failed[kind]! += failures(result);
      this.answered += result.done;
      this.worstMs = Math.max(this.worstMs, result.latencyUs.max / 1000);
      const how = describeFailures(result);
      if (how !== undefined) this.notes.push(`${kind}: ${how}`);
    }
  }
}

async function measureOne(plan: Plan, table: Table, running: Running): Promise<void> {
  const key = keyOf(running);
  const clients = new Clients(plan, running);
  try {
    for (let i = 0; i < RELOADS; i++) {
      await sleep(PAUSE_MS);
      const start = performance.now();
      await reloadAndWait(running, PATIENCE_MS);
      table.add(key, { "reload ms": performance.now() - start });
    }
  } catch (error) {
    table.noteError(key, error);
  } finally {
    await clients.stop();
  }
  const { failed, answered, worstMs, notes } = clients;
  table.add(key, { ...failed, "requests answered": answered, "worst answer ms": worstMs });
  for (const note of notes) table.note(`${rowText(key)}: ${note}.`);
}

/** Failures over ten reloads. */
export const reload: Measure = async (plan) => {
  const table = new Table(
    "reload",
    `Requests that failed over ${RELOADS} reloads`,
    `${NEW_CONNECTIONS_PER_S} new connections a second, and ${KEPT_REQUESTS_PER_S} requests a second over ` +
      `${KEPT_CONNECTIONS} kept connections, while each contender is reloaded in its own way: SIGHUP to this ` +
      "master and to nginx, `pm2 reload`, and for node:cluster a script that replaces one worker after the other. A " +
      "kept connection that is closed between two requests has lost nothing; one that is closed under a request has. " +
      "A reload is over when the last process of before has ended.",
  );
  const which = ({ speaks, reload }: Contender) => speaks === "http" && reload !== undefined;
  const all = contenders(plan, { count: COUNT, which });
  const key = (contender: Contender) => rowOf(contender, COUNT);
  await inTurns({ all, rounds: roundsOf(plan, 1), table, key }, async (contender) => {
    await withContenders(plan, { all: [contender], count: COUNT, table }, async (running) => {
      for (const one of running) await measureOne(plan, table, one);
    });
  });
  return [table];
};
