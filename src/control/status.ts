/**
 * The status of a master as a value: what the control socket answers to `status`.
 *
 * docs/control.md describes each field. A field is added, never renamed or removed, within one
 * version of the protocol.
 *
 * @module
 */

/**
 * The state of a service.
 *
 * - `starting`: it has never been ready;
 * - `ready`: as many processes are ready as wanted;
 * - `degraded`: fewer processes are ready than wanted;
 * - `failed`: it is not started any more, or none of its processes is ready after failures;
 * - `idle`: it has no process until a client connects (`server-idle-exit`);
 * - `stopped`: an operator has stopped it, the configuration has it no more, or the master stops.
 */
export type ServiceState = "starting" | "ready" | "degraded" | "failed" | "idle" | "stopped";

/**
 * Whether a service in this state is as it should be: `ready`, `idle` or `stopped`.
 *
 * @param state The state.
 */
export function isAsWanted(state: ServiceState): boolean {
  return state === "ready" || state === "idle" || state === "stopped";
}

/**
 * The state of a process.
 *
 * - `loading`: a standby loads its program;
 * - `waiting`: a standby has loaded it, and waits to be activated;
 * - `starting`: it is not ready yet;
 * - `ready`: it serves;
 * - `draining`: it accepts no more, and finishes its work;
 * - `stopping`: it was told to stop before it was ready, or was sent SIGTERM, or SIGABRT if it hung;
 * - `killing`: it was sent SIGKILL;
 * - `detached`: it has left its master, which replaces it.
 */
export type ProcessState =
  | "loading"
  | "waiting"
  | "starting"
  | "ready"
  | "draining"
  | "stopping"
  | "killing"
  | "detached";

/** What is awaited of a process that is not in service yet. */
export interface AwaitedStep {
  /**
   * `ready`: that it becomes ready, within `server-ready-timeout`. `soak`: that it stays ready for
   * `server-soak`, as a new process of a reload.
   */
  readonly step: "ready" | "soak";
  /** For how long, in milliseconds. */
  readonly elapsedMs: number;
  /** For how long at most, in milliseconds; null without a limit. */
  readonly limitMs: number | null;
}

/** One process of a service. */
export interface ProcessStatus {
  /** Its number. */
  readonly pid: number;
  /** Its slot among the processes of its version; null for a standby. */
  readonly slot: number | null;
  /** How far it is between its start and its end. */
  readonly state: ProcessState;
  /** The generation of its settings. */
  readonly generation: number;
  /** The time since its start, or since its activation as a standby, in milliseconds. */
  readonly ageMs: number;
  /** Its open connections; null for a program that does not use this framework. */
  readonly connections: number | null;
  /**
   * The connections that it has accepted; null if it does not report them, as with `serveHttp` and
   * `--allow-ffi`, where the runtime accepts them.
   */
  readonly accepted: number | null;
  /** The processor time that it has used, in milliseconds; null if it can't be read. */
  readonly cpuMs: number | null;
  /** Its resident memory in bytes; null if it can't be read. */
  readonly memoryBytes: number | null;
  /** The time since its last heartbeat in milliseconds; null if it sends none. */
  readonly heartbeatMs: number | null;
  /** What is awaited of it; null for a process in service, a standby, and one that ends. */
  readonly awaited: AwaitedStep | null;
}

/** One address of a service. */
export interface ListenerStatus {
  /** A TCP socket, a unix socket or a named pipe. */
  readonly kind: "inet" | "unix" | "fifo";
  /** The address, such as `127.0.0.1:80` or `/run/web.sock`. */
  readonly address: string;
  /** The ids of the services that it belongs to. */
  readonly services: readonly string[];
  /** The number of its sockets: more than 1 with `server-balance = reuseport`. */
  readonly sockets: number;
  /** The inodes of its sockets or of its named pipe, as /proc/PID/fd shows them. */
  readonly inodes: readonly number[];
  /** The connections that wait for a process to accept them; null for a unix socket and a named pipe. */
  readonly queue: number | null;
  /** The most connections that can wait; null for a unix socket and a named pipe. */
  readonly queueLimit: number | null;
}

/**
 * The unexpected ends of processes, and the replacements of working ones, by reason. The new
 * processes of a reload that is rolled back are not counted.
 *
 * - `exit`: it has ended with an exit code, without being told to;
 * - `signal`: a signal has ended it that the master had not sent;
 * - `hung`: it sent no heartbeat for `server-watchdog`;
 * - `start-timeout`: it was not ready in time;
 * - `lost`: its connection to the master was broken;
 * - `memory`, `age`, `connections`: it has reached a limit of its settings, and was replaced;
 * - `listener`: one of its listeners had become useless, and it was replaced.
 */
export type EndReason =
  | "exit"
  | "signal"
  | "hung"
  | "start-timeout"
  | "lost"
  | "memory"
  | "age"
  | "connections"
  | "listener";

/** Every {@linkcode EndReason}. */
export const END_REASONS: readonly EndReason[] = [
  "exit",
  "signal",
  "hung",
  "start-timeout",
  "lost",
  "memory",
  "age",
  "connections",
  "listener",
];

/** The upper bounds of {@linkcode DrainCounters.buckets}, in milliseconds. */
export const DRAIN_BUCKETS_MS: readonly number[] = [
  100,
  500,
  1_000,
  5_000,
  10_000,
  30_000,
  60_000,
  300_000,
];

/** The drains of a service that are over: each from the soft stop of a process to its end. */
export interface DrainCounters {
  /** How many. */
  readonly count: number;
  /** How long all of them took together, in milliseconds. */
  readonly totalMs: number;
  /** How many of them the master had to end by a signal. */
  readonly killed: number;
  /** How many took at most the time at the same place of {@linkcode DRAIN_BUCKETS_MS}. */
  readonly buckets: readonly number[];
}

/** What has happened to a service, since the first master; no number ever falls. */
export interface ServiceCounters {
  /** The processes that were started, standbys included. */
  readonly starts: number;
  /** Unexpected ends and replacements; every reason is always there. */
  readonly ends: Readonly<Record<EndReason, number>>;
  /**
   * The connections that its processes have accepted, the ended ones included; null while none of them
   * has reported any number.
   */
  readonly accepted: number | null;
  /** Its drains. */
  readonly drains: DrainCounters;
}

/** What has happened to a master, since the first one; no number ever falls. */
export interface MasterCounters {
  /** The reloads, by outcome. */
  readonly reloads: {
    readonly committed: number;
    readonly rolledBack: number;
    readonly refused: number;
  };
  /** The upgrades, by outcome. */
  readonly upgrades: { readonly completed: number; readonly failed: number };
}

/** One service. */
export interface ServiceStatus {
  /** The name of its settings file, or `hook:N`. */
  readonly id: string;
  /** Whether it serves. */
  readonly state: ServiceState;
  /** How many processes are wanted now. */
  readonly wanted: number;
  /** How many of its current version are ready. */
  readonly ready: number;
  /** How many of the ready ones have an open connection; null if none of them reports connections. */
  readonly busy: number | null;
  /** How many are starting. */
  readonly starting: number;
  /** How many are draining or ending. */
  readonly draining: number;
  /** How many standbys have loaded or are loading. */
  readonly standby: number;
  /**
   * How often a process in service has ended unexpectedly since the start of the master. The new
   * processes of a reload are in service from their pass on: what rolls a reload back is in
   * `lastReload`.
   */
  readonly restarts: number;
  /** The last end that `restarts` counts; null without one. */
  readonly lastExit: LastExit | null;
  /** Why it has failed or does not become ready; null if it works. */
  readonly problem: string | null;
  /** What has happened to it; kept over reloads and upgrades. */
  readonly counters: ServiceCounters;
  /** All of its processes, with its standbys and the processes that are ending. */
  readonly processes: readonly ProcessStatus[];
}

/** The end of a process. */
export interface LastExit {
  /** The number of the process. */
  readonly pid: number;
  /** Such as `exit code 1` or `SIGKILL`. */
  readonly reason: string;
  /** When it was reported, in milliseconds since 1970. */
  readonly atMs: number;
  /** How long it ran, in milliseconds. */
  readonly ranMs: number;
}

/** The result of the last reload. */
export interface ReloadStatus {
  /** When it began, in milliseconds since 1970. */
  readonly atMs: number;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** `refused`: the configuration had problems, nothing was changed. */
  readonly outcome: "committed" | "rolled back" | "refused";
  /** One line. */
  readonly text: string;
}

/** A change that is under way. */
export interface ChangeStatus {
  /** `reload`: of everything; `services`: of named services; `upgrade`: of the master. */
  readonly kind: "reload" | "services" | "upgrade";
  /** What it is called, such as `reload` or `restart of web.cf`. */
  readonly name: string;
  /**
   * The services whose outcome is open. None while the settings are read, and at an upgrade, whose
   * processes are those of the new master.
   */
  readonly services: readonly string[];
  /** When it began, in milliseconds since 1970. */
  readonly atMs: number;
  /** The time since then, in milliseconds. */
  readonly elapsedMs: number;
  /** How long it may take, in milliseconds; null if each of its processes has a limit. */
  readonly limitMs: number | null;
}

/** The master itself. */
export interface MasterStatus {
  /** The number of its process. */
  readonly pid: number;
  /** The time since its start in milliseconds. */
  readonly uptimeMs: number;
  /** The version of the module. */
  readonly version: string;
  /** The version of Deno. */
  readonly deno: string;
  /** The version of the protocol of the control socket. */
  readonly protocol: number;
  /** The absolute path of the directory of `-C`; null without one, and with a root directory of its own. */
  readonly configDirectory: string | null;
  /** The generation of the newest settings; each reload that is begun has a higher one. */
  readonly generation: number;
  /**
   * When the settings files were read whose settings are in force, in milliseconds since 1970.
   * Reloads of named services are not counted.
   */
  readonly settingsReadAtMs: number;
  /** `starting`, `serving`, `draining`, `waiting` or `stopping`. */
  readonly phase: string;
}

/** The whole status. */
export interface Status {
  /**
   * `ready` if every service of the answer is ready, idle or stopped; `degraded` if one is starting,
   * degraded or failed, or the master stops.
   */
  readonly state: "ready" | "degraded";
  /** The master itself. */
  readonly master: MasterStatus;
  /** Its services. */
  readonly services: readonly ServiceStatus[];
  /** Its addresses. */
  readonly listeners: readonly ListenerStatus[];
  /** The change that is under way; null without one. */
  readonly change: ChangeStatus | null;
  /** The last reload that is over; null if there was none. */
  readonly lastReload: ReloadStatus | null;
  /** What has happened to the master; kept over upgrades. */
  readonly counters: MasterCounters;
}
