/**
 * The state of services as plain data, for an operator. Pure.
 *
 * @module
 */
import type {
  AwaitedStep,
  ProcessStatus,
  ServiceCounters,
  ServiceState,
  ServiceStatus,
} from "../../control/status.ts";
import type { ProcessUse } from "../../os/process/process_use.ts";
import { hasPassed, isReady, isStandby, shownState, type Worker } from "../policy/life.ts";
import { problemOf, type Service } from "../policy/model.ts";
import { isServiceIdle, strengthOf } from "../policy/scaling.ts";
import { patienceMs } from "../policy/watchdog.ts";
import type { ConnectionCounts } from "../workers/worker.ts";

/** What a snapshot needs beside the model. */
export interface SnapshotOptions {
  readonly nowMs: number;
  countsOf(worker: Worker): ConnectionCounts | undefined;
  countersOf(id: string): ServiceCounters;
  useOf(pid: number): ProcessUse | undefined;
}

/** The status of a service. */
export function statusOf(service: Service, options: SnapshotOptions): ServiceStatus {
  const { id, current, restarts, lastExit } = service;
  const workers = [...service.workers];
  const own = workers.filter(({ generation }) => generation === current?.generation);
  const count = (of: readonly Worker[], ...states: readonly Worker["life"]["state"][]) =>
    of.filter(({ life }) => states.includes(life.state)).length;
  const wanted = current === undefined ? 0 : strengthOf(service);
  const readyWorkers = own.filter(isReady), ready = readyWorkers.length;
  const open = readyWorkers.flatMap((worker) => options.countsOf(worker)?.open ?? []);
  return {
    id,
    state: stateOf(service, { wanted, ready }),
    wanted,
    ready,
    busy: open.length === 0 ? null : open.filter((count) => count > 0).length,
    starting: count(workers, "starting"),
    draining: count(workers, "draining", "stopping", "killing"),
    standby: workers.filter(isStandby).length,
    restarts,
    lastExit: lastExit ?? null,
    problem: problemOf(service) ?? null,
    counters: options.countersOf(id),
    processes: workers.map((worker) => ({
      ...statusOfProcess(worker, options),
      awaited: awaitedOf(worker, service, options.nowMs),
    })),
  };
}

function stateOf(
  service: Service,
  { wanted, ready }: { readonly wanted: number; readonly ready: number },
): ServiceState {
  const { failure, trouble, current, candidate } = service;
  if (failure !== undefined) return "failed";
  // Without any version, its last processes end.
  if (current === undefined) return candidate === undefined ? "stopped" : "starting";
  if (isServiceIdle(service)) return "idle";
  if (ready >= wanted) return "ready";
  if (ready > 0) return "degraded";
  return trouble === undefined ? "starting" : "failed";
}

function statusOfProcess(
  worker: Worker,
  { nowMs, countsOf, useOf }: SnapshotOptions,
): Omit<ProcessStatus, "awaited"> {
  const { pid, slot, generation, startedAtMs, life, config } = worker;
  const counts = countsOf(worker), use = useOf(pid);
  const heartbeats = "heartbeats" in life ? life.heartbeats : undefined;
  return {
    pid,
    slot: isStandby(worker) ? null : slot,
    state: shownState(life) as ProcessStatus["state"],
    generation,
    ageMs: Math.round(nowMs - startedAtMs),
    connections: counts?.open ?? null,
    accepted: counts?.accepted ?? null,
    cpuMs: use?.cpuMs ?? null,
    memoryBytes: use?.memoryBytes ?? null,
    heartbeatMs: heartbeats === undefined
      ? null
      : Math.max(0, Math.round(nowMs - (heartbeats.silentUntilMs - patienceMs(config)))),
  };
}

/** What is awaited of a worker before it is in service. */
function awaitedOf(
  worker: Worker,
  { candidate }: Service,
  nowMs: number,
): AwaitedStep | null {
  const { life, generation, startedAtMs, config: { soakMs } } = worker;
  if (life.state === "starting") {
    const limitMs = life.readyByMs === Infinity ? null : Math.round(life.readyByMs - startedAtMs);
    return { step: "ready", elapsedMs: Math.round(nowMs - startedAtMs), limitMs };
  }
  const isSoaking = generation === candidate?.generation && !hasPassed(worker, nowMs);
  if (life.state !== "ready" || !isSoaking) return null;
  return { step: "soak", elapsedMs: Math.round(nowMs - life.readyAtMs), limitMs: soakMs };
}
