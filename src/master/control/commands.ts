/**
 * The commands of the control socket, each by a call of the master.
 *
 * @module
 */
import { isAbout, type LogLevel } from "../../log/record.ts";
import { cannot, counted } from "../../config/errors.ts";
import type {
  ChangeOutcome,
  LogLine,
  PlanSummary,
  UnreadyService,
} from "../../control/messages.ts";
import type {
  ChangeStatus,
  ListenerStatus,
  MasterCounters,
  MasterStatus,
  ProcessStatus,
  ReloadStatus,
  ServiceStatus,
} from "../../control/status.ts";
import { CONTROL_VERSION } from "../../control/messages.ts";
import { isAsWanted } from "../../control/status.ts";
import { awaitedText, progressText } from "../../control/under_way.ts";
import { VERSION } from "../../control/version.ts";
import { setRepeated, systemClock } from "../../os/clock/clock.ts";
import type { PlannedReload, ReloadPlan } from "../policy/reload_plan.ts";
import {
  outcomeOf,
  type ReloadReport,
  type ServiceChange,
  unknownService,
} from "../policy/reload_report.ts";
import { type Client, type CommandHandlers, ControlError, logTextOf } from "./requests.ts";

/** How often a client is told what its request waits for. */
const PROGRESS_MS = 3_000;

/** How many lines `logs` shows without a number. */
const DEFAULT_LINES = 100;

/** The side of a master that its control socket sees. */
export interface ControlledMaster {
  /** See `Greeting`. */
  readonly configDirectory: string | null;
  /** The status of the master without its constant parts. */
  masterStatus(): Omit<MasterStatus, "pid" | "version" | "deno" | "protocol">;
  /** The status of all services. */
  services(): Promise<readonly ServiceStatus[]>;
  listeners(): readonly ListenerStatus[];
  /** The change that is under way. */
  underWay(): ChangeStatus | null;
  /** What has happened to the master itself. */
  counters(): MasterCounters;
  /** The report of the last reload, if there was one. */
  readonly lastReload: ReloadReport | undefined;
  plan(): Promise<PlannedReload>;
  /** Reloads everything, or only some services; not begun any more once `gone` is aborted. */
  reload(services?: readonly string[], gone?: AbortSignal): Promise<ReloadReport>;
  /** The same for another change. */
  change(
    what: ServiceChange,
    services: readonly string[],
    gone?: AbortSignal,
  ): Promise<ReloadReport>;
  /** Throws a `ServiceError` if services can't be changed now. */
  require(what: ServiceChange, services: readonly string[]): void;
  /** Writes a line to the log, by default at the level `info`. */
  readonly log: (text: string, level?: LogLevel) => void;
  /** Fulfilled when services that were stopped have no process any more. */
  removed(services: readonly string[]): Promise<unknown>;
  /** Fulfilled when a service has its processes, or with the reason why it can't have them. */
  scaled(service: string): Promise<string | undefined>;
  scaleTo(service: string, count: number): { before: number; now: number } | undefined;
  /**
   * Starts an upgrade; fulfilled with the pid of the new master, or why it has failed. Not begun any
   * more once `gone` is aborted.
   */
  upgrade(gone?: AbortSignal): Promise<{ readonly pid: number } | { readonly failure: string }>;
  /** Requests a stop; fulfilled when all processes have ended. */
  stop(): Promise<void>;
  /** The last lines of the log; with a service those of it, and those of the master about it. */
  lines(count: number, service?: string): readonly LogLine[];
  /** The services that were not ready at the end of the start. */
  readonly started: Promise<readonly UnreadyService[]>;
}

/** The commands of a master. */
export function controlCommands(master: ControlledMaster): CommandHandlers {
  return {
    hello: () => ({
      pid: Deno.pid,
      version: VERSION,
      deno: Deno.version.deno,
      configDirectory: master.configDirectory,
    }),
    async status({ service }) {
      const all = await master.services();
      const services = service === undefined ? all : [find(all, service)];
      const ids = new Set(services.map(({ id }) => id));
      const seen = master.masterStatus();
      const isWell = seen.phase !== "stopping" && services.every(({ state }) => isAsWanted(state));
      return {
        state: isWell ? "ready" : "degraded",
        master: {
          pid: Deno.pid,
          version: VERSION,
          deno: Deno.version.deno,
          protocol: CONTROL_VERSION,
          ...seen,
        },
        services,
        listeners: master.listeners().filter((one) => one.services.some((id) => ids.has(id))),
        change: master.underWay(),
        lastReload: lastReloadOf(master.lastReload),
        counters: master.counters(),
      };
    },
    plan: async () => {
      const { plan, warnings } = await master.plan();
      return { ...summaryOf(plan), warnings };
    },
    async reload({ services, wait }, client) {
      // Without a wait, nobody is told later.
      if (wait === false && services !== undefined) await requireKnown(master, services);
      return await change(master, { run: (gone) => master.reload(services, gone), client, wait });
    },
    restart: ({ services }, client) =>
      change(master, {
        run: (gone) => master.change("restart", services, gone),
        client,
      }) as Outcome,
    start: ({ services }, client) =>
      change(master, {
        run: (gone) => master.change("start", services, gone),
        client,
      }) as Outcome,
    stop: ({ services, wait }, client) =>
      services === undefined
        ? stopMaster(master, client, wait)
        : stopServices(master, { services, client, wait }),
    async scale({ service, count, wait = true }, client) {
      const scaled = master.scaleTo(service, count);
      if (scaled !== undefined) {
        const awaited = async () => awaitedText(await named(master, [service]));
        const problem = wait
          ? await whileTelling(master.scaled(service), { client, awaited })
          : undefined;
        return { ...scaled, problem: problem ?? null };
      }
      find(await master.services(), service);
      throw new ControlError(
        "busy",
        cannot("scale", service, { found: "it does not run", expected: "a service that runs" }),
      );
    },
    async upgrade(_, client) {
      const awaited = () => changing(master);
      const upgrade = await whileTelling(master.upgrade(client.gone), { client, awaited });
      if ("pid" in upgrade) return upgrade;
      throw new ControlError(
        "failed",
        `The upgrade has failed, this master goes on: ${upgrade.failure}`,
      );
    },
    async wait(_, client) {
      const awaited = async () => unready(await master.services());
      return { unready: await whileTelling(master.started, { client, awaited }) };
    },
    events: (_, client) => {
      client.subscribe(({ type }) => type !== "line");
      return null;
    },
    async logs({ service, lines = DEFAULT_LINES, follow = false }, client) {
      // The lines of one that was removed are kept for a while.
      if (service !== undefined && master.lines(1, service).length === 0) {
        find(await master.services(), service);
      }
      if (follow) {
        client.subscribe((event) =>
          event.type === "dropped" || event.type === "stop" ||
          event.type === "line" && (service === undefined || isAbout(event, service))
        );
      }
      return { lines: master.lines(lines, service) };
    },
  };
}

type Outcome = Promise<ChangeOutcome>;

/** A change of services that a client asks for. */
interface RequestedChange {
  /** Starts it; `gone` is given if the client waits for it. */
  run(gone?: AbortSignal): Promise<ReloadReport>;
  readonly client: Client;
  readonly wait?: boolean;
}

/** Makes a change, and waits for it unless the client does not want to. */
async function change(
  master: ControlledMaster,
  { run, client, wait = true }: RequestedChange,
): Promise<ChangeOutcome | null> {
  const report = run(wait ? client.gone : undefined);
  if (!wait) {
    report.catch((error) =>
      master.log(`a request was not carried out: ${logTextOf(error)}`, "warn")
    );
    return null;
  }
  const awaited = () => changing(master);
  return resultOf(await whileTelling(report, { client, awaited }));
}

function resultOf(report: ReloadReport): ChangeOutcome {
  const { refusal, plan, undone, durationMs, warnings = [] } = report;
  if (refusal !== undefined) throw refusal;
  return {
    outcome: undone.length === 0 ? "committed" : "rolled back",
    rolledBack: undone,
    plan: summaryOf(plan!),
    durationMs,
    warnings,
  };
}

async function stopMaster(
  master: ControlledMaster,
  client: Client,
  wait = true,
): Promise<null> {
  const stopped = master.stop();
  if (wait) await whileTelling(stopped, { client, awaited: () => ending(master) });
  return null;
}

async function stopServices(
  master: ControlledMaster,
  { services, client, wait }: {
    readonly services: readonly string[];
    readonly client: Client;
    readonly wait?: boolean;
  },
): Promise<ChangeOutcome | null> {
  master.require("stop", services);
  const run = (gone?: AbortSignal) => master.change("stop", services, gone);
  const outcome = await change(master, { run, client, wait });
  if (outcome === null) return null;
  const awaited = () => ending(master, services);
  await whileTelling(master.removed(services), { client, awaited });
  return outcome;
}

/**
 * Waits, and tells the client every few seconds what is awaited. The wait ends with the client, so
 * that nothing is kept for one that is gone.
 *
 * @param done The wait.
 * @param options `awaited`: what is awaited now; nothing is told when it is empty.
 */
async function whileTelling<T>(
  done: Promise<T>,
  { client, awaited }: { readonly client: Client; awaited(): Promise<string> },
): Promise<T> {
  let isOver = false;
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = () => reject(client.gone.reason);
  client.gone.addEventListener("abort", end);
  const timer = setRepeated(systemClock, {
    everyMs: PROGRESS_MS,
    callback: async () => {
      const what = await awaited();
      // The answer may have been sent meanwhile.
      if (!isOver && what !== "") client.progress(`waiting for ${what}`);
    },
  });
  try {
    return await Promise.race([done, ended]);
  } finally {
    isOver = true;
    client.gone.removeEventListener("abort", end);
    timer.cancel();
  }
}

/** All services, or those with these ids. */
async function named(
  master: ControlledMaster,
  ids?: readonly string[],
): Promise<readonly ServiceStatus[]> {
  return (await master.services()).filter(({ id }) => ids?.includes(id) ?? true);
}

/** The processes that a stop waits for, on one line. */
async function ending(master: ControlledMaster, ids?: readonly string[]): Promise<string> {
  return processesOf(await named(master, ids), ({ state }) => state !== "detached");
}

/** What the change that is under way waits for, on one line: the changes before one that is asked for, too. */
async function changing(master: ControlledMaster): Promise<string> {
  const services = await master.services(), change = master.underWay();
  return change === null ? "" : progressText(change, services);
}

/** What a start waits for, on one line: a service without a starting process tells why. */
function unready(services: readonly ServiceStatus[]): string {
  const waiting = services.filter(({ state }) => !isAsWanted(state)).map((one) =>
    awaitedText([one]) ||
    `${one.id}: ${one.problem ?? one.state}`
  );
  return waiting.join("; ");
}

/** Processes by service, on one line. */
function processesOf(
  services: readonly ServiceStatus[],
  isMeant: (process: ProcessStatus) => boolean,
): string {
  return services.flatMap(({ id, processes }) => {
    const texts = processes.filter(isMeant).map(({ pid, state, connections }) =>
      `process ${pid} ${state}${connections ? `, ${counted(connections, "connection")}` : ""}`
    );
    return texts.length === 0 ? [] : `${id}: ${texts.join("; ")}`;
  }).join("; ");
}

function find(services: readonly ServiceStatus[], id: string): ServiceStatus {
  const found = services.find((one) => one.id === id);
  if (found === undefined) throw unknownService(id, services.map((one) => one.id));
  return found;
}

/**
 * Finds out whether services are there, or are in the settings files.
 *
 * @throws {ServiceError} When one of them is not.
 */
async function requireKnown(master: ControlledMaster, ids: readonly string[]): Promise<void> {
  const running = new Set((await master.services()).map(({ id }) => id));
  if (ids.every((id) => running.has(id))) return;
  const known = running.union(new Set((await master.plan()).plan.reasons.keys()));
  const unknown = ids.find((id) => !known.has(id));
  if (unknown !== undefined) throw unknownService(unknown, known);
}

function lastReloadOf(report: ReloadReport | undefined): ReloadStatus | null {
  if (report === undefined) return null;
  const { startedAt, durationMs, text } = report;
  return { atMs: startedAt, durationMs, outcome: outcomeOf(report), text };
}

function summaryOf(plan: ReloadPlan): PlanSummary {
  const services = (["added", "removed", "replaced", "left"] as const).flatMap((change) =>
    plan[change].toSorted().map((id) => ({ id, change, why: plan.reasons.get(id) ?? "" }))
  );
  const listeners = (["opened", "closed", "kept"] as const).flatMap((change) =>
    plan[change].toSorted().map((key) => ({ address: addressOf(key), change }))
  );
  return { services, listeners };
}

/** The address in the key of an endpoint. */
export function addressOf(key: string): string {
  return key.replace(/^[a-z]+:/, "");
}
