/**
 * `status`: shows the services, their processes and their addresses.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import { formatSize } from "../config/size.ts";
import type { ControlClient } from "../control/client.ts";
import type { ReloadStatus, ServiceState, Status } from "../control/status.ts";
import { changeText } from "../control/under_way.ts";
import { delay } from "../os/clock/clock.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, isLost, reconnect, withMaster } from "./connect.ts";
import { type Cell, layOut, showsColour, type Style, writeAll } from "./output.ts";
import { serviceId } from "./service_ids.ts";

const WATCH_MS = 1_000;
/** To the beginning, and after it the rest of the screen is cleared. */
const CLEAR = "\x1b[2J", HOME = "\x1b[H", CLEAR_REST = "\x1b[J", CLEAR_LINE = "\x1b[K";
/** Long lines are cut, or continued on the next one as usual. */
const CUT = "\x1b[?7l", WRAP = "\x1b[?7h";

const encoder = new TextEncoder();

const STYLES: Readonly<Record<ServiceState, Style | undefined>> = {
  ready: "green",
  idle: "green",
  starting: "yellow",
  degraded: "yellow",
  failed: "red",
  stopped: "dim",
};

/** Runs the command. */
export function run({ operands: [name], options, settings }: CommandCall): Promise<number> {
  const isJson = options.json === true;
  return withMaster(settings, async (master) => {
    const question = name === undefined ? {} : { service: await serviceId(master, name) };
    if (options.watch) return await watch(master, { settings, question, isJson });
    const status = await master.request("status", question);
    if (isJson) console.log(JSON.stringify(status, undefined, 2));
    else console.log(render(status, { colour: showsColour(), nowMs: Date.now() }));
    return exitOf(status);
  }, { onlyReads: true });
}

const exitOf = ({ state }: Status): number => state === "ready" ? EXIT.ok : EXIT.degraded;

/** What is shown again and again. */
interface Watched {
  readonly settings: CommandCall["settings"];
  readonly question: { readonly service?: string };
  readonly isJson: boolean;
}

/**
 * Shows the status again and again, also that of a new master after an upgrade, until no master runs
 * or the operator interrupts it.
 */
async function watch(
  first: ControlClient,
  { settings, question, isJson }: Watched,
): Promise<number> {
  const colour = showsColour();
  using later = new DisposableStack();
  let master = first;
  for (let isFirst = true;; isFirst = false) {
    let status: Status;
    try {
      status = await master.request("status", question);
    } catch (error) {
      if (!isLost(error)) throw error;
      const next = await reconnect(settings);
      if (next === undefined) return fail("the master has ended", EXIT.notRunning);
      master = later.use(next);
      continue;
    }
    const text = isJson
      ? JSON.stringify(status)
      : inPlace(render(status, { colour, nowMs: Date.now() }), isFirst);
    try {
      await writeAll(encoder.encode(`${text}\n`));
    } catch (error) {
      // The reader of a pipe, such as head(1), has enough.
      if (error instanceof Deno.errors.BrokenPipe) return EXIT.ok;
      throw error;
    }
    await delay(WATCH_MS);
  }
}

/** The text over the one before, as far as the terminal has place; unchanged for a file or pipe. */
function inPlace(text: string, isFirst: boolean): string {
  if (!Deno.stdout.isTerminal()) return `${text}\n`;
  const lines = text.split("\n").slice(0, Deno.consoleSize().rows - 1);
  const shown = lines.map((line) => `${line}${CLEAR_LINE}`).join("\n");
  return `${isFirst ? CLEAR : ""}${CUT}${HOME}${shown}${CLEAR_REST}${WRAP}`;
}

/** What the master does, and for how long it has run. */
function sinceStart({ phase, uptimeMs }: Status["master"]): string {
  const age = formatDuration(uptimeMs), begins = ["starting", "serving"].includes(phase);
  return begins ? `${phase} for ${age}` : `${phase}, started ${age} ago`;
}

/**
 * The status as text.
 *
 * @param status The status.
 * @param options `colour`: whether styles are used. `nowMs`: the present time.
 */
export function render(
  status: Status,
  { colour, nowMs }: { readonly colour: boolean; readonly nowMs: number },
): string {
  const { master, lastReload, services, listeners } = status, change = changeText(status);
  const ago = (atMs: number) => `${formatDuration(Math.max(0, nowMs - atMs))} ago`;
  const endOf = ({ atMs, durationMs }: ReloadStatus) =>
    `${ago(atMs + durationMs)}, after ${formatDuration(durationMs)}`;
  const lines = [
    `master ${master.pid}: ${sinceStart(master)}, ` +
    `generation ${master.generation}, @zc/master ${master.version}, Deno ${master.deno}`,
    ...(change === undefined ? [] : [change]),
    ...(lastReload === null ? [] : [`last reload ${endOf(lastReload)}: ${lastReload.text}`]),
    "",
    ...layOut([
      head("SERVICE", "STATE", "READY", "STARTING", "DRAINING", "STANDBY", "RESTARTS", "LAST EXIT"),
      ...services.map((service): (string | Cell)[] => [
        service.id,
        { text: service.state, style: STYLES[service.state] },
        number(`${service.ready}/${service.wanted}`),
        number(service.starting),
        number(service.draining),
        number(service.standby),
        number(service.restarts),
        service.lastExit === null
          ? ""
          : `${service.lastExit.reason}, ${ago(service.lastExit.atMs)}`,
      ]),
    ], { colour }),
  ];
  for (const { id, problem } of services) if (problem !== null) lines.push(`${id}: ${problem}`);
  const processes = services.flatMap(({ id, processes }) =>
    processes.map((one) => ({ id, ...one }))
  );
  if (processes.length > 0) {
    lines.push(
      "",
      ...layOut([
        head("PID", "SERVICE", "SLOT", "STATE", "GENERATION", "AGE", "OPEN", "ACCEPTED", "CPU")
          .concat(head("MEMORY", "HEARTBEAT")),
        ...processes.map((one): (string | Cell)[] => [
          number(one.pid),
          one.id,
          number(one.slot),
          one.state,
          number(one.generation),
          number(formatDuration(one.ageMs)),
          number(one.connections),
          number(one.accepted),
          number(one.cpuMs === null ? null : formatDuration(one.cpuMs)),
          number(one.memoryBytes === null ? null : formatSize(one.memoryBytes)),
          number(one.heartbeatMs === null ? null : formatDuration(one.heartbeatMs)),
        ]),
      ], { colour }),
    );
  }
  if (listeners.length > 0) {
    lines.push(
      "",
      ...layOut([
        head("LISTENER", "SERVICES", "SOCKETS", "QUEUE", "LIMIT"),
        ...listeners.map((one): (string | Cell)[] => [
          one.address,
          one.services.join(" "),
          number(one.sockets),
          number(one.queue),
          number(one.queueLimit),
        ]),
      ], { colour }),
    );
  }
  return lines.join("\n");
}

function head(...names: readonly string[]): Cell[] {
  return names.map((text) => ({ text, style: "bold" }));
}

/** A number at the right of its column; `-` if it is unknown. */
function number(value: number | string | null): Cell {
  return { text: value === null ? "-" : String(value), right: true };
}
