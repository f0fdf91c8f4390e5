/**
 * Faults that make a master start processes again and again.
 *
 * @module
 */
import type { Master, Site } from "../../../tests/support/master.ts";
import { peer } from "../../../tests/support/peers.ts";
import { descriptorsOf } from "../../../tests/support/proc.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";
import { AT_ONCE } from "./kills.ts";
import { cpuSecondsOf, memoryOf, Witness } from "./measure.ts";

/** More than this of one core is too much for a master whose service can't start. */
const CPU_PART_MAX = 0.05;

async function instantExit({ site, amounts, shows, showsAtMost, fault }: FaultStage) {
  site.write("bad.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${site.port()}`,
    "peer-exit-at-start": 1,
  });
  const port = site.port();
  site.serve("good.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.serving("good.cf", 1);
  const witness = new Witness(port);
  const before = cpuSecondsOf(master.pid);
  // What a time brings is the question.
  await new Promise((resolve) => setTimeout(resolve, amounts.exitSeconds * 1000));
  const cpuMs = 1000 * (cpuSecondsOf(master.pid) - before);
  const { answered, longestMs, failures } = await witness.end();
  shows("starts", master.logged(/bad\.cf: process \d+ ended after/));
  const mostMs = 500 + CPU_PART_MAX * amounts.exitSeconds * 1000;
  showsAtMost({ what: "processor time of the master, ms", value: cpuMs }, mostMs);
  shows("answers of another service meanwhile", answered);
  showsAtMost({ what: "failures of the other service", value: failures.length }, 0);
  shows("its longest answer, ms", longestMs);
  for (const text of failures.slice(0, 5)) fault(text);
  await master.stop();
}

/** A server exits at once. */
export const instantExitScenario: FaultScenario = {
  name: "instant-exit",
  loses: "Nothing; clients of the service itself wait.",
  describe: ({ exitSeconds }) => `a server that exits at once, for ${exitSeconds} s`,
  act: instantExit,
};

/** How long a batch may take to be replaced. */
const BATCH_MS = 30_000;

/** Restarts after which the master holds what it will hold. */
const WARM_UP = 0.25;

/** What is restarted, and how much more memory is no growth after the first restarts. */
const KINDS = [
  // Garbage is left lying about as long as V8 may make its heap larger.
  { name: "C", server: "c", v8: "", growthMaxMiB: 128 },
  {
    name: "C, little garbage",
    server: "c",
    v8: "--max-semi-space-size=1,--max-old-space-size=20",
    growthMaxMiB: 12,
  },
  { name: "Deno", server: "deno", v8: "", growthMaxMiB: 32 },
] as const;

/** The processes that a process has, without a look at all of the system. */
function childrenOf(pid: number): number[] {
  const tasks = [...Deno.readDirSync(`/proc/${pid}/task`)];
  return tasks.flatMap(({ name }) => {
    try {
      const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
      return text.split(" ").filter((word) => word !== "").map(Number);
    } catch (error) {
      // The thread has ended, and its children are another one's.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

/** Kills all servers of the only service in batches, each as soon as the one before is replaced. */
async function restart(
  site: Site,
  master: Master,
  { count, batch }: { readonly count: number; readonly batch: number },
): Promise<void> {
  const spared = new Set(site.guardians().map(({ pid }) => pid));
  let old = new Set<number>();
  for (let done = 0; done <= count; done += batch) {
    const pids = await eventually(() => {
      const found = childrenOf(master.pid).filter((pid) => !spared.has(pid) && !old.has(pid));
      return found.length === batch && found;
    }, { what: `batch ${done / batch} of processes`, withinMs: BATCH_MS });
    if (done === count) return;
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    old = new Set(pids);
  }
}

async function restarts({ site, amounts, shows, showsAtMost, fault }: FaultStage) {
  for (const { name, server, v8, growthMaxMiB } of KINDS) {
    const { count, batch } = amounts.restarts[server];
    const settings = { "server-proc-count": batch, ...AT_ONCE };
    const service = site.port();
    if (server === "deno") site.serve("a.cf", { mode: "coroutine", service, ...settings });
    else {
      const command = {
        "server-command": peer("server"),
        "server-service": `127.0.0.1:${service}`,
      };
      site.write("a.cf", { ...command, ...settings });
    }
    const master = await site.start({ env: v8 === "" ? {} : { DENO_V8_FLAGS: v8 } });
    await eventually(() => master.servers().length === batch, { what: "all processes" });
    const look = () => ({
      descriptors: descriptorsOf(master.pid).size,
      ...memoryOf(master.pid),
      atMs: performance.now(),
    });
    const warmUp = Math.max(batch, Math.round(count * WARM_UP / batch) * batch);
    const first = look();
    await restart(site, master, { count: warmUp, batch });
    const warm = look();
    await restart(site, master, { count: count - warmUp, batch });
    // What the last ones that were killed held may still be closed.
    await eventually(() => descriptorsOf(master.pid).size === first.descriptors, {
      what: "the descriptors to be as many as before",
    }).catch(() => fault(`${name}: ${first.descriptors} descriptors at first`));
    const last = look();
    shows(`${name}: restarts`, count);
    shows(`${name}: restarts per second`, (count - warmUp) / (last.atMs - warm.atMs) * 1000);
    const row = (of: (at: typeof last) => number) => [first, warm, last].map(of).join(", ");
    const when = `at first, after ${warmUp} and ${count} restarts`;
    shows(`${name}: descriptors of the master ${when}`, row(({ descriptors }) => descriptors));
    shows(`${name}: MiB resident ${when}`, row(({ residentMiB }) => Math.round(residentMiB)));
    const proportional = row(({ proportionalMiB }) => Math.round(proportionalMiB));
    shows(`${name}: MiB proportional ${when}`, proportional);
    const value = Math.max(0, last.residentMiB - warm.residentMiB);
    showsAtMost({ what: `${name}: growth after the first ones, MiB`, value }, growthMaxMiB);
    await master.stop();
  }
}

/** Servers are killed thousands of times. */
export const restartsScenario: FaultScenario = {
  name: "restarts",
  loses: "The connections of the processes that are killed.",
  describe: ({ restarts: { c, deno } }) =>
    `twice ${c.count} restarts of a server in C in batches of ${c.batch}, and ${deno.count} of one in ` +
    `Deno in batches of ${deno.batch}, with server-backoff-max = 0; the second time the master runs with ` +
    `V8's ${KINDS[1].v8}, which tells growth from garbage`,
  act: restarts,
};
