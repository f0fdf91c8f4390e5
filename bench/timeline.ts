/**
 * Requests over time while programs are reloaded, for the chart in README.md.
 *
 * `deno task bench:reload` takes half a minute, and writes docs/pictures/reload.json and the charts. Run it on a machine
 * that does nothing else. What is measured over more reloads, and in numbers, is measures/reload.ts.
 *
 * @module
 */
import { NAMES } from "./bars.ts";
import { writeCharts } from "../tools/pictures/chart_files.ts";
import { shortName } from "../tools/pictures/charts.ts";
import { type ContenderTimeline, TIMELINE, type Timeline } from "../tools/pictures/timeline.ts";
import { answeringPid } from "./ask.ts";
import { Bench, sleep, until } from "./bench.ts";
import { contender } from "./contenders/all.ts";
import { canRun, type Contender, type Running, startContender } from "./contenders/contender.ts";
import { machineFacts } from "./machine.ts";
import { isRunning } from "./proc.ts";
import { defaultCache, prepareTools } from "./tools.ts";

const FILE = new URL(`../${TIMELINE}`, import.meta.url);
const COUNT = 2;
const STEP_MS = 100, REQUESTS_PER_STEP = 10, SECONDS = 10;
/** When something is done to the contender, unless what was done before is not over. */
const ACTIONS_MS = [2_000, 6_000];
/** After that a request has failed. */
const PATIENCE_MS = 5_000;

/** What is done to a contender, and how the chart calls it. */
interface Action {
  readonly who: string;
  readonly how: string;
  readonly act: (running: Running) => Promise<void> | void;
}

const reload = (running: Running) => running.contender.reload!(running);

/** What a service manager does with a program that has no reload. */
async function restart(running: Running): Promise<void> {
  const { contender, count, site, tools } = running, { pid } = site;
  Deno.kill(pid, "SIGTERM");
  await until(() => !isRunning(pid), { what: `the end of ${contender.name}` });
  await contender.start(count, { site, tools });
}

const ACTIONS: readonly Action[] = [
  { who: NAMES.masterHttp, how: "reloaded", act: reload },
  { who: NAMES.nginx, how: "reloaded", act: reload },
  { who: NAMES.pm2, how: "reloaded", act: reload },
  { who: NAMES.denoParallel, how: "restarted", act: restart },
];

async function measure(running: Running, { how, act }: Action): Promise<ContenderTimeline> {
  const steps = SECONDS * 1000 / STEP_MS;
  const answered = Array<number>(steps).fill(0), failed = Array<number>(steps).fill(0);
  const all: Promise<void>[] = [], startMs = performance.now();
  const waiting = [...ACTIONS_MS], actionsMs: number[] = [];
  let acting = Promise.resolve();
  for (let index = 0; index < steps * REQUESTS_PER_STEP; index++) {
    const dueMs = index * STEP_MS / REQUESTS_PER_STEP, step = Math.floor(dueMs / STEP_MS);
    while (performance.now() - startMs < dueMs) await sleep(1);
    if (dueMs >= waiting[0]) {
      waiting.shift();
      acting = acting.then(() => {
        const nowMs = Math.round(performance.now() - startMs);
        if (nowMs > SECONDS * 1000) return;
        actionsMs.push(nowMs);
        return act(running);
      });
    }
    all.push(
      answeringPid(running.port, PATIENCE_MS).then((pid) => {
        (pid === undefined ? failed : answered)[step]++;
      }),
    );
  }
  await Promise.all([...all, acting]);
  return { name: shortName(running.contender.name), how, actionsMs, answered, failed };
}

async function measureOne(
  bench: Bench,
  one: Contender,
  action: Action,
): Promise<ContenderTimeline> {
  const running = await startContender(one, { bench, count: COUNT });
  try {
    // The first answers of a process take longest.
    for (let i = 0; i < COUNT * REQUESTS_PER_STEP; i++) {
      await answeringPid(running.port, PATIENCE_MS);
    }
    return await measure(running, action);
  } finally {
    await running.end();
  }
}

if (import.meta.main) {
  const tools = await prepareTools(defaultCache(), { peers: true });
  const facts = await machineFacts(tools, "deno task bench:reload");
  await using bench = new Bench(tools, false);
  const contenders: ContenderTimeline[] = [];
  for (const action of ACTIONS) {
    const one = contender(action.who);
    if (canRun(one, { tools, count: COUNT })) {
      contenders.push(await measureOne(bench, one, action));
      console.error(action.who);
    }
  }
  for (const note of tools.missing) console.error(note);
  const timeline: Timeline = { facts, stepMs: STEP_MS, contenders };
  Deno.writeTextFileSync(FILE, JSON.stringify(timeline) + "\n");
  for (const path of await writeCharts()) console.log(path);
}
