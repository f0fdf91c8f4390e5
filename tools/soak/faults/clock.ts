/**
 * The time of day is set back.
 *
 * The system's own clock is everybody's, so that it is set back only for the master and its servers:
 * by a library that is loaded before all others (clock_back.c).
 *
 * @module
 */
import { greeted } from "../../../tests/support/client.ts";
import { pidIn } from "../../../tests/support/master.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";

const SOURCE = new URL("clock_back.c", import.meta.url).pathname;

const BACK_SECONDS = 3_600, DAY_SECONDS = 86_400;

/** How long a server drains. */
const DRAIN_SECONDS = 1;

/** What a busy machine takes longer at most: far less than the clock is set back. */
const SLACK_MS = 15_000;

/** By how much two processes that round their times may differ. */
const ROUNDING_MS = 50;

const WATCHDOG_SECONDS = 1;

/** The offset of the clock, which can be changed at any time. */
class ClockFile {
  constructor(readonly path: string) {
    this.set(0);
  }

  set(seconds: number): void {
    // In place, since it is mapped.
    using file = Deno.openSync(this.path, { write: true, create: true });
    file.writeSync(new Uint8Array(new BigInt64Array([BigInt(seconds)]).buffer));
  }
}

function compile(path: string): string {
  const args = ["-std=gnu11", "-O1", "-Wall", "-shared", "-fPIC", "-o", path, SOURCE];
  const { success, stderr } = new Deno.Command("gcc", { args }).outputSync();
  if (!success) throw new Error(`Cannot compile: ${new TextDecoder().decode(stderr)}`);
  return path;
}

/** How far the last line in the log files is behind the time of the day, in seconds. */
function lastLineBehind(directory: string): number | undefined {
  const newest = [...Deno.readDirSync(directory)]
    .map(({ name }) => `${directory}/${name}`)
    .sort((a, b) => Deno.statSync(b).mtime!.getTime() - Deno.statSync(a).mtime!.getTime())[0];
  if (newest === undefined) return undefined;
  const line = Deno.readTextFileSync(newest).trimEnd().split("\n").at(-1) ?? "";
  const [hours, minutes, seconds] = line.split(" ")[0].split(":").map(Number);
  const now = new Date();
  const today = (now.getHours() * 60 + now.getMinutes()) * 60 + now.getSeconds();
  const behind = today - ((hours * 60 + minutes) * 60 + seconds);
  return (behind + DAY_SECONDS) % DAY_SECONDS;
}

async function clockBack({ site, shows, showsAtMost, fault }: FaultStage): Promise<void> {
  const clock = new ClockFile(site.dir.file("clock"));
  const directory = site.dir.file("logs"), socket = site.dir.file("log");
  Deno.mkdirSync(directory);
  const settings = {
    "server-watchdog": WATCHDOG_SECONDS,
    "server-stop-on-softstop-after": DRAIN_SECONDS,
  };
  const [port, other, said] = [site.port(), site.port(), site.port()];
  site.serve("aio.cf", { mode: "aio", service: other, ...settings });
  site.serve("coroutine.cf", { mode: "coroutine", service: port, ...settings });
  site.serve("said.cf", { mode: "aio", service: said, "server-log": `masterlog,${socket}` });
  const master = await site.start({
    args: ["-master-stop-timeout", "0", "-log-service", `${socket},${directory}/log.,day`],
    env: { LD_PRELOAD: compile(site.dir.file("clock_back.so")), SOAK_CLOCK: clock.path },
  });
  using draining = await greeted(port);
  using hanging = await greeted(other);
  for (const client of [draining, hanging]) {
    await master.logs(new RegExp(`ready is process ${pidIn(client)}`));
  }
  // The drain begins after this.
  const drainMs = performance.now();
  await master.reload();
  const saying = () => master.servers("said.cf").map(({ pid }) => pid);
  await eventually(() => saying().length === 1, { what: "the end of the old processes" });
  using watched = await greeted(other);
  const backMs = performance.now();
  clock.set(-BACK_SECONDS);

  Deno.kill(pidIn(watched), "SIGSTOP");
  const found = master.logs(new RegExp(`aio\\.cf: process ${pidIn(watched)} hangs`))
    .then(() => performance.now() - backMs);
  // Its end, and the start of the next one, are lines of the log.
  Deno.kill(saying()[0], "SIGKILL");
  await draining.ending((DRAIN_SECONDS * 1000) + SLACK_MS);
  const drainedMs = performance.now() - drainMs;
  shows(`a drain of ${DRAIN_SECONDS} s that was under way took, ms`, drainedMs);
  if (drainedMs < DRAIN_SECONDS * 1000 - ROUNDING_MS) fault("the drain was cut short");

  using client = await greeted(port);
  const killedMs = performance.now();
  Deno.kill(pidIn(client), "SIGKILL");
  using next = await greeted(port);
  shows("until the next answer after a SIGKILL, ms", performance.now() - killedMs);
  if (await next.ask("echo here") !== "here") fault("a server does not answer");
  const most = WATCHDOG_SECONDS * 1000 + SLACK_MS;
  const what = "until a stopped server was found by the watchdog, ms";
  showsAtMost({ what, value: await found }, most);
  const others = hung(master.log) - 1;
  showsAtMost({ what: "other processes that it took for hanging", value: others }, 0);

  const behind = await eventually(() => {
    const seconds = lastLineBehind(directory);
    return seconds !== undefined && seconds > BACK_SECONDS / 2 && seconds;
  }, { what: "a log line of an hour ago" });
  shows("the newest line of the log service is behind the real time by, s", behind);
  await master.stop();
}

function hung(log: string): number {
  return log.match(/process \d+ hangs/g)?.length ?? 0;
}

/** The clock is set back. */
export const clockScenario: FaultScenario = {
  name: "clock",
  loses: "Nothing; log lines bear the time that the clock shows, and so part of a day's twice.",
  describe: () =>
    `the time of day set back by an hour under a running master and its servers, by a library that ` +
    "is loaded before libc; the system's own clock, which is everybody's, is not touched",
  act: clockBack,
};
