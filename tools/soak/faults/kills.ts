/**
 * Faults in which processes are killed.
 *
 * @module
 */
import { MODES, type Site } from "../../../tests/support/master.ts";
import { isRefused, type Target } from "../../../tests/support/client.ts";
import { listenerInode } from "../../../tests/support/proc.ts";
import { seededRandom } from "../../../tests/support/random.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";
import { Kills, Victims } from "./victims.ts";

/** From one kill to the next. */
const KILL_EVERY_MS = 100;

/** How long servers, and what they hold, may outlive their master. */
const OUTLIVE_MS = 2_000;

/** The processes are replaced at once, however early they end. */
export const AT_ONCE: Readonly<Record<string, string>> = {
  "server-backoff-max": "0",
  "server-healthy-after": "0",
};

/** Sets up a service of each mode on a port and a unix socket. */
function serveBoth(
  site: Site,
  processes: number,
  settings: Readonly<Record<string, string>> = {},
): Target[] {
  return MODES.flatMap((mode): Target[] => {
    const port = site.port(), path = site.socket(mode);
    const service = `127.0.0.1:${port},${path}`;
    site.serve(`${mode}.cf`, { mode, service, "server-proc-count": processes, ...settings });
    return [port, path];
  });
}

async function killServers({ site, amounts, shows, showsAtMost, fault }: FaultStage) {
  const { killedProcesses } = amounts;
  const targets = serveBoth(site, killedProcesses, AT_ONCE);
  const master = await site.start();
  for (const mode of MODES) await master.serving(`${mode}.cf`, killedProcesses);
  const kills = new Kills(), random = seededRandom(1);
  const victims = new Victims(targets, kills);
  const endMs = performance.now() + amounts.killSeconds * 1000;
  for (let nextMs = performance.now(); nextMs < endMs; nextMs += KILL_EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextMs - performance.now())));
    const servers = master.servers();
    if (servers.length === 0) continue;
    const { pid } = servers[random(servers.length)];
    kills.add(pid);
    Deno.kill(pid, "SIGKILL");
  }
  await victims.end();
  const { counts, latencies, examples } = victims;
  shows("servers killed", kills.count);
  shows("requests answered", counts.answered);
  shows("lost, on a connection of a process that was killed", counts.known);
  shows("lost before the greeting, while a process was killed", counts.byTime);
  showsAtMost({ what: "refused", value: counts.refused }, 0);
  showsAtMost({ what: "lost for another reason", value: counts.unexplained }, 0);
  for (const text of examples) fault(text);
  shows("p99 of an answer, ms", latencies.percentile(0.99));
  shows("longest answer, ms", latencies.maxMs);
  for (const mode of MODES) await master.serving(`${mode}.cf`, killedProcesses);
  await master.stop();
}

/** Servers are killed without a pause. */
export const killServersScenario: FaultScenario = {
  name: "kill-servers",
  loses: "The requests that the killed process had accepted.",
  describe: ({ killSeconds }) =>
    `SIGKILL of a server every ${KILL_EVERY_MS} ms for ${killSeconds} s, with server-backoff-max = 0 ` +
    "and server-healthy-after = 0 so that each is replaced at once",
  act: killServers,
};

async function killMaster({ site, amounts, showsAtMost, shows }: FaultStage) {
  const { killedProcesses } = amounts;
  const targets = serveBoth(site, killedProcesses);
  let orphansMs = 0, portsMs = 0, guardianMs = 0, againMs = 0;
  for (let round = 0; round < amounts.masterKills; round++) {
    const master = await site.start();
    for (const mode of MODES) await master.serving(`${mode}.cf`, killedProcesses);
    const killedMs = performance.now();
    master.process.signal("SIGKILL");
    const since = () => performance.now() - killedMs;
    // The guardian's sleep(1) is no server.
    const isServer = (argv: readonly string[]) => argv.includes("-server-control");
    const areGone = () => !site.processes().some(({ argv }) => isServer(argv));
    const orphans = eventually(areGone, { what: "the end of all servers" }).then(since);
    const areFree = () => targets.every((target) => listenerInode(target) === undefined);
    const ports = eventually(areFree, { what: "the addresses to be free" }).then(since);
    orphansMs = Math.max(orphansMs, await orphans);
    portsMs = Math.max(portsMs, await ports);
    await eventually(() => site.guardians().length === 0, { what: "the end of the guardian" });
    guardianMs = Math.max(guardianMs, since());
    const startMs = performance.now();
    const next = await site.start();
    for (const target of targets) {
      if (await isRefused(target)) throw new Error(`nobody listens on ${target} again`);
    }
    againMs = Math.max(againMs, performance.now() - startMs);
    await next.stop();
  }
  shows("masters killed", amounts.masterKills);
  showsAtMost({ what: "until no server was left, at most, ms", value: orphansMs }, OUTLIVE_MS);
  showsAtMost({ what: "until all addresses were free, at most, ms", value: portsMs }, OUTLIVE_MS);
  showsAtMost({ what: "until the guardian had ended, at most, ms", value: guardianMs }, OUTLIVE_MS);
  shows("from the start of the next master until it listened, at most, ms", againMs);
}

/** The master is killed. */
export const killMasterScenario: FaultScenario = {
  name: "kill-master",
  loses:
    "All connections, those in the queues included, and what comes until a new master listens.",
  describe: ({ masterKills, killedProcesses }) =>
    `${masterKills} times SIGKILL of a master with ${killedProcesses * MODES.length} servers`,
  act: killMaster,
};
