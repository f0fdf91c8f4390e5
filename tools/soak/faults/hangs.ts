/**
 * Faults in which a server is alive and does nothing.
 *
 * @module
 */
import { Client, greeted } from "../../../tests/support/client.ts";
import { MODES, pidIn } from "../../../tests/support/master.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";

/** Beyond the watchdog: a heartbeat, and what a busy machine takes longer. */
const SLACK_MS = 2_500;

type Greeted = Awaited<ReturnType<typeof greeted>>;

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
    const { next, lost } = await nextAnswer(ports[index]);
    next.close();
    const answeredMs = performance.now() - startMs;
    if (pidIn(next) === pid) throw new Error(`process ${pid} answers, though it hangs`);
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

/** Connects until somebody answers: the one that hangs may take a connection along. */
async function nextAnswer(port: number): Promise<{ next: Greeted; lost: number }> {
  for (let lost = 0;; lost++) {
    const client = await Client.connect(port);
    try {
      return { next: Object.assign(client, { greeting: await client.line() }), lost };
    } catch {
      // It was reset, or came to its end, with the process that hung.
      client.close();
    }
  }
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
