/**
 * The commands of the control socket, each by a call of the master.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import type { ChangeOutcome, PlanSummary, UnreadyService } from "../../control/messages.ts";
import type {
  ListenerStatus,
  MasterStatus,
  ReloadStatus,
  ServiceStatus,
} from "../../control/status.ts";
import { CONTROL_VERSION } from "../../control/messages.ts";
import { VERSION } from "../../control/version.ts";
import { setRepeated, systemClock } from "../../os/clock/clock.ts";
import type { ReloadPlan } from "../policy/reload_plan.ts";
import {
  outcomeOf,
  type ReloadReport,
  type ServiceChange,
  unknownService,
} from "../policy/reload_report.ts";
import { type Client, type CommandHandlers, ControlError } from "./requests.ts";

/** How often a client is told what a stop waits for. */
const PROGRESS_MS = 3_000;

/** The side of a master that its control socket sees. */
export interface ControlledMaster {
  /** The status of the master without its constant parts. */
  masterStatus(): Omit<MasterStatus, "pid" | "version" | "deno" | "protocol">;
  /** The status of all services. */
  services(): Promise<readonly ServiceStatus[]>;
  listeners(): readonly ListenerStatus[];
  /** The report of the last reload, if there was one. */
  readonly lastReload: ReloadReport | undefined;
  plan(): Promise<ReloadPlan>;
  /** Reloads everything, or only some services. */
  reload(services?: readonly string[]): Promise<ReloadReport>;
  change(what: ServiceChange, services: readonly string[]): Promise<ReloadReport>;
  /** Throws a `ServiceError` if services can't be changed now. */
  require(what: ServiceChange, services: readonly string[]): void;
  /** Writes a line to the log. */
  readonly log: (text: string) => void;
  /** Fulfilled when services that were stopped have no process any more. */
  removed(services: readonly string[]): Promise<unknown>;
  scaleTo(service: string, count: number): { before: number; now: number } | undefined;
  /** Starts an upgrade; fulfilled with the pid of the new master, or why it has failed. */
  upgrade(): Promise<{ readonly pid: number } | { readonly failure: string }>;
  /** Requests a stop; fulfilled when all processes have ended. */
  stop(): Promise<void>;
  /** The services that were not ready at the end of the start. */
  readonly started: Promise<readonly UnreadyService[]>;
}

/** The commands of a master. */
export function controlCommands(master: ControlledMaster): CommandHandlers {
  const { log } = master;
  return {
    hello: () => ({ pid: Deno.pid, version: VERSION, deno: Deno.version.deno }),
    async status({ service }) {
      const all = await master.services();
      const services = service === undefined ? all : [find(all, service)];
      const ids = new Set(services.map(({ id }) => id));
      const isWell = services.every(({ state }) => ["ready", "idle", "stopped"].includes(state));
      return {
        state: isWell ? "ready" : "degraded",
        master: {
          pid: Deno.pid,
          version: VERSION,
          deno: Deno.version.deno,
          protocol: CONTROL_VERSION,
          ...master.masterStatus(),
        },
        services,
        listeners: master.listeners().filter((one) => one.services.some((id) => ids.has(id))),
        lastReload: lastReloadOf(master.lastReload),
      };
    },
    plan: async () => summaryOf(await master.plan()),
    reload: ({ services, wait }) => waitFor(() => master.reload(services), { wait, log }),
    restart: ({ services }) =>
      waitFor(() => master.change("restart", services), { log }) as Outcome,
    start: ({ services }) => waitFor(() => master.change("start", services), { log }) as Outcome,
    stop: ({ services, wait }, client) =>
      services === undefined
        ? stopMaster(master, client, wait)
        : stopServices(master, { services, client, wait }),
    async scale({ service, count }) {
      const scaled = master.scaleTo(service, count);
      if (scaled !== undefined) return scaled;
      find(await master.services(), service);
      throw new ControlError(
        "busy",
        cannot("scale", service, { found: "it does not run", expected: "a service that runs" }),
      );
    },
    async upgrade() {
      const upgrade = await master.upgrade();
      if ("pid" in upgrade) return upgrade;
      throw new ControlError(
        "failed",
        `The upgrade has failed, this master goes on: ${upgrade.failure}`,
      );
    },
    async wait() {
      return { unready: await master.started };
    },
    events: (_, client) => {
      client.subscribe();
      return null;
    },
  };
}

type Outcome = Promise<ChangeOutcome>;

/** Waits for a change unless the client does not want to. */
async function waitFor(
  change: () => Promise<ReloadReport>,
  { wait = true, log }: { readonly wait?: boolean; log(text: string): void },
): Promise<ChangeOutcome | null> {
  const report = change();
  if (!wait) {
    report.catch((error) => log(`a request was not carried out: ${error.message}`));
    return null;
  }
  return resultOf(await report);
}

function resultOf(report: ReloadReport): ChangeOutcome {
  const { refusal, plan, undone, durationMs } = report;
  if (refusal !== undefined) throw refusal;
  return {
    outcome: undone.length === 0 ? "committed" : "rolled back",
    rolledBack: undone,
    plan: summaryOf(plan!),
    durationMs,
  };
}

async function stopMaster(
  master: ControlledMaster,
  client: Client,
  wait = true,
): Promise<null> {
  const stopped = master.stop();
  if (wait) await whileTelling(stopped, { master, client });
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
  const outcome = await waitFor(() => master.change("stop", services), { wait, log: master.log });
  if (outcome === null) return null;
  await whileTelling(master.removed(services), { master, client, services });
  return outcome;
}

/** Waits, and tells the client every few seconds which processes are awaited. */
async function whileTelling(
  done: Promise<unknown>,
  { master, client, services }: {
    readonly master: ControlledMaster;
    readonly client: Client;
    /** Only these. */
    readonly services?: readonly string[];
  },
): Promise<void> {
  let isOver = false;
  const timer = setRepeated(systemClock, {
    everyMs: PROGRESS_MS,
    callback: async () => {
      const all = await master.services();
      // The answer may have been sent meanwhile.
      if (isOver) return;
      client.progress(awaited(all.filter(({ id }) => services?.includes(id) ?? true)));
    },
  });
  try {
    await done;
  } finally {
    isOver = true;
    timer.cancel();
  }
}

/** What a stop waits for, on one line. */
function awaited(services: readonly ServiceStatus[]): string {
  const left = services.filter(({ processes }) => processes.length > 0);
  const of = ({ id, processes }: ServiceStatus) => {
    const pids = processes.map(({ pid, state, connections }) =>
      `process ${pid} ${state}${connections ? `, ${counted(connections)}` : ""}`
    );
    return `${id}: ${pids.join("; ")}`;
  };
  return `waiting for ${left.map(of).join("; ")}`;
}

const counted = (many: number): string => `${many} connection${many === 1 ? "" : "s"}`;

function find(services: readonly ServiceStatus[], id: string): ServiceStatus {
  const found = services.find((one) => one.id === id);
  if (found === undefined) throw unknownService(id, services.map((one) => one.id));
  return found;
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
