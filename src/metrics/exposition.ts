/**
 * The status of a master in the text format of Prometheus.
 *
 * `METRICS` is the only list of the metrics: the text, `docs/metrics.md` and the tests follow from it.
 *
 * @module
 */
import type {
  ListenerStatus,
  ProcessState,
  ProcessStatus,
  ServiceState,
  ServiceStatus,
  Status,
} from "../control/status.ts";
import { DRAIN_BUCKETS_MS } from "../control/status.ts";
import { NEXT_PHASES } from "../master/phase.ts";

/** The media type of the text. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The labels of a sample, in the order of the text. */
export type Labels = Readonly<Record<string, string>>;

/** One line of the text. */
export interface Sample {
  readonly labels: Labels;
  /** The value; a sample without one is left out. */
  readonly value: number | null;
  /**
   * What is appended to the name of the metric.
   *
   * @default {""}
   */
  readonly suffix?: "_bucket" | "_sum" | "_count";
}

/** One metric. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** The names of its labels. */
  readonly labels: readonly string[];
  /** Its samples; none if nothing is known of it. */
  readonly samples: (status: Status) => readonly Sample[];
}

/** The words of a union, each once: a word that is added there is missing here, and does not compile. */
function wordsOf<T extends string>(all: Readonly<Record<T, true>>): readonly T[] {
  return Object.keys(all) as T[];
}

const SERVICE_STATES = wordsOf<ServiceState>({
  starting: true,
  ready: true,
  degraded: true,
  failed: true,
  idle: true,
  stopped: true,
});
const PROCESS_STATES = wordsOf<ProcessState>({
  loading: true,
  waiting: true,
  starting: true,
  ready: true,
  draining: true,
  stopping: true,
  killing: true,
  detached: true,
});
const PHASES: readonly string[] = Object.keys(NEXT_PHASES);

/** All metrics, in the order of the text. */
export const METRICS: readonly Metric[] = [
  gauge("zc_up", "1: the master has answered.", () => 1),
  gauge(
    "zc_ready",
    "1 if every service is ready, idle or stopped by an operator, else 0.",
    ({ state }) => Number(state === "ready"),
  ),
  {
    name: "zc_build_info",
    type: "gauge",
    help: "1, with the versions of the master and of Deno as labels.",
    labels: ["version", "deno"],
    samples: ({ master: { version, deno } }) => [{ labels: { version, deno }, value: 1 }],
  },
  gauge(
    "zc_master_uptime_seconds",
    "Time since the start of the master; an upgrade starts a new one.",
    ({ master }) => master.uptimeMs / 1000,
  ),
  {
    name: "zc_master_phase",
    type: "gauge",
    help: "1 for the phase that the master is in, 0 for the others.",
    labels: ["phase"],
    samples: ({ master }) =>
      PHASES.map((phase) => ({ labels: { phase }, value: Number(phase === master.phase) })),
  },
  gauge(
    "zc_generation",
    "Number of the newest settings; each reload that is begun raises it.",
    ({ master }) => master.generation,
  ),
  gauge(
    "zc_settings_read_timestamp_seconds",
    "When the settings files in force were read, as Unix time.",
    ({ master }) => master.settingsReadAtMs / 1000,
  ),
  {
    name: "zc_reloads_total",
    type: "counter",
    help: "Reloads, by outcome.",
    labels: ["outcome"],
    samples: ({ counters: { reloads } }) => [
      { labels: { outcome: "committed" }, value: reloads.committed },
      { labels: { outcome: "rolled_back" }, value: reloads.rolledBack },
      { labels: { outcome: "refused" }, value: reloads.refused },
    ],
  },
  gauge(
    "zc_last_reload_success",
    "1 if the last reload was committed, 0 if it was rolled back or refused.",
    ({ lastReload }) => lastReload && Number(lastReload.outcome === "committed"),
  ),
  gauge(
    "zc_last_reload_timestamp_seconds",
    "When the last reload began, as Unix time.",
    ({ lastReload }) => lastReload && lastReload.atMs / 1000,
  ),
  gauge(
    "zc_last_reload_duration_seconds",
    "How long the last reload took.",
    ({ lastReload }) => lastReload && lastReload.durationMs / 1000,
  ),
  {
    name: "zc_upgrades_total",
    type: "counter",
    help: "Upgrades of the master, by outcome; one whose new master ends later counts as both.",
    labels: ["outcome"],
    samples: ({ counters: { upgrades } }) => [
      { labels: { outcome: "completed" }, value: upgrades.completed },
      { labels: { outcome: "failed" }, value: upgrades.failed },
    ],
  },
  ofServices({
    name: "zc_service_state",
    type: "gauge",
    help: "1 for the state that the service is in, 0 for the others.",
    labels: ["state"],
    samples: (service) =>
      SERVICE_STATES.map((state) => ({
        labels: { state },
        value: Number(state === service.state),
      })),
  }),
  ofServices({
    name: "zc_service_wanted_processes",
    type: "gauge",
    help: "Processes that the service is to have now.",
    samples: ({ wanted }) => [unlabelled(wanted)],
  }),
  ofServices({
    name: "zc_service_ready_processes",
    type: "gauge",
    help: "Ready processes of the current version of the service.",
    samples: ({ ready }) => [unlabelled(ready)],
  }),
  ofServices({
    name: "zc_service_processes",
    type: "gauge",
    help: "Processes of all versions of the service, by state.",
    labels: ["state"],
    samples: ({ processes }) =>
      PROCESS_STATES.map((state) => ({
        labels: { state },
        value: processes.filter((one) => one.state === state).length,
      })),
  }),
  ofServices({
    name: "zc_service_process_starts_total",
    type: "counter",
    help: "Processes that were started, standbys included.",
    samples: ({ counters }) => [unlabelled(counters.starts)],
  }),
  ofServices({
    name: "zc_service_process_ends_total",
    type: "counter",
    help: "Processes that ended unexpectedly, or were replaced at a limit, by reason; none of a " +
      "reload that was rolled back.",
    labels: ["reason"],
    samples: ({ counters }) =>
      Object.entries(counters.ends).map(([reason, value]) => ({ labels: { reason }, value })),
  }),
  ofServices({
    name: "zc_service_connections",
    type: "gauge",
    help: "Open connections of all processes that report them.",
    samples: ({ processes }) => [unlabelled(sumOf(processes, "connections"))],
  }),
  ofServices({
    name: "zc_service_connections_accepted_total",
    type: "counter",
    help: "Connections that were accepted by all processes that report them, ended ones included.",
    samples: ({ counters }) => [unlabelled(counters.accepted)],
  }),
  ofServices({
    name: "zc_service_busy_ratio",
    type: "gauge",
    help: "Ready processes with an open connection, divided by all ready processes.",
    samples: ({ busy, ready }) => [unlabelled(busy === null || ready === 0 ? null : busy / ready)],
  }),
  ofServices({
    name: "zc_service_drain_duration_seconds",
    type: "histogram",
    help: "How long processes took from the order to stop to their end.",
    samples: ({ counters: { drains } }) => [
      ...DRAIN_BUCKETS_MS.map((ms, index) => ({
        suffix: "_bucket" as const,
        labels: { le: String(ms / 1000) },
        value: drains.buckets[index],
      })),
      { suffix: "_bucket", labels: { le: "+Inf" }, value: drains.count },
      { suffix: "_sum", labels: {}, value: drains.totalMs / 1000 },
      { suffix: "_count", labels: {}, value: drains.count },
    ],
  }),
  ofServices({
    name: "zc_service_drains_killed_total",
    type: "counter",
    help: "Processes that did not end in time when they were told to, and were killed.",
    samples: ({ counters }) => [unlabelled(counters.drains.killed)],
  }),
  ofListeners(
    "zc_listener_sockets",
    "Sockets of the address: more than 1 with server-balance = reuseport.",
    ({ sockets }) => sockets,
  ),
  ofListeners(
    "zc_listener_queue_length",
    "Connections that wait for a process to accept them.",
    ({ queue }) => queue,
  ),
  ofListeners(
    "zc_listener_queue_limit",
    "Most connections that can wait; the kernel refuses or ignores further ones.",
    ({ queueLimit }) => queueLimit,
  ),
  ofProcesses(
    "counter",
    "zc_process_cpu_seconds_total",
    "Processor time of the process.",
    ({ cpuMs }) => inSeconds(cpuMs),
  ),
  ofProcesses(
    "gauge",
    "zc_process_resident_memory_bytes",
    "Resident memory of the process.",
    ({ memoryBytes }) => memoryBytes,
  ),
  ofProcesses(
    "gauge",
    "zc_process_connections",
    "Open connections of the process, if it reports them.",
    ({ connections }) => connections,
  ),
  ofProcesses(
    "gauge",
    "zc_process_age_seconds",
    "Time since the start of the process, or since the activation of a standby.",
    ({ ageMs }) => inSeconds(ageMs),
  ),
  ofProcesses(
    "gauge",
    "zc_process_heartbeat_age_seconds",
    "Time since the last heartbeat of the process, if it sends any.",
    ({ heartbeatMs }) => inSeconds(heartbeatMs),
  ),
];

/** The texts of statuses that are still in use: many clients may get the same one. */
const texts = new WeakMap<Status, string>();

/**
 * Writes a status as text.
 *
 * @param status The status.
 * @returns The text, with an end of line at its end.
 */
export function renderExposition(status: Status): string {
  let text = texts.get(status);
  if (text === undefined) texts.set(status, text = textOf(status));
  return text;
}

function textOf(status: Status): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of METRICS) {
    const known = samples(status).filter(({ value }) => value !== null);
    if (known.length === 0) continue;
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const { suffix = "", labels, value } of known) {
      lines.push(`${name}${suffix}${renderLabels(labels)} ${value}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The sum over the processes that report it; null if none does. */
export function sumOf(
  processes: readonly ProcessStatus[],
  field: "connections" | "memoryBytes",
): number | null {
  const known = processes.map((one) => one[field]).filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** A label's value as the format wants it: only these three characters have a meaning in it. */
function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (one) => one === "\n" ? "\\n" : `\\${one}`);
}

function unlabelled(value: number | null): Sample {
  return { labels: {}, value };
}

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

function gauge(name: string, help: string, value: (status: Status) => number | null): Metric {
  return {
    name,
    type: "gauge",
    help,
    labels: [],
    samples: (status) => [unlabelled(value(status))],
  };
}

/** A metric with the samples of each service, which have its id as their first label. */
function ofServices(
  { labels = [], samples, ...metric }:
    & Pick<Metric, "name" | "type" | "help">
    & { labels?: readonly string[]; samples: (service: ServiceStatus) => readonly Sample[] },
): Metric {
  return {
    ...metric,
    labels: ["service", ...labels],
    samples: ({ services }) =>
      services.flatMap((service) =>
        samples(service).map((sample) => ({
          ...sample,
          labels: { service: service.id, ...sample.labels },
        }))
      ),
  };
}

function ofListeners(
  name: string,
  help: string,
  value: (listener: ListenerStatus) => number | null,
): Metric {
  return {
    name,
    type: "gauge",
    help,
    labels: ["service", "kind", "address"],
    samples: ({ listeners }) =>
      listeners.map((one) => ({
        labels: { service: one.services.join(","), kind: one.kind, address: one.address },
        value: value(one),
      })),
  };
}

function ofProcesses(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (process: ProcessStatus) => number | null,
): Metric {
  return {
    name,
    type,
    help,
    labels: ["service", "pid", "slot"],
    samples: ({ services }) =>
      services.flatMap(({ id, processes }) =>
        processes.map((one) => ({
          labels: { service: id, pid: String(one.pid), slot: String(one.slot ?? "") },
          value: value(one),
        }))
      ),
  };
}
