/**
 * The records of all settings of the master and the servers, from which the reference page and `-help` are
 * generated. A new setting is one more record here.
 *
 * A server's own settings aren't listed: they are read with the getters of `Config`.
 *
 * @module
 */

import { COMMAND_FORM, parseCommand } from "./command.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "./log_form.ts";
import {
  LOG_SERVICE_FORM,
  LOG_TARGET_FORM,
  type LogServiceConfig,
  type LogTarget,
  parseLogService,
  parseLogTarget,
} from "./log_target.ts";
import { METRICS_FORM, parseMetricsAddress } from "./metrics_address.ts";
import { parseRotation, type Rotation, ROTATION_FORM } from "./rotation.ts";
import { parsePermissions, PERMISSIONS_FORM } from "./permissions.ts";
import type { Setting } from "./setting.ts";
import { SOCKET_MODE, SOCKET_OWNER, type SocketOwner } from "./socket_access.ts";
import {
  BYTE_LIMIT,
  FLAG,
  oneOf,
  parsedKind,
  RATE,
  type Rate,
  SECONDS,
  textKind,
  type ValueKind,
  wholeNumber,
} from "./values.ts";
import { parseVariables, type Variables, VARIABLES_FORM } from "./variables.ts";

export {
  checkSettings,
  collectSetting,
  readSetting,
  type Setting,
  type SettingGroup,
  type SettingResult,
  type SettingScope,
} from "./setting.ts";

/** The way in which the master passes descriptors to a server. */
export type ServerProtocol = "auto" | "control" | "deno" | "inherit" | "libzc" | "systemd";

const records: Setting<unknown>[] = [];
const byName = new Map<string, Setting<unknown>>();

/** Every setting, in the order of this file. */
export const ALL_SETTINGS: readonly Setting<unknown>[] = records;

/** The record of a setting; undefined for a server's own. */
export function settingOf(name: string): Setting<unknown> | undefined {
  return byName.get(name);
}

/** Whether the value of a setting is secret. */
export function isSecret(name: string): boolean {
  return settingOf(name)?.isSecret === true;
}

type Described<T> = Omit<Setting<T>, "defaultValue">;

function define<T>(record: Described<T> & { readonly fallback: string }): Setting<T>;
function define<T>(record: Described<T>): Setting<T | undefined>;
function define<T>(record: Described<T>): Setting<T | undefined> {
  const { fallback, kind } = record;
  const setting: Setting<T | undefined> = {
    ...record,
    defaultValue: fallback === undefined ? undefined : kind.parse(fallback),
  };
  records.push(setting);
  byName.set(setting.name, setting);
  return setting;
}

/** The most processes of a service. */
export const MOST_PROCESSES = 10_000;

const FILE = textKind({ placeholder: "FILE", expected: "a file" });
const DIR = textKind({ placeholder: "DIR", expected: "a directory" });

const COMMAND: ValueKind<readonly string[]> = parsedKind(parseCommand, {
  placeholder: "COMMAND",
  expected: COMMAND_FORM,
});

const METRICS_ADDRESS: ValueKind<string> = parsedKind(parseMetricsAddress, {
  placeholder: "ADDR",
  expected: METRICS_FORM,
});

const LOG_TARGET: ValueKind<LogTarget> = parsedKind(parseLogTarget, {
  placeholder: "TARGET",
  expected: LOG_TARGET_FORM,
});

const LOG_SERVICE_KIND: ValueKind<LogServiceConfig> = parsedKind(parseLogService, {
  placeholder: "SOCKET,PREFIX,day|hour",
  expected: LOG_SERVICE_FORM,
});

/** `server-command`: the program and its arguments. */
export const SERVER_COMMAND: Setting<readonly string[] | undefined> = define({
  name: "server-command",
  group: "processes",
  scopes: ["service"],
  kind: COMMAND,
  doc:
    "The program to start, with arguments if it needs any. No shell is involved. self NAME starts " +
    "the program of the master again, as its server NAME.",
});

/** `server-service`: the list of `[name://]address`; the entries are read by `service.ts`. */
export const SERVER_SERVICE: Setting<string | undefined> = define({
  name: "server-service",
  group: "sockets",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "LIST", expected: "a list of [name://]address" }),
  doc: "The addresses to listen on, each as [name://]address, separated by a semicolon, " +
    "a comma, a space or a tab.",
});

/** `server-proc-count`: how many processes. */
export const SERVER_PROC_COUNT: Setting<number> = define({
  name: "server-proc-count",
  group: "processes",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: MOST_PROCESSES, placeholder: "COUNT" }),
  fallback: "1",
  doc: "How many processes serve the addresses. 0 opens the addresses and starts no process.",
});

/** How the processes of a service share the connections that come to an address. */
export type ServerBalance = "shared" | "reuseport";

/** `server-balance`: whether the processes of a service share a queue. */
export const SERVER_BALANCE: Setting<ServerBalance> = define({
  name: "server-balance",
  group: "sockets",
  scopes: ["service", "server"],
  kind: oneOf(["shared", "reuseport"]),
  fallback: "shared",
  inherited: true,
  doc: "How the processes share the connections to a host:port. shared: all processes accept " +
    "from one queue, and an idle process accepts first. reuseport: each process has a queue " +
    "of its own (SO_REUSEPORT), and the kernel chooses the queue of each connection at " +
    "random.",
});

/** `server-log`: where log lines go. */
export const SERVER_LOG: Setting<LogTarget | undefined> = define({
  name: "server-log",
  group: "logs",
  scopes: ["service", "master", "server"],
  kind: LOG_TARGET,
  doc: "Where log lines are written. Without it: to the standard error output.",
});

/** What happens with the standard outputs of a server. */
export type ServerOutput = "capture" | "inherit";

/** `server-output`: what happens with the standard outputs of a server. */
export const SERVER_OUTPUT: Setting<ServerOutput> = define({
  name: "server-output",
  group: "logs",
  scopes: ["service"],
  kind: oneOf(["capture", "inherit"]),
  fallback: "capture",
  inherited: true,
  doc: "What happens with the standard outputs of the processes. capture: the master reads them, " +
    "and writes each line to its log, with service and pid in front. inherit: the processes write " +
    "to the outputs of the master themselves.",
});

/** `server-output-file`: the file of captured output. */
export const SERVER_OUTPUT_FILE: Setting<string | undefined> = define({
  name: "server-output-file",
  group: "logs",
  scopes: ["service"],
  kind: FILE,
  inherited: true,
  doc:
    "A file to which the captured output is also written. Its directory must exist. The master " +
    "opens the file for each write, so that it may be renamed at any time.",
});

/** `server-output-rotate`: when the file is renamed. */
export const SERVER_OUTPUT_ROTATE: Setting<Rotation> = define({
  name: "server-output-rotate",
  group: "logs",
  scopes: ["service"],
  kind: parsedKind(parseRotation, { placeholder: "WHEN", expected: ROTATION_FORM }),
  fallback: "day,100m",
  inherited: true,
  doc:
    "When the master renames server-output-file: before it is larger than the size, and at the " +
    "first line of another day or hour. The new name ends in the time, as in " +
    "web.log.20260131-235959. off: never.",
});

/** `server-output-keep`: how many renamed files are kept. */
export const SERVER_OUTPUT_KEEP: Setting<number> = define({
  name: "server-output-keep",
  group: "logs",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: 100_000, placeholder: "COUNT" }),
  fallback: "14",
  inherited: true,
  doc: "How many renamed files are kept. The oldest ones are removed.",
});

/** `server-output-total`: how large the renamed files may be together. */
export const SERVER_OUTPUT_TOTAL: Setting<number> = define({
  name: "server-output-total",
  group: "logs",
  scopes: ["service"],
  kind: BYTE_LIMIT,
  fallback: "1g",
  inherited: true,
  doc: "How large the renamed files may be together. The oldest ones are removed.",
});

/** `log-level`: the least important lines that are written. */
export const LOG_LEVEL: Setting<LogLevel> = define({
  name: "log-level",
  group: "logs",
  scopes: ["master", "server"],
  kind: oneOf(LOG_LEVELS),
  fallback: "info",
  doc: "Write log lines of this level and of the more important ones: debug, info, warn, error. " +
    "debug = yes and --DEBUG win over it, and mean debug. At debug each line ends with the file " +
    "and line of its call. In a .gcf it applies to the master and to all servers.",
});

/** `log-format`: the form of lines on a standard output. */
export const LOG_FORMAT: Setting<LogFormat> = define({
  name: "log-format",
  group: "logs",
  scopes: ["master", "server"],
  kind: oneOf(LOG_FORMATS),
  fallback: "auto",
  doc: "The form of log lines on the standard outputs. text: time with zone, level, program and " +
    "process id. terminal: short, with colours. journal: the priority prefixes of sd-daemon(3), " +
    "without a time. json: one object a line, with the field names of OpenTelemetry. auto: " +
    "terminal on a terminal, journal on the output that JOURNAL_STREAM names, else text. In a " +
    ".gcf it applies to the master and to all servers.",
});

/** `server-drain-timeout`: the limit of a drain, in milliseconds. */
export const SERVER_DRAIN_TIMEOUT: Setting<number> = define({
  name: "server-drain-timeout",
  group: "reload",
  scopes: ["service", "server"],
  kind: SECONDS,
  fallback: "30s",
  inherited: true,
  doc:
    "How long a server that was told to stop may finish its connections. It ends with the last " +
    "one, and after this time at the latest.",
});

/** `server-stop-on-softstop-after`: M of the soft stop, in milliseconds. */
export const SERVER_STOP_ON_SOFTSTOP_AFTER: Setting<number | undefined> = define({
  name: "server-stop-on-softstop-after",
  group: "reload",
  scopes: ["service", "server"],
  kind: SECONDS,
  inherited: true,
  doc: "How long a server goes on after it was told to stop, with connections or without, as in " +
    "LIB-ZC. Without it: until its last connection ends, see server-drain-timeout.",
});

/** The services whose processes a reload replaces. */
export type ReloadRule = "always" | "changed";

/** `server-reload`: whether a reload replaces processes of a service in which nothing has changed. */
export const SERVER_RELOAD: Setting<ReloadRule> = define({
  name: "server-reload",
  group: "reload",
  scopes: ["service"],
  kind: oneOf(["always", "changed"]),
  fallback: "always",
  inherited: true,
  doc: "Which reloads replace the processes. always: each reload. changed: only a reload that " +
    "finds a change in a setting, an address, a file named in server-command, a file of " +
    "server-tls-cert and server-tls-key, or a local module that its script imports by a fixed " +
    "name; for self the script is the program of the master, or its compiled file. Modules whose names are made at run time, " +
    "and files that the program reads, are not compared. For a program that is not a script of " +
    "the master's own Deno only the files named in server-command are compared, and the log says " +
    "so.",
});

/** `server-reload-step`: the most processes of a reload beyond the usual number. */
export const SERVER_RELOAD_STEP: Setting<number | undefined> = define({
  name: "server-reload-step",
  group: "reload",
  scopes: ["service"],
  kind: wholeNumber({ min: 1, max: MOST_PROCESSES, placeholder: "COUNT" }),
  inherited: true,
  doc: "How many processes a reload may run beyond server-proc-count at the same time. Old " +
    "processes that are still draining count. Without it: a reload starts all new processes " +
    "at once.",
});

/** `server-ready-timeout`: how long a new process has to become ready, in milliseconds. */
export const SERVER_READY_TIMEOUT: Setting<number> = define({
  name: "server-ready-timeout",
  group: "reload",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "30s",
  inherited: true,
  doc: "How long each new process has to become ready, and a standby process to load. A server " +
    "is ready when its serviceRegister has returned for each service. A process that is not " +
    "ready in time is ended and replaced; at a reload, the reload of its service is undone. " +
    "The start of the master is complete when all services are ready or this time has passed. " +
    "0 is without limit (30 s for the start of the master).",
});

/** `server-soak`: the time that a new process must live once it is ready, in milliseconds. */
export const SERVER_SOAK: Setting<number> = define({
  name: "server-soak",
  group: "reload",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "How long the new processes of a reload must run after they are ready before the old " +
    "processes are stopped. If a new process ends within this time, the reload of its service " +
    "is undone.",
});

/** `server-healthy-after`: the least life of a process that has not ended early, in milliseconds. */
export const SERVER_HEALTHY_AFTER: Setting<number> = define({
  name: "server-healthy-after",
  group: "supervision",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "10s",
  inherited: true,
  doc: "A process that ends before it is ready, or sooner than this after its start, has ended " +
    "early. Each early end in a row doubles the wait before the next start in that slot. A " +
    "process that ends by itself with exit code 0, or while it drains, does not count if it " +
    "has had a client or has served for half a second.",
});

/** `server-backoff-max`: the longest wait between two starts, in milliseconds. */
export const SERVER_BACKOFF_MAX: Setting<number> = define({
  name: "server-backoff-max",
  group: "supervision",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "30s",
  inherited: true,
  doc: "The longest time between two starts in a slot whose processes end early. The wait begins " +
    "at 100 ms and doubles each time.",
});

/** `server-start-limit`: how often a process may be started. */
export const SERVER_START_LIMIT: Setting<Rate | undefined> = define({
  name: "server-start-limit",
  group: "supervision",
  scopes: ["service"],
  kind: RATE,
  inherited: true,
  doc: "How many processes may be started in one slot within a time. Beyond that the service has " +
    "failed, and none of its processes is started until the next reload. Processes that have " +
    "ended normally do not count. Without it: no limit.",
});

/** `server-watchdog`: the longest time between two heartbeats of a process, in milliseconds. */
export const SERVER_WATCHDOG: Setting<number> = define({
  name: "server-watchdog",
  group: "supervision",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "How long the event loop of a server may be blocked. A server that does not answer for " +
    "longer is sent SIGABRT, then SIGKILL. 0 turns the watchdog off.",
});

/** `server-max-connections`: the number of connections after which a process is replaced. */
export const SERVER_MAX_CONNECTIONS: Setting<number | undefined> = define({
  name: "server-max-connections",
  group: "supervision",
  scopes: ["service"],
  kind: wholeNumber({ min: 1, max: Number.MAX_SAFE_INTEGER, placeholder: "COUNT" }),
  inherited: true,
  doc: "How many connections a process accepts before it is replaced: a new process starts, and " +
    "the old one stops accepting and drains. Each process subtracts a random part of up to a " +
    "tenth, so that not all are replaced at once. Without it: no limit.",
});

/** `server-max-age`: the age at which a process is replaced, in milliseconds. */
export const SERVER_MAX_AGE: Setting<number> = define({
  name: "server-max-age",
  group: "supervision",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "The age at which a process is replaced: a new process starts, and the old one stops " +
    "accepting and drains. Each process subtracts a random part of up to a tenth, so that not " +
    "all are replaced at once. 0 is without limit.",
});

/** `server-max-memory`: the memory use at which a process is replaced, in bytes. */
export const SERVER_MAX_MEMORY: Setting<number> = define({
  name: "server-max-memory",
  group: "supervision",
  scopes: ["service"],
  kind: BYTE_LIMIT,
  fallback: "-1",
  inherited: true,
  doc: "How much memory a process may use, measured as its proportional set size (PSS): its own " +
    "memory and its share of what it has in common with other processes. A process that uses " +
    "more for 10 s drains and is replaced. 0 and -1 are without limit.",
});

/** `server-idle-exit`: the idle time after which a process ends, in milliseconds. */
export const SERVER_IDLE_EXIT: Setting<number> = define({
  name: "server-idle-exit",
  group: "processes",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "How long a process may be without a connection before it is ended. A process is started " +
    "again when all remaining ones have connections, or when none remains and a connection " +
    "waits. 0 keeps all processes.",
});

/** `server-proc-min`: the number of idle processes to keep. */
export const SERVER_PROC_MIN: Setting<number> = define({
  name: "server-proc-min",
  group: "processes",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: MOST_PROCESSES, placeholder: "COUNT" }),
  fallback: "0",
  inherited: true,
  doc: "How many processes server-idle-exit keeps. With 0, the first connection starts a " +
    "process.",
});

/** `server-standby-count`: the number of standby processes. */
export const SERVER_STANDBY_COUNT: Setting<number> = define({
  name: "server-standby-count",
  group: "processes",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: 1_000, placeholder: "COUNT" }),
  fallback: "0",
  inherited: true,
  doc: "How many standby processes to keep, in addition to server-proc-count. A standby process " +
    "has loaded the program, has run beforeService, and waits. It takes over at once when " +
    "another process ends or one more is needed.",
});

/** `server-protocol`: how descriptors reach the server. */
export const SERVER_PROTOCOL: Setting<ServerProtocol> = define({
  name: "server-protocol",
  group: "sockets",
  scopes: ["service"],
  kind: oneOf(["auto", "control", "deno", "inherit", "libzc", "systemd"]),
  fallback: "auto",
  inherited: true,
  doc: "How the listening sockets reach the server. control: over the worker socket. inherit: " +
    "inherited, beside the worker socket (for a server without --allow-ffi). deno: for any program " +
    "of Deno, unchanged: where it opens an address, it gets the socket of the service with this " +
    "port or path. libzc: as " +
    "descriptors 5, 6, 7…, as LIB-ZC passes them. systemd: as LISTEN_FDS. auto: chosen from " +
    "the command and its permissions; deno for deno serve, for a script with an export default, and " +
    "for a task of deno.json or package.json; a shell, an interpreter or a script for one, and a program " +
    "that starts another one (nice, timeout), is refused, because the way it takes sockets can't be detected.",
});

/** `server-permissions`: the flags by which Deno runs a script. */
export const SERVER_PERMISSIONS: Setting<readonly string[]> = define({
  name: "server-permissions",
  group: "privileges",
  scopes: ["service"],
  kind: parsedKind(parsePermissions, { placeholder: "FLAGS", expected: PERMISSIONS_FORM }),
  fallback: "all",
  inherited: true,
  doc:
    "The permissions of a server-command that is a script, also of self NAME, unless the program is " +
    "compiled: then they are those of deno compile. It can serve its addresses with none as well.",
});

/** `server-user`: the user that a server changes to. */
export const SERVER_USER: Setting<string | undefined> = define({
  name: "server-user",
  group: "privileges",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "USER", expected: "a user's name or number" }),
  inherited: true,
  doc: "The user that the server runs as, with that user's groups, from its start; see " +
    "server-start-user. HOME, USER and LOGNAME are the user's; for a number without a user, HOME is / " +
    "and the others are not set.",
});

/** `server-group`: the group that a server changes to. */
export const SERVER_GROUP: Setting<string | undefined> = define({
  name: "server-group",
  group: "privileges",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "GROUP", expected: "a group's name or number" }),
  inherited: true,
  doc: "The primary group of the server. Without it: the primary group of server-user. Without " +
    "server-user, the server has this group only.",
});

/** The user as which a server with `server-user` is started. */
export type StartUser = "server-user" | "master";

/** `server-start-user`: whether a server has the master's privileges until it serves. */
export const SERVER_START_USER: Setting<StartUser> = define({
  name: "server-start-user",
  group: "privileges",
  scopes: ["service"],
  kind: oneOf(["server-user", "master"]),
  fallback: "server-user",
  inherited: true,
  doc: "Which user the program is started as. server-user: the user of that setting. master: the " +
    "master's user, for a beforeService that needs its privileges; the server becomes " +
    "server-user between beforeService and its first serviceRegister, and runs without Deno's " +
    "caches. With server-chroot a server is always started as the master's user.",
});

/** `server-chroot`: the root directory that a server changes to. */
export const SERVER_CHROOT: Setting<string | undefined> = define({
  name: "server-chroot",
  group: "privileges",
  scopes: ["service", "server"],
  kind: DIR,
  inherited: true,
  doc: "The root directory of the server. It is changed between beforeService and the first " +
    "serviceRegister; modules that are imported later must be inside it. Without server-user " +
    "it does not confine the server.",
});

/** `server-env`: variables of the server's environment. */
export const SERVER_ENV: Setting<Variables | undefined> = define({
  name: "server-env",
  group: "processes",
  scopes: ["service"],
  kind: parsedKind(parseVariables, { placeholder: "KEY=VALUE...", expected: VARIABLES_FORM }),
  inherited: true,
  isSecret: true,
  doc: "Variables of the server's environment, beside those of the master. Each line of a file " +
    "adds to the ones before it. They win over server-env-file, and are not shown by any command " +
    "or in the log.",
});

/** `server-env-file`: a file of variables of the server's environment. */
export const SERVER_ENV_FILE: Setting<string | undefined> = define({
  name: "server-env-file",
  group: "processes",
  scopes: ["service"],
  kind: FILE,
  inherited: true,
  doc: "A file of variables of the server's environment, in the dotenv grammar (node's " +
    "util.parseEnv). The master reads it as its own user at its start and at each reload, so the " +
    "server needs no permission to read it; it follows links of root and of that user only, and " +
    "reads 240 KiB at most. They win over the variables of the master.",
});

/** `server-socket-mode`: the mode of the unix sockets of a service. */
export const SERVER_SOCKET_MODE: Setting<number | undefined> = define({
  name: "server-socket-mode",
  group: "sockets",
  scopes: ["service"],
  kind: SOCKET_MODE,
  inherited: true,
  doc: "The mode of the unix sockets and the new named pipes that the master creates for the " +
    "service, set before a client can connect. Without it: the umask decides. Sockets that " +
    "were passed to the master keep their mode.",
});

/** `server-socket-owner`: the owner of the unix sockets of a service. */
export const SERVER_SOCKET_OWNER: Setting<SocketOwner | undefined> = define({
  name: "server-socket-owner",
  group: "sockets",
  scopes: ["service"],
  kind: SOCKET_OWNER,
  inherited: true,
  doc: "The owner of the unix sockets and named pipes of the service. USER alone leaves the " +
    "group unchanged. Only a master that runs as root can set another user than its own.",
});

/** `server-tls-cert`: the file of the server's certificate. */
export const SERVER_TLS_CERT: Setting<string | undefined> = define({
  name: "server-tls-cert",
  group: "sockets",
  scopes: ["service", "server"],
  kind: FILE,
  inherited: true,
  doc:
    "The file of the server's certificate in PEM form, with its intermediate certificates after " +
    "it. The server uses it where its program takes tlsOfSettings(). The master checks it together " +
    "with server-tls-key, and warns 14 days before it ends. A renewed file is read by new " +
    "processes, so after a reload.",
});

/** `server-tls-key`: the file of the certificate's private key. */
export const SERVER_TLS_KEY: Setting<string | undefined> = define({
  name: "server-tls-key",
  group: "sockets",
  scopes: ["service", "server"],
  kind: FILE,
  inherited: true,
  doc: "The file of the private key that belongs to server-tls-cert, in PEM form, without a " +
    "passphrase. The server reads it, so its user must be able to: server-user, or the master's " +
    "user in a beforeService with server-start-user = master.",
});

/** `master-chroot`: the root of the server's processes. */
export const MASTER_CHROOT: Setting<string | undefined> = define({
  name: "master-chroot",
  group: "privileges",
  scopes: ["service"],
  kind: DIR,
  doc: "The root directory that the server is started in: the master calls chroot before it runs " +
    "the program.",
});

/** `master-chdir`: the working directory of the server's processes. */
export const MASTER_CHDIR: Setting<string | undefined> = define({
  name: "master-chdir",
  group: "processes",
  scopes: ["service"],
  kind: DIR,
  doc: "The working directory that the server is started in.",
});

/** `C`: the directory of settings files. */
export const CONFIG_DIR: Setting<string | undefined> = define({
  name: "C",
  group: "master",
  scopes: ["master"],
  kind: DIR,
  notInGcf: ["master"],
  doc: "The directory of settings files: each *.cf is one service, and the *.gcf are shared by " +
    "all services.",
});

/** `pid-file`: the master's lock. */
export const PID_FILE: Setting<string> = define({
  name: "pid-file",
  group: "master",
  scopes: ["master"],
  kind: FILE,
  fallback: "master.pid",
  doc: "The file that holds the master's process id. The master keeps it locked while it runs.",
});

/** `master-control`: the path of the control socket, or `off`; empty: beside the pid file. */
export const MASTER_CONTROL: Setting<string | undefined> = define({
  name: "master-control",
  group: "master",
  scopes: ["master"],
  kind: textKind({ placeholder: "PATH|off", expected: "a path, or off" }),
  doc:
    "The unix socket on which the master takes commands, such as status, from its own user and " +
    "from root; off: none. Without it, the name of the pid file with .sock after it.",
});

/** `master-status`: the path of the status socket; empty: none, or beside the pid file for `metrics`. */
export const MASTER_STATUS: Setting<string | undefined> = define({
  name: "master-status",
  group: "master",
  scopes: ["master"],
  kind: textKind({ placeholder: "PATH", expected: "a path" }),
  doc:
    "A second unix socket, on which the master shows its status and its events, and takes no other " +
    "command. Without it there is none, but with metrics the name of the pid file with " +
    ".status.sock after it.",
});

/** `metrics`: the address of the built-in service that shows the status. */
export const METRICS: Setting<string | undefined> = define({
  name: "metrics",
  group: "master",
  scopes: ["master"],
  kind: METRICS_ADDRESS,
  doc:
    "Show the status of the master at this address: /metrics for Prometheus, /live and /ready for " +
    "probes, and / for people. It is a service of its own with the id metrics. A reload takes the " +
    "address from files; one on the command line stays until the end of the master.",
});

/** `try-lock`: only test the lock. */
export const TRY_LOCK: Setting<boolean> = define({
  name: "try-lock",
  group: "master",
  scopes: ["master"],
  kind: FLAG,
  fallback: "no",
  notInGcf: ["master"],
  doc: "Test whether a master runs, and exit: 0 if the pid file is not locked (no master runs), " +
    "1 if it is locked.",
});

/** `log-service`: the master's log service. */
export const LOG_SERVICE: Setting<LogServiceConfig | undefined> = define({
  name: "log-service",
  group: "logs",
  scopes: ["master"],
  kind: LOG_SERVICE_KIND,
  doc: "Receive log lines on the datagram socket SOCKET, and write them to one file a day or an " +
    "hour, whose path begins with PREFIX.",
});

/** `master-stop-timeout`: the time limit of a stop, in milliseconds. */
export const MASTER_STOP_TIMEOUT: Setting<number> = define({
  name: "master-stop-timeout",
  group: "master",
  scopes: ["master"],
  kind: SECONDS,
  fallback: "35s",
  doc: "How long the master waits for its servers when it stops, before it kills them.",
});

/** `master-max-generations`: the most old generations that drain. */
export const MASTER_MAX_GENERATIONS: Setting<number> = define({
  name: "master-max-generations",
  group: "reload",
  scopes: ["master"],
  kind: wholeNumber({ min: 1, max: 1_000, placeholder: "COUNT" }),
  fallback: "8",
  doc: "How many generations of old processes may drain at the same time, for each service. " +
    "Older generations are told to end at once.",
});

/** `master-upgrade-timeout`: the time limit of a new master, in milliseconds. */
export const MASTER_UPGRADE_TIMEOUT: Setting<number> = define({
  name: "master-upgrade-timeout",
  group: "reload",
  scopes: ["master"],
  kind: SECONDS,
  fallback: "2m",
  doc: "How long all processes of a new master may take to become ready at an upgrade. After " +
    "this time the upgrade is undone.",
});

/** `sleep`: only wait, in milliseconds. */
export const SLEEP: Setting<number | undefined> = define({
  name: "sleep",
  group: "master",
  scopes: ["master"],
  kind: wholeNumber({ min: 0, max: 2_147_483_647, placeholder: "MILLISECONDS" }),
  notInGcf: ["master"],
  doc: "Wait for this many milliseconds, then exit 0, without starting a master (for shell " +
    "scripts).",
});

/** `DEBUG`: the master's own debug lines. */
export const MASTER_DEBUG: Setting<boolean> = define({
  name: "DEBUG",
  group: "logs",
  scopes: ["master"],
  kind: FLAG,
  fallback: "no",
  doc: "Log each step of the master: it sets its log-level to debug. Unlike debug, it has no " +
    "effect on servers.",
});

/** `server-config-path`: the directory of the shared settings. */
export const SERVER_CONFIG_PATH: Setting<string | undefined> = define({
  name: "server-config-path",
  group: "process",
  scopes: ["server"],
  kind: DIR,
  doc: "The directory whose *.gcf are read before all other settings.",
});

/** `server-control`: the descriptor of the worker socket. */
export const SERVER_CONTROL: Setting<number | undefined> = define({
  name: "server-control",
  group: "process",
  scopes: ["server"],
  kind: wholeNumber({ min: 3, max: 1_048_576, placeholder: "DESCRIPTOR" }),
  doc: "The descriptor of the socket to the master. The master sets it; do not set it by hand.",
});

/** `config`: a settings file to read. */
export const CONFIG: Setting<string | undefined> = define({
  name: "config",
  group: "process",
  scopes: ["master", "server"],
  kind: FILE,
  notInGcf: ["master", "server"],
  doc: "Read this settings file. It may be given more than once; a later file overrides an " +
    "earlier one. A master reads a file whose name ends in .ini as an INI file with a section for " +
    "each service.",
});

/** `debug`: debug lines. */
export const DEBUG: Setting<boolean> = define({
  name: "debug",
  group: "logs",
  scopes: ["master", "server"],
  kind: FLAG,
  fallback: "no",
  doc: "Write debug lines to the log: the same as log-level = debug. In a .gcf it applies to the " +
    "master and to all servers.",
});

/** `debug-config`: print the settings. */
export const DEBUG_CONFIG: Setting<boolean> = define({
  name: "debug-config",
  group: "logs",
  scopes: ["master", "server"],
  kind: FLAG,
  fallback: "no",
  notInGcf: ["master", "server"],
  doc: "Print the settings in effect.",
});

/** `exit-after`: the process's longest life, in milliseconds. */
export const EXIT_AFTER: Setting<number> = define({
  name: "exit-after",
  group: "process",
  scopes: ["master", "server"],
  kind: SECONDS,
  fallback: "0",
  notInGcf: ["master"],
  doc: "End the process after this time. 0 is without limit.",
});

/** `run-chroot`: the process's root. */
export const RUN_CHROOT: Setting<string | undefined> = define({
  name: "run-chroot",
  group: "privileges",
  scopes: ["master", "server"],
  kind: DIR,
  notInGcf: ["master", "server"],
  doc: "Change the root directory of the process to this directory at its start.",
});

/** `run-user`: the process's user. */
export const RUN_USER: Setting<string | undefined> = define({
  name: "run-user",
  group: "privileges",
  scopes: ["master", "server"],
  kind: textKind({ placeholder: "USER", expected: "a user's name" }),
  notInGcf: ["master", "server"],
  doc: "Run the process as this user, with that user's groups, from its start.",
});

/** `run-chdir`: the process's working directory. */
export const RUN_CHDIR: Setting<string | undefined> = define({
  name: "run-chdir",
  group: "process",
  scopes: ["master", "server"],
  kind: DIR,
  notInGcf: ["master", "server"],
  doc: "Change the working directory of the process to this directory at its start.",
});

/** `max-memory`: the limit of the process's memory, in bytes. */
export const MAX_MEMORY: Setting<number | undefined> = define({
  name: "max-memory",
  group: "process",
  scopes: ["master", "server"],
  kind: BYTE_LIMIT,
  notInGcf: ["master", "server"],
  doc: "How much memory for data the process, and each process that it starts, may use " +
    "(RLIMIT_DATA). Memory that its runtime has mapped at the start and not used is not " +
    "counted.",
});

/** `core-file-size`: the limit of a core file, in bytes. */
export const CORE_FILE_SIZE: Setting<number | undefined> = define({
  name: "core-file-size",
  group: "process",
  scopes: ["master", "server"],
  kind: BYTE_LIMIT,
  notInGcf: ["master", "server"],
  doc: "The largest core file that the process may write (RLIMIT_CORE).",
});

/** The settings that a process applies to itself at its start; see `run_settings.ts`. */
export const RUN_SETTINGS: readonly Setting<unknown>[] = [
  CORE_FILE_SIZE,
  MAX_MEMORY,
  RUN_USER,
  RUN_CHROOT,
  RUN_CHDIR,
];

/** The settings that drop privileges of a server before it serves; see `run_settings.ts`. */
export const PRIVILEGE_SETTINGS: readonly Setting<unknown>[] = [
  SERVER_USER,
  SERVER_GROUP,
  SERVER_CHROOT,
];

/** Settings of LIB-ZC's programs that have no effect here. */
export const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "cgroup-name",
  "fatal-catch",
  "fork-concurrency",
  "log-output-disable",
  "memleak-check",
]);
