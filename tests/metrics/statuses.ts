/**
 * Statuses for tests of the metrics service.
 *
 * @module
 */
import {
  DRAIN_BUCKETS_MS,
  END_REASONS,
  type EndReason,
  type ProcessStatus,
  type ServiceStatus,
  type Status,
} from "../../src/control/status.ts";

const noEnds = Object.fromEntries(END_REASONS.map((reason) => [reason, 0])) as Record<
  EndReason,
  number
>;

/** A process that is ready. */
export function processStatus(pid: number, changes: Partial<ProcessStatus> = {}): ProcessStatus {
  return {
    pid,
    slot: 0,
    state: "ready",
    generation: 1,
    ageMs: 60_000,
    connections: 3,
    accepted: 40,
    cpuMs: 1_500,
    memoryBytes: 50 << 20,
    heartbeatMs: null,
    awaited: null,
    ...changes,
  };
}

/** A service that is ready. */
export function serviceStatus(id: string, changes: Partial<ServiceStatus> = {}): ServiceStatus {
  const processes = changes.processes ?? [processStatus(100)];
  return {
    id,
    state: "ready",
    wanted: processes.length,
    ready: processes.length,
    busy: processes.length,
    starting: 0,
    draining: 0,
    standby: 0,
    restarts: 0,
    lastExit: null,
    problem: null,
    processes,
    counters: {
      starts: processes.length,
      ends: noEnds,
      accepted: 40,
      drains: { count: 0, totalMs: 0, killed: 0, buckets: DRAIN_BUCKETS_MS.map(() => 0) },
    },
    ...changes,
  };
}

/** A master that serves. */
export function masterStatus(
  services: readonly ServiceStatus[] = [serviceStatus("web.cf")],
  changes: Partial<Status> = {},
): Status {
  return {
    state: "ready",
    master: {
      pid: 10,
      uptimeMs: 61_500,
      version: "0.1.0",
      deno: "2.9.6",
      protocol: 1,
      configDirectory: "/etc/zc",
      generation: 1,
      settingsReadAtMs: 1_700_000_000_000,
      phase: "serving",
    },
    services,
    listeners: [{
      kind: "inet",
      address: "127.0.0.1:80",
      services: services.map(({ id }) => id),
      sockets: 1,
      inodes: [7],
      queue: 0,
      queueLimit: 4096,
    }],
    change: null,
    lastReload: null,
    counters: {
      reloads: { committed: 0, rolledBack: 0, refused: 0 },
      upgrades: { completed: 0, failed: 0 },
    },
    ...changes,
  };
}
