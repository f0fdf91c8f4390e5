/**
 * Faults in which a limit of the system is reached.
 *
 * @module
 */
import { Client, greeted } from "../../../tests/support/client.ts";
import { MODES, pidIn, SERVERS, type Site } from "../../../tests/support/master.ts";
import { peer } from "../../../tests/support/peers.ts";
import { descriptorsOf } from "../../../tests/support/proc.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";
import { setLimit, Witness } from "./measure.ts";

/** How many descriptors a server may have, and how many connections come. */
const NOFILE = 64, CONNECTIONS = 200;

/** So many exchanges one after the other show how fast a server is. */
const EXCHANGES = 50;

/** How long one may wait that is neither served nor rejected, and full speed may take to come back. */
const WAIT_MS = 3_000, RECOVERY_MS = 5_000;

/** A connection, and what became of it. */
interface Guest {
  readonly client: Client;
  readonly fate: "served" | "rejected" | "waiting";
}

async function guest(port: number): Promise<Guest> {
  const client = await Client.connect(port);
  try {
    await client.line(WAIT_MS);
    return { client, fate: "served" };
  } catch (error) {
    const isLate = (error as Error).message.startsWith("Cannot wait longer");
    return { client, fate: isLate ? "waiting" : "rejected" };
  }
}

/** How long {@linkcode EXCHANGES} take; infinitely long if one fails. */
async function exchangesMs(port: number): Promise<number> {
  const startMs = performance.now();
  for (let count = 0; count < EXCHANGES; count++) {
    try {
      using client = await greeted(port);
      await client.ask("echo here");
    } catch {
      // It was rejected still.
      return Infinity;
    }
  }
  return performance.now() - startMs;
}

async function nofile({ site, shows, showsAtMost, fault }: FaultStage): Promise<void> {
  const ports = MODES.map((mode) => {
    const service = site.port();
    site.serve(`${mode}.cf`, { mode, service });
    return service;
  });
  const master = await site.start();
  for (const [index, mode] of MODES.entries()) {
    const port = ports[index];
    const [pid] = await master.serving(`${mode}.cf`, 1);
    await exchangesMs(port);
    const beforeMs = await exchangesMs(port);
    setLimit(pid, `nofile=${NOFILE}`);
    const guests = await Promise.all(Array.from({ length: CONNECTIONS }, () => guest(port)));
    const count = (wanted: Guest["fate"]) => guests.filter(({ fate }) => fate === wanted).length;
    shows(`${mode}: served`, count("served"));
    shows(`${mode}: rejected`, count("rejected"));
    showsAtMost({ what: `${mode}: left waiting`, value: count("waiting") }, 0);
    if (count("served") === 0) fault(`${mode}: nobody was served`);
    for (const { client } of guests) client.close();
    const closedMs = performance.now();
    shows(`${mode}: ${EXCHANGES} exchanges before, ms`, beforeMs);
    const recoveredMs = await eventually(async () => {
      const sinceMs = performance.now() - closedMs;
      return await exchangesMs(port) < 2 * beforeMs + EXCHANGES && Math.max(1, sinceMs);
    }, { what: `the full speed of ${mode}`, withinMs: RECOVERY_MS });
    shows(`${mode}: until exchanges were as fast again, ms`, recoveredMs);
    if ((await master.serving(`${mode}.cf`, 1))[0] !== pid) fault(`${mode}: another process`);
  }
  await master.stop();
}

/** A server has too few descriptors for its clients. */
export const nofileScenario: FaultScenario = {
  name: "nofile",
  loses: "The connections beyond the limit, which are closed at once and not left waiting.",
  describe: () => `${CONNECTIONS} connections to a server that may have ${NOFILE} descriptors`,
  act: nofile,
};

/** How many listeners a server gets that has no room for them. */
const LISTENERS = 100;

async function fdsCut({ site, shows, showsAtMost }: FaultStage): Promise<void> {
  const paths = Array.from({ length: LISTENERS }, (_, index) => site.socket(`s${index}`));
  const run = `ulimit -n ${NOFILE}; exec "$0" run -A ${SERVERS.coroutine} "$@"`;
  site.write("cut.cf", {
    "server-command": `sh -c '${run}' ${Deno.execPath()}`,
    "server-protocol": "control",
    "server-service": paths.join(" "),
    "server-backoff-max": "1",
  });
  const port = site.port();
  site.serve("good.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.serving("good.cf", 1);
  const witness = new Witness(port);
  const ends = /cut\.cf: process (\d+) ended after \S+ \S+: ([^[\n]*)/;
  await master.logs(ends);
  const before = descriptorsOf(master.pid).size;
  const [, , how] = await master.logs(ends, 3);
  const said = await master.logs(/Cannot receive descriptors: .*/);
  shows("processes that could not take their listeners", master.logged(ends));
  shows("how they end, as the master says", how.trim());
  shows("what they say themselves", said[0]);
  const { answered, failures } = await witness.end();
  shows("answers of another service meanwhile", answered);
  showsAtMost({ what: "failures of the other service", value: failures.length }, 0);
  // At the same point of the same round: one process is there, or none.
  const after = await eventually(() => {
    const now = descriptorsOf(master.pid).size;
    return now <= before && now;
  }, { what: `${before} descriptors of the master again` });
  shows("descriptors of the master after the first one, and at the end", `${before}, ${after}`);
  await master.stop();
}

/** The limit of descriptors is reached while they are received. */
export const fdsCutScenario: FaultScenario = {
  name: "fds-cut",
  loses: "Nothing; clients of the service itself wait.",
  describe: () => `${LISTENERS} listeners for a server that may have ${NOFILE} descriptors`,
  act: fdsCut,
};

const NOBODY = 65_534;
/** Root may not be allowed to limit somebody else's process: the owner does it. */
const OWNER = {
  prefix: Deno.uid() === 0
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
    : [],
};
const ORDINARY_MASTER = new URL("../../../tests/support/ordinary_master.ts", import.meta.url);

/** Lets an ordinary user use a site. */
function giveAway(site: Site): void {
  if (Deno.uid() !== 0) return;
  const { success } = new Deno.Command("chown", { args: ["-R", `${NOBODY}`, site.dir.path] })
    .outputSync();
  if (!success) throw new Error(`Cannot give away "${site.dir.path}"`);
}

async function forkFails({ site, amounts, shows, showsAtMost, fault }: FaultStage): Promise<void> {
  const port = site.port();
  for (const [name, service] of [["good", port], ["hit", site.port()]]) {
    site.write(`${name}.cf`, {
      "server-command": peer("server"),
      "server-service": `127.0.0.1:${service}`,
      "server-backoff-max": "1",
    });
  }
  giveAway(site);
  const master = await site.start({ program: ORDINARY_MASTER.pathname });
  const hit = () => master.servers("hit.cf");
  await eventually(() => hit().length === 1, { what: "a process" });
  using client = await greeted(port);
  const nproc = /^Max processes\s+(\w+)/m.exec(Deno.readTextFileSync(`/proc/${master.pid}/limits`));
  setLimit(master.pid, "nproc=1:", OWNER);
  Deno.kill(hit()[0].pid, "SIGKILL");
  const [line] = await master.logs(/.*hit\.cf: .*EAGAIN.*/);
  // For so long it is tried in vain.
  await new Promise((resolve) => setTimeout(resolve, amounts.noForkSeconds * 1000));
  shows("what the master says", line.replace(/"\/[^"]*\//, '"DIRECTORY/'));
  shows("processes that could not be made", master.logged(/hit\.cf: .*EAGAIN/));
  if (await client.ask("echo here") !== "here") fault("a running server does not answer");
  using other = await greeted(port);
  if (pidIn(other) !== pidIn(client)) fault("another process answers");
  shows("running servers", "answer");
  const liftedMs = performance.now();
  setLimit(master.pid, `nproc=${nproc?.[1]}:`, OWNER);
  await eventually(() => hit().length === 1, { what: "a process again" });
  const value = performance.now() - liftedMs;
  showsAtMost({ what: "from the end of the fault until the next process, ms", value }, 2_000);
  client.close();
  other.close();
  await master.stop();
}

/** No process can be made. */
export const forkFailsScenario: FaultScenario = {
  name: "fork-fails",
  loses: "Nothing; clients of a service without a running process wait.",
  describe: ({ noForkSeconds }) =>
    `a master of an ordinary user, with server-backoff-max = 1, that may make no process (EAGAIN, ` +
    `RLIMIT_NPROC) for ${noForkSeconds} s while one is killed`,
  act: forkFails,
};
