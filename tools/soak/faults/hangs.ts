/**
 * Faults in which a server is alive and does nothing.
 *
 * @module
 */
import { Client, greeted } from "../../../tests/support/client.ts";
import { MODES, pidIn } from "../../../tests/support/master.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";

/** Beyond the watchdog: a heartbeat, and what a busy machine takes longer. */
const SLACK_MS = 2_500;

/** Lets the only server of each mode hang. */
async function hangs(
  { site, amounts, showsAtMost, shows }: FaultStage,
  hang: (client: Client, pid: number) => unknown,
): Promise<void> {
  const settings = { "server-watchdog": amounts.watchdogSeconds };
  const ports = MODES.map((mode) => {
    const service = site.port();
    site.serve(`${mode}.cf`, { mode, service, ...settings });
    return service;
  });
  const master = await site.start({ args: ["-master-stop-timeout", "0"] });
  const times = await Promise.all(MODES.map(async (mode, index) => {
    using client = await greeted(ports[index]);
    const pid = pidIn(client);
    await master.logs(new RegExp(`ready is process ${pid}`));
    const startMs = performance.now();
    await hang(client, pid);
    const found = master.logs(new RegExp(`${mode}\\.cf: process ${pid} hangs`))
      .then(() => performance.now() - startMs);
    const lost = await nextAnswer(ports[index], pid);
    const answeredMs = performance.now() - startMs;
    return { foundMs: await found, answeredMs, lost };
  }));
  const most = amounts.watchdogSeconds * 1000 + SLACK_MS;
  for (const [index, { foundMs, answeredMs, lost }] of times.entries()) {
    showsAtMost({ what: `${MODES[index]}: until it was found, ms`, value: foundMs }, most);
    shows(`${MODES[index]}: until the next answer, ms`, answeredMs);
    shows(`${MODES[index]}: new connections that it had taken and not answered`, lost);
  }
  await master.stop(SLACK_MS);
}

/**
 * Connects until another process answers: the one that is to hang may greet once more before it does, and take
 * connections along.
 *
 * @returns How many it has taken along.
 */
async function nextAnswer(port: number, hanging: number): Promise<number> {
  let lost = 0;
  await eventually(async () => {
    using client = await Client.connect(port);
    try {
      return pidIn({ greeting: await client.line() }) !== hanging;
    } catch {
      // It was reset, or came to its end, with the process that hung.
      lost++;
    }
  }, { what: `an answer of another process than ${hanging}` });
  return lost;
}

/** A server is stopped. */
export const stoppedScenario: FaultScenario = {
  name: "stopped",
  loses: "The connections that the server had accepted; the others wait for the next one.",
  describe: ({ watchdogSeconds }) =>
    `SIGSTOP of the only server, with server-watchdog = ${watchdogSeconds}`,
  act: (stage) => hangs(stage, (_client, pid) => Deno.kill(pid, "SIGSTOP")),
};

/** A server is in an endless loop. */
export const blockedScenario: FaultScenario = {
  name: "blocked",
  loses: "The connections that the server had accepted; the others wait for the next one.",
  describe: ({ watchdogSeconds }) =>
    `an endless loop in the only server, with server-watchdog = ${watchdogSeconds}`,
  act: (stage) => hangs(stage, (client) => client.write("block\n")),
};
