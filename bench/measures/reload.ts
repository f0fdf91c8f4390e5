/**
 * What clients lose while a contender is reloaded.
 *
 * @module
 */
import { sleep } from "../bench.ts";
import { type Contender, reloadAndWait } from "../contenders/contender.ts";
import { describeFailures, failures, load } from "../load.ts";
import { processes, Table } from "../table.ts";
import { contenders, type Measure, withContenders } from "./measure.ts";

const RELOADS = 10;
const NEW_CONNECTIONS_PER_S = 300;
const KEPT_CONNECTIONS = 20;
const KEPT_REQUESTS_PER_S = 400;
/** Of one reload, and then its pause. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 500;
/** How long a part of the load is: reloads go on until the last one is over. */
const SLICE_SECONDS = 1;

/** Failures over ten reloads. */
export const reload: Measure = async (plan) => {
  const { bench } = plan;
  const table = new Table(
    "reload",
    `Requests that failed over ${RELOADS} reloads`,
    `${NEW_CONNECTIONS_PER_S} new connections a second, and ${KEPT_REQUESTS_PER_S} requests a second over ` +
      `${KEPT_CONNECTIONS} kept connections, while each contender is reloaded in its own way: SIGHUP to this ` +
      "master and to nginx, `pm2 reload`, and for node:cluster a script that replaces one worker after the " +
      "other. A kept connection that is closed between two requests has lost nothing; one that is closed under a " +
      "request has.",
  );
  const which = ({ speaks, reload }: Contender) => speaks === "http" && reload !== undefined;
  const all = contenders(plan, { count: 2, which });
  for (const contender of all) {
    await withContenders(plan, { all: [contender], count: 2, table }, async ([running]) => {
      if (running === undefined) return;
      const { port } = running;
      const key = { who: contender.name, scale: processes(2) };
      let reloading = true;
      const totals = { fresh: 0, kept: 0, done: 0, worstMs: 0 };
      const press = async (kind: "fresh" | "kept") => {
        while (reloading) {
          const options = kind === "fresh"
            ? { fresh: true, connections: 2000, rate: NEW_CONNECTIONS_PER_S }
            : { connections: KEPT_CONNECTIONS, rate: KEPT_REQUESTS_PER_S };
          const result = await load(bench, {
            port,
            http: true,
            seconds: SLICE_SECONDS,
            ...options,
          });
          totals[kind] += failures(result);
          totals.done += result.done;
          totals.worstMs = Math.max(totals.worstMs, result.latencyUs.max / 1000);
          const failed = describeFailures(result);
          if (failed !== undefined) table.note(`${contender.name}, ${kind}: ${failed}.`);
        }
      };
      const pressing = [press("fresh"), press("kept")];
      const times: number[] = [];
      try {
        for (let i = 0; i < RELOADS; i++) {
          await sleep(PAUSE_MS);
          const start = performance.now();
          await reloadAndWait(running, PATIENCE_MS);
          times.push(performance.now() - start);
        }
      } finally {
        reloading = false;
        await Promise.all(pressing);
      }
      table.add(key, {
        "new connections failed": totals.fresh,
        "kept-alive requests failed": totals.kept,
        "requests answered": totals.done,
        "worst answer ms": totals.worstMs,
      });
      for (const ms of times) table.add(key, { "reload ms": ms });
    });
  }
  return [table];
};
