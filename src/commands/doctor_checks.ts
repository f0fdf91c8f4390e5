/**
 * The checks of `doctor`: compares what was found with what is right, and gives advice.
 *
 * Pure: the facts come from `doctor_facts.ts`.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import { counted } from "../config/errors.ts";
import { isPermission } from "../config/permissions.ts";
import type { LastExit, ListenerStatus, ServiceStatus } from "../control/status.ts";
import type { OutdatedCertificate } from "../master/services/certificates.ts";
import type { ProcessFacts } from "../os/process/process_facts.ts";

/** Something that is not as it should be. */
export interface Finding {
  /** What was looked at, such as `process 4711 of web.cf: user`. */
  readonly subject: string;
  readonly found: string;
  readonly expected: string;
  /** What to do. */
  readonly advice: string;
  /** A command line that does it, where there is one. */
  readonly command: string | null;
}

/** The user and the groups of a process. */
export interface RunsAs {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** What the processes of a service are given. */
export interface GivenToService {
  readonly id: string;
  /** Undefined if it can't be told. */
  readonly runsAs?: RunsAs;
  /** The root directory; undefined if it can't be told. */
  readonly root?: string;
  /** Whether they must run with no_new_privs. */
  readonly gainsNothing: boolean;
  /** The flags of `deno run`; undefined for a program that Deno does not run. */
  readonly permissions?: readonly string[];
  /** The limits of a core file and of the memory for data, in bytes. */
  readonly coreFile?: number;
  readonly data?: number;
}

/** A ready process of a service. */
export interface ServiceProcess {
  readonly service: string;
  readonly facts: ProcessFacts;
}

/** A service that is degraded or has failed, as the master shows it. */
export type FailingService = Pick<ServiceStatus, "id" | "ready" | "wanted" | "problem">;

/** A service that has not failed, and whose processes have ended unexpectedly, as the master shows it. */
export interface RestartedService extends Pick<ServiceStatus, "id" | "restarts"> {
  readonly lastExit: LastExit;
}

/** What is known of the machine; undefined is what can't be read. */
export interface MachineFacts {
  /** net.core.somaxconn. */
  readonly queueLimit?: number;
  /** net.ipv4.tcp_abort_on_overflow. */
  readonly resetsOnOverflow?: boolean;
  /** fs.file-nr: the open files of all processes, and the most of them. */
  readonly openFiles?: { readonly used: number; readonly most: number };
  /** Whether /dev/log is a socket. */
  readonly hasSyslog: boolean;
  readonly isClockSynchronized?: boolean;
}

/** All that the checks look at. */
export interface DoctorFacts {
  readonly master: ProcessFacts;
  readonly processes: readonly ServiceProcess[];
  /** The services with fewer ready processes than wanted, after failures. */
  readonly failing: readonly FailingService[];
  /** The other ones with unexpected ends of processes. */
  readonly restarted: readonly RestartedService[];
  /** The time, in milliseconds since 1970. */
  readonly nowMs: number;
  /** The services whose files are those that the master has read. */
  readonly services: readonly GivenToService[];
  readonly listeners: readonly ListenerStatus[];
  /** The settings files that have changed since the master has read them. */
  readonly changedFiles: readonly string[];
  /** How many problems the files have. */
  readonly problems: number;
  /** The certificates of services that are not valid, or not for long. */
  readonly certificates: readonly OutdatedCertificate[];
  /** The programs that log to syslog: ids of services, and `master`. */
  readonly syslogUsers: readonly string[];
  readonly machine: MachineFacts;
}

/** From this part of a limit on, it is nearly reached. */
const NEARLY = 0.8;
/** With fewer descriptors than this, a server can't hold many connections. */
const FEW_FILES = 4096;
/** The limit of the accept queue that Linux has had since 5.4. */
const USUAL_QUEUE_LIMIT = 4096;

/** So many ends are no chance, if the last one came early and not long ago. */
const MANY_ENDS = 3, EARLY_END_MS = 60_000, RECENT_END_MS = 600_000;

/** Compares everything, and returns what is not as it should be. */
export function examine(facts: DoctorFacts): Finding[] {
  const { services, processes } = facts;
  return [
    ...fileFindings(facts),
    ...failureFindings(facts),
    ...restartFindings(facts),
    ...openFileFindings("master", facts.master),
    ...processes.flatMap((one) => [
      ...descriptorFindings(one, facts),
      ...services.filter(({ id }) => id === one.service).flatMap((given) =>
        givenFindings(one, given)
      ),
    ]),
    ...certificateFindings(facts),
    ...queueFindings(facts),
    ...machineFindings(facts),
  ];
}

const finding = (
  subject: string,
  { command = null, ...rest }: Omit<Finding, "subject" | "command"> & { command?: string | null },
): Finding => ({ subject, ...rest, command });

function fileFindings({ changedFiles, problems }: DoctorFacts): Finding[] {
  const findings: Finding[] = [];
  if (problems > 0) {
    findings.push(finding("settings files", {
      found: counted(problems, "problem"),
      expected: "none; the processes were not compared with them",
      advice: "look at them",
      command: "zc check",
    }));
  }
  for (const path of changedFiles) {
    findings.push(finding(path, {
      found: "changed since the master has read it",
      expected: "the settings in force",
      advice: "see what a reload would do, and reload",
      command: "zc plan && zc reload",
    }));
  }
  return findings;
}

function failureFindings({ failing }: DoctorFacts): Finding[] {
  return failing.map(({ id, ready, wanted, problem }) =>
    programFinding(id, {
      found: `${ready} of ${wanted} processes ready${problem === null ? "" : `: ${problem}`}`,
      expected: "all of them",
    })
  );
}

/** Names services that are ready in the moments between the ends of their processes. */
function restartFindings({ restarted, nowMs }: DoctorFacts): Finding[] {
  return restarted.flatMap(({ id, restarts, lastExit: { reason, atMs, ranMs } }) => {
    const agoMs = Math.max(0, nowMs - atMs);
    if (restarts < MANY_ENDS || ranMs > EARLY_END_MS || agoMs > RECENT_END_MS) return [];
    return programFinding(id, {
      found:
        `${restarts} unexpected ends of processes, the last one ${formatDuration(agoMs)} ago, ` +
        `after ${formatDuration(ranMs)}: ${reason}`,
      expected: "processes that run until they are told to end",
    });
  });
}

/** A finding about the program of a service. */
function programFinding(id: string, about: Pick<Finding, "found" | "expected">): Finding {
  return finding(`service ${id}`, {
    ...about,
    advice: "see what its program says, mend that, and reload",
    command: `zc logs ${id}`,
  });
}

function certificateFindings({ certificates }: DoctorFacts): Finding[] {
  return certificates.map(({ path, found, expected }) =>
    finding(`certificate ${path}`, {
      found,
      expected,
      advice: "renew it, and reload: processes read it at their start",
    })
  );
}

/** Compares user, rights, limits and permissions. */
function givenFindings({ service, facts }: ServiceProcess, given: GivenToService): Finding[] {
  const findings: Finding[] = [];
  const compare = (what: string, found: string, expected: string) => {
    if (found === expected) return;
    findings.push(finding(`process ${facts.pid} of ${service}: ${what}`, {
      found,
      expected,
      advice: "replace the processes",
      command: `zc reload ${service}`,
    }));
  };
  const { runsAs } = given;
  if (runsAs !== undefined) {
    compare("user", numbers(facts.uids), String(runsAs.uid));
    compare("group", numbers(facts.gids), String(runsAs.gid));
    compare(
      "supplementary groups",
      numbers(facts.groups, runsAs.gid),
      numbers(runsAs.groups, runsAs.gid),
    );
  }
  if (given.root !== undefined && facts.root !== undefined) {
    compare("root directory", facts.root, given.root);
  }
  if (given.gainsNothing) {
    compare("no_new_privs", facts.gainsNothing ? "set" : "not set", "set");
  }
  if (given.permissions !== undefined && facts.args[1] === "run") {
    compare("permissions", denoFlags(facts.args), given.permissions.join(" "));
  }
  if (given.coreFile !== undefined) {
    compare("limit of a core file", bytes(facts.coreFile.soft), bytes(given.coreFile));
  }
  // The memory that was mapped and unused at the start is added to it.
  if (given.data !== undefined && given.data !== Infinity && facts.data.soft === Infinity) {
    compare("limit of memory", bytes(facts.data.soft), bytes(given.data));
  }
  return findings;
}

/** Compares the listeners that a process holds with the addresses of its service. */
function descriptorFindings(
  { service, facts }: ServiceProcess,
  { listeners, master }: DoctorFacts,
): Finding[] {
  const subject = `process ${facts.pid} of ${service}`;
  const { inodes } = facts;
  if (inodes === undefined) {
    return [finding(`${subject}: descriptors`, {
      found: "not readable",
      expected: "a user who may read them",
      advice: "run this command as root",
      command: "sudo zc doctor",
    })];
  }
  const findings = openFileFindings(subject, facts);
  if (facts.openFiles.hard < master.openFiles.hard) {
    findings.push(finding(`${subject}: limit of open files`, {
      found: `${facts.openFiles.hard}, lowered by its program`,
      expected: `${master.openFiles.hard}, as the master has`,
      advice: "look for ulimit or setrlimit in the program",
    }));
  }
  const held = new Set(inodes);
  for (const { address, services, inodes: known } of listeners) {
    const isHeld = known.some((inode) => held.has(inode)), isItsOwn = services.includes(service);
    if (isHeld === isItsOwn) continue;
    findings.push(finding(`${subject}: descriptors`, {
      found: isHeld ? `${address}, an address of ${services.join(" ")}` : `no ${address}`,
      expected: isHeld ? "the addresses of its own service only" : "a listener of this address",
      advice: "replace the processes",
      command: `zc restart ${service}`,
    }));
  }
  return findings;
}

/** Looks at the limit of open files of a process. */
function openFileFindings(subject: string, { openFiles, inodes }: ProcessFacts): Finding[] {
  const used = inodes?.length ?? 0;
  const about = {
    advice: "raise the limit of the master, with LimitNOFILE= in a unit of systemd, and start it " +
      "again",
    command: "ulimit -n 65536 && zc restart",
  };
  if (used >= NEARLY * openFiles.soft) {
    return [finding(`${subject}: open files`, {
      found: `${used} of ${openFiles.soft}`,
      expected: `less than ${NEARLY * 100} %`,
      ...about,
    })];
  }
  // The processes have the limit of the master.
  if (subject !== "master" || openFiles.hard >= FEW_FILES) return [];
  return [finding("master: limit of open files", {
    found: `${openFiles.hard}, which bounds the connections of each process`,
    expected: `at least ${FEW_FILES}`,
    ...about,
  })];
}

function queueFindings({ listeners }: DoctorFacts): Finding[] {
  return listeners.flatMap(({ address, queue, queueLimit, services }) => {
    if (queue === null || !queueLimit || queue < NEARLY * queueLimit) return [];
    return [finding(`listener ${address}: accept queue`, {
      found: `${counted(queue, "connection waits", "connections wait")}, of ${queueLimit}`,
      expected: `less than ${NEARLY * 100} %`,
      advice: "more processes, or look for what holds them up",
      command: services.length === 0 ? null : `zc scale ${services[0]} N`,
    })];
  });
}

function machineFindings({ machine, syslogUsers, listeners }: DoctorFacts): Finding[] {
  const { queueLimit, resetsOnOverflow, openFiles, hasSyslog, isClockSynchronized } = machine;
  const findings: Finding[] = [];
  if (queueLimit !== undefined && queueLimit < USUAL_QUEUE_LIMIT && listeners.length > 0) {
    findings.push(finding("net.core.somaxconn", {
      found: `${queueLimit} connections can wait at an address`,
      expected: `at least ${USUAL_QUEUE_LIMIT}`,
      advice: "raise it, and start the master again",
      command: `sysctl -w net.core.somaxconn=${USUAL_QUEUE_LIMIT} && zc restart`,
    }));
  }
  if (resetsOnOverflow) {
    findings.push(finding("net.ipv4.tcp_abort_on_overflow", {
      found: "1: a client is reset when an accept queue is full",
      expected: "0: it tries again",
      advice: "switch it off",
      command: "sysctl -w net.ipv4.tcp_abort_on_overflow=0",
    }));
  }
  if (openFiles !== undefined && openFiles.used >= NEARLY * openFiles.most) {
    findings.push(finding("fs.file-max", {
      found: `${openFiles.used} files are open, of ${openFiles.most}`,
      expected: `less than ${NEARLY * 100} %`,
      advice: "raise it",
      command: `sysctl -w fs.file-max=${openFiles.most * 2}`,
    }));
  }
  if (!hasSyslog && syslogUsers.length > 0) {
    findings.push(finding("/dev/log", {
      found: `no socket, but these log to syslog: ${syslogUsers.join(" ")}`,
      expected: "the socket of a syslog service",
      advice: "start one, such as systemd-journald or rsyslog, or change server-log",
    }));
  }
  if (isClockSynchronized === false) {
    findings.push(finding("clock", {
      found: "no time service keeps it right",
      expected: "a synchronized clock, for times in logs and for certificates",
      advice: "start a time service",
      command: "timedatectl set-ntp true",
    }));
  }
  return findings;
}

/** The permissions among the flags of `deno run`. */
function denoFlags([, , ...args]: readonly string[]): string {
  const end = args.findIndex((arg) => !arg.startsWith("-"));
  return args.slice(0, end).filter(isPermission).join(" ");
}

/** Distinct numbers in their order, without one of them. */
function numbers(all: readonly number[], without?: number): string {
  const others = [...new Set(all)].filter((one) => one !== without).sort((a, b) => a - b);
  return others.join(" ") || "none";
}

const bytes = (limit: number): string => limit === Infinity ? "none" : `${limit} bytes`;
