/**
 * What a change that is under way waits for, in words.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import type { AwaitedStep, ChangeStatus, ServiceStatus, Status } from "./status.ts";

/** The setting that limits each step. */
const SETTINGS: Readonly<Record<AwaitedStep["step"], string>> = {
  ready: "server-ready-timeout",
  soak: "server-soak",
};

/**
 * The processes that are awaited, by service, each with the time that it has taken and may take.
 *
 * @param services The services; the processes of a master of an earlier version tell nothing.
 * @returns One line; empty without such a process.
 */
export function awaitedText(services: readonly ServiceStatus[]): string {
  return services.flatMap(({ id, processes }) => {
    const texts = processes.flatMap(({ pid, state, awaited }) =>
      awaited ? `process ${pid} ${state} for ${spanOf(awaited, SETTINGS[awaited.step])}` : []
    );
    return texts.length === 0 ? [] : `${id}: ${texts.join("; ")}`;
  }).join("; ");
}

/**
 * What a client waits for that has asked for a change.
 *
 * @param change The change that is under way: that one, or one before it.
 * @param services The services that it may change.
 * @returns One line.
 */
export function progressText(change: ChangeStatus, services: readonly ServiceStatus[]): string {
  return waitedFor(change, services) || `the ${underWay(change)}`;
}

/** What a change waits for, on one line; empty where nothing can be told. */
function waitedFor(change: ChangeStatus, services: readonly ServiceStatus[]): string {
  if (change.kind === "upgrade") return `the new master for ${spanOf(change, UPGRADE_LIMIT)}`;
  const open = services.filter(({ id }) => change.services.includes(id));
  return awaitedText(open) || change.services.join(" ");
}

/**
 * The change that is under way, for a status.
 *
 * @param status The status.
 * @returns One line; undefined without a change.
 */
export function changeText({ change, services }: Status): string | undefined {
  // A master of an earlier version tells none.
  if (!change) return undefined;
  const awaited = waitedFor(change, services);
  const what = awaited === "" ? "" : `, waiting for ${awaited}`;
  return `${underWay(change)}${what}`;
}

function underWay({ name, elapsedMs }: ChangeStatus): string {
  return `${name} under way for ${formatDuration(elapsedMs)}`;
}

const UPGRADE_LIMIT = "master-upgrade-timeout";

function spanOf(
  { elapsedMs, limitMs }: Pick<AwaitedStep, "elapsedMs" | "limitMs">,
  setting: string,
): string {
  const span = formatDuration(elapsedMs);
  return limitMs === null ? span : `${span} of ${formatDuration(limitMs)} (${setting})`;
}
