/**
 * Every setting that the master and the servers know, one record each; the reference page and
 * `-help` are written from these records. A new setting is one more record here.
 *
 * A server's own settings aren't listed: they are read with the getters of `Config`.
 *
 * @module
 */

import { COMMAND_FORM, parseCommand } from "./command.ts";
import {
  LOG_SERVICE_FORM,
  LOG_TARGET_FORM,
  type LogServiceConfig,
  type LogTarget,
  parseLogService,
  parseLogTarget,
} from "./log_target.ts";
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

export {
  checkSettings,
  collectSetting,
  readSetting,
  type Setting,
  type SettingResult,
  type SettingScope,
} from "./setting.ts";

/** How the master hands descriptors to a server. */
export type ServerProtocol = "auto" | "control" | "inherit" | "libzc" | "systemd";

const records: Setting<unknown>[] = [];

/** Every setting, in the order of this file. */
export const ALL_SETTINGS: readonly Setting<unknown>[] = records;

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
  return setting;
}

const FILE = textKind({ placeholder: "FILE", expected: "a file" });
const DIR = textKind({ placeholder: "DIR", expected: "a directory" });

const COMMAND: ValueKind<readonly string[]> = parsedKind(parseCommand, {
  placeholder: "COMMAND",
  expected: COMMAND_FORM,
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
  scopes: ["service"],
  kind: COMMAND,
  doc: "The program to start, with arguments if it needs any. No shell is involved.",
});

/** `server-service`: the list of `[name://]address`; the entries are read by `service.ts`. */
export const SERVER_SERVICE: Setting<string | undefined> = define({
  name: "server-service",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "LIST", expected: "a list of [name://]address" }),
  doc: "The addresses to listen on, each as [name://]address, parted by ; , a space or a tab.",
});

/** `server-proc-count`: how many processes. */
export const SERVER_PROC_COUNT: Setting<number> = define({
  name: "server-proc-count",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: 10_000, placeholder: "COUNT" }),
  fallback: "1",
  doc: "How many processes serve it. 0 opens the addresses and starts nothing.",
});

/** How the processes of a service share the connections that come to an address. */
export type ServerBalance = "shared" | "reuseport";

/** `server-balance`: whether the processes of a service share a queue. */
export const SERVER_BALANCE: Setting<ServerBalance> = define({
  name: "server-balance",
  scopes: ["service", "server"],
  kind: oneOf(["shared", "reuseport"]),
  fallback: "shared",
  inherited: true,
  doc: "How the processes share the connections that come to host:port: out of one queue, from " +
    "which the quickest one takes, or with a queue for each process (SO_REUSEPORT), between which " +
    "the kernel draws lots.",
});

/** `server-log`: where log lines go. */
export const SERVER_LOG: Setting<LogTarget | undefined> = define({
  name: "server-log",
  scopes: ["service", "master", "server"],
  kind: LOG_TARGET,
  doc: "Where log lines go. Without it: the standard error output.",
});

/** `server-stop-on-softstop-after`: M of the soft stop, in milliseconds. */
export const SERVER_STOP_ON_SOFTSTOP_AFTER: Setting<number | undefined> = define({
  name: "server-stop-on-softstop-after",
  scopes: ["service", "server"],
  kind: SECONDS,
  inherited: true,
  doc: "How long a server goes on after a soft stop. Without it: until its last connection is " +
    "closed, 30 s at most.",
});

/** Which services a reload starts anew. */
export type ReloadRule = "always" | "changed";

/** `server-reload`: whether a reload replaces processes of a service in which nothing has changed. */
export const SERVER_RELOAD: Setting<ReloadRule> = define({
  name: "server-reload",
  scopes: ["service"],
  kind: oneOf(["always", "changed"]),
  fallback: "always",
  inherited: true,
  doc:
    "Which reloads replace the processes: always all of them, or only those that find a setting, " +
    "an address, a file of the command, or a local module that its script imports changed. Imports " +
    "whose names are made at run time, and files that are read, are not looked at; of other programs " +
    "than scripts of Deno only the files of the command are, which the log tells.",
});

/** `server-reload-step`: how many processes a reload has more than there should be. */
export const SERVER_RELOAD_STEP: Setting<number | undefined> = define({
  name: "server-reload-step",
  scopes: ["service"],
  kind: wholeNumber({ min: 1, max: 10_000, placeholder: "COUNT" }),
  inherited: true,
  doc: "How many processes a reload may add to the usual number. Old processes that still drain " +
    "count. Without it: as many as there are new ones.",
});

/** `server-ready-timeout`: how long a new process has to become ready, in milliseconds. */
export const SERVER_READY_TIMEOUT: Setting<number> = define({
  name: "server-ready-timeout",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "30s",
  inherited: true,
  doc:
    "How long each new process has to become ready, and a spare to load. A server is ready when " +
    "its serviceRegister has been called for each service and has returned. A process that is late is ended, " +
    "and another one started; at a reload, the reload of this service is undone. The start of a " +
    "master is over when all services are ready or have had this time. 0 is without limit (for " +
    "the start of a master 30 s).",
});

/** `server-soak`: how long a new process has to live on once it is ready, in milliseconds. */
export const SERVER_SOAK: Setting<number> = define({
  name: "server-soak",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "How long the new processes of a reload have to live once they are ready, before the old " +
    "ones are stopped. If one of them ends, the reload of this service is undone.",
});

/** `server-healthy-after`: how long a process lives that has not ended early, in milliseconds. */
export const SERVER_HEALTHY_AFTER: Setting<number> = define({
  name: "server-healthy-after",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "10s",
  inherited: true,
  doc:
    "A process that was never ready, or ends sooner than this, has ended early. The wait before " +
    "the next start in its place grows with each early end in a row. A process that ends by " +
    "itself with exit code 0, or drains, has not ended early if it has had a client or has served " +
    "for half a second.",
});

/** `server-backoff-max`: the longest wait between two starts, in milliseconds. */
export const SERVER_BACKOFF_MAX: Setting<number> = define({
  name: "server-backoff-max",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "30s",
  inherited: true,
  doc: "The longest time from one start to the next where processes end early. The wait begins " +
    "with 100 ms, and doubles each time.",
});

/** `server-start-limit`: how often a process may be started. */
export const SERVER_START_LIMIT: Setting<Rate | undefined> = define({
  name: "server-start-limit",
  scopes: ["service"],
  kind: RATE,
  inherited: true,
  doc:
    "How many processes may be started one after the other in the place of one, within a time. " +
    "Beyond that the service has failed, and nothing of it is started until the next reload. " +
    "Processes that have ended in order do not count. Without it: no limit.",
});

/** `server-watchdog`: how long a process may be silent, in milliseconds. */
export const SERVER_WATCHDOG: Setting<number> = define({
  name: "server-watchdog",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc:
    "How long the event loop of a server may stand still. One that is silent for longer hangs, " +
    "and gets SIGABRT, and SIGKILL after that. 0 watches nothing.",
});

/** `server-max-connections`: how many connections a process accepts. */
export const SERVER_MAX_CONNECTIONS: Setting<number | undefined> = define({
  name: "server-max-connections",
  scopes: ["service"],
  kind: wholeNumber({ min: 1, max: Number.MAX_SAFE_INTEGER, placeholder: "COUNT" }),
  inherited: true,
  doc: "After how many connections a process is replaced: a new one starts, and this one stops " +
    "accepting and finishes. A random part of up to a tenth is taken off. Without it: no limit.",
});

/** `server-max-age`: how old a process gets, in milliseconds. */
export const SERVER_MAX_AGE: Setting<number> = define({
  name: "server-max-age",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "At which age a process is replaced: a new one starts, and this one stops accepting and " +
    "finishes. A random part of up to a tenth is taken off. 0 is without limit.",
});

/** `server-max-memory`: how much memory a process may use, in bytes. */
export const SERVER_MAX_MEMORY: Setting<number> = define({
  name: "server-max-memory",
  scopes: ["service"],
  kind: BYTE_LIMIT,
  fallback: "-1",
  inherited: true,
  doc: "How much memory a process may use, its share of what it has in common with others " +
    "included (the proportional set size). One that uses more for 10 s finishes, and another one " +
    "takes its place. 0 is without limit as well.",
});

/** `server-idle-exit`: how long a process goes on that nobody uses, in milliseconds. */
export const SERVER_IDLE_EXIT: Setting<number> = define({
  name: "server-idle-exit",
  scopes: ["service"],
  kind: SECONDS,
  fallback: "0",
  inherited: true,
  doc: "How long a process goes on without a connection until it ends. Another one is started " +
    "when all that are left are in use, or when none is left and a connection waits. 0 keeps all.",
});

/** `server-proc-min`: how many processes are kept though nobody uses them. */
export const SERVER_PROC_MIN: Setting<number> = define({
  name: "server-proc-min",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: 10_000, placeholder: "COUNT" }),
  fallback: "0",
  inherited: true,
  doc: "How many processes server-idle-exit leaves. With 0 the first connection starts one.",
});

/** `server-spare-count`: how many processes wait until one of the others dies. */
export const SERVER_SPARE_COUNT: Setting<number> = define({
  name: "server-spare-count",
  scopes: ["service"],
  kind: wholeNumber({ min: 0, max: 1_000, placeholder: "COUNT" }),
  fallback: "0",
  inherited: true,
  doc: "How many processes more have loaded, have run beforeService, and wait. One of them takes " +
    "over the moment another process ends or one more is needed.",
});

/** `server-protocol`: how descriptors reach the server. */
export const SERVER_PROTOCOL: Setting<ServerProtocol> = define({
  name: "server-protocol",
  scopes: ["service"],
  kind: oneOf(["auto", "control", "inherit", "libzc", "systemd"]),
  fallback: "auto",
  inherited: true,
  doc: "How the listening sockets reach the server: over the control socket, inherited beside it " +
    "(for a server without --allow-ffi), as LIB-ZC's descriptors 3, 4, 5…, or as systemd's " +
    "LISTEN_FDS. auto decides by the command and its permissions, and refuses shells, " +
    "interpreters and their scripts, of which it can't know.",
});

/** `server-permissions`: the flags by which Deno runs a script. */
export const SERVER_PERMISSIONS: Setting<readonly string[]> = define({
  name: "server-permissions",
  scopes: ["service"],
  kind: parsedKind(parsePermissions, { placeholder: "FLAGS", expected: PERMISSIONS_FORM }),
  fallback: "all",
  inherited: true,
  doc:
    "The permissions of a server-command that is a script. With none of them, too, it serves its " +
    "addresses.",
});

/** `server-user`: the user that a server becomes. */
export const SERVER_USER: Setting<string | undefined> = define({
  name: "server-user",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "USER", expected: "a user's name or number" }),
  inherited: true,
  doc: "The user that the server runs as, with the user's groups, from its start on; see " +
    "server-start-user.",
});

/** `server-group`: the group that a server becomes. */
export const SERVER_GROUP: Setting<string | undefined> = define({
  name: "server-group",
  scopes: ["service", "server"],
  kind: textKind({ placeholder: "GROUP", expected: "a group's name or number" }),
  inherited: true,
  doc:
    "The first group of the server; without server-user its only group. Without it: the user's own.",
});

/** As which user a server with `server-user` is started. */
export type StartUser = "server-user" | "master";

/** `server-start-user`: whether a server has the master's privileges until it serves. */
export const SERVER_START_USER: Setting<StartUser> = define({
  name: "server-start-user",
  scopes: ["service"],
  kind: oneOf(["server-user", "master"]),
  fallback: "server-user",
  inherited: true,
  doc: "As which user the program is started: as server-user, or as the master's user, for a " +
    "beforeService that needs it. Such a server becomes server-user between beforeService and its " +
    "first serviceRegister, and does without Deno's caches. With server-chroot it is so in any case.",
});

/** `server-chroot`: the directory that becomes the root of a server. */
export const SERVER_CHROOT: Setting<string | undefined> = define({
  name: "server-chroot",
  scopes: ["service", "server"],
  kind: DIR,
  inherited: true,
  doc: "The root directory of the server, from the moment between beforeService and its first " +
    "serviceRegister on. What it imports later must be in it. Without server-user it confines nothing.",
});

/** `server-socket-mode`: who may connect to the unix sockets of a service. */
export const SERVER_SOCKET_MODE: Setting<number | undefined> = define({
  name: "server-socket-mode",
  scopes: ["service"],
  kind: SOCKET_MODE,
  inherited: true,
  doc: "The mode of the unix sockets that the master makes for the service, and of its new named " +
    "pipes, from before anybody can connect on. Without it: what the umask leaves. Sockets that " +
    "were given to the master are left alone.",
});

/** `server-socket-owner`: to whom the unix sockets of a service belong. */
export const SERVER_SOCKET_OWNER: Setting<SocketOwner | undefined> = define({
  name: "server-socket-owner",
  scopes: ["service"],
  kind: SOCKET_OWNER,
  inherited: true,
  doc:
    "The owner of these sockets and pipes. A user alone leaves the group as it is. Another user " +
    "than its own is for a master that runs as root.",
});

/** `master-chroot`: the root of the server's processes. */
export const MASTER_CHROOT: Setting<string | undefined> = define({
  name: "master-chroot",
  scopes: ["service"],
  kind: DIR,
  doc: "The root directory that the server is started in (chroot, done before the program runs).",
});

/** `master-chdir`: the working directory of the server's processes. */
export const MASTER_CHDIR: Setting<string | undefined> = define({
  name: "master-chdir",
  scopes: ["service"],
  kind: DIR,
  doc: "The working directory that the server is started in.",
});

/** `C`: the directory of settings files. */
export const CONFIG_DIR: Setting<string | undefined> = define({
  name: "C",
  scopes: ["master"],
  kind: DIR,
  notInGcf: ["master"],
  doc: "The directory of settings files: each *.cf is a service, *.gcf are shared.",
});

/** `pid-file`: the master's lock. */
export const PID_FILE: Setting<string> = define({
  name: "pid-file",
  scopes: ["master"],
  kind: FILE,
  fallback: "master.pid",
  doc: "The file that holds the master's process id and is locked for as long as it runs.",
});

/** `try-lock`: only test the lock. */
export const TRY_LOCK: Setting<boolean> = define({
  name: "try-lock",
  scopes: ["master"],
  kind: FLAG,
  fallback: "no",
  notInGcf: ["master"],
  doc: "Only test whether the pid file can be locked: exit 0 if it can, 1 if not.",
});

/** `log-service`: the master's log service. */
export const LOG_SERVICE: Setting<LogServiceConfig | undefined> = define({
  name: "log-service",
  scopes: ["master"],
  kind: LOG_SERVICE_KIND,
  doc: "Receive log lines on the datagram socket SOCKET and write them to a file for each day " +
    "or hour, whose path begins with PREFIX.",
});

/** `master-stop-timeout`: the bound of a stop, in milliseconds. */
export const MASTER_STOP_TIMEOUT: Setting<number> = define({
  name: "master-stop-timeout",
  scopes: ["master"],
  kind: SECONDS,
  fallback: "35s",
  doc: "How long the master waits for its servers when it stops, before it kills them.",
});

/** `master-max-generations`: how many old generations may drain. */
export const MASTER_MAX_GENERATIONS: Setting<number> = define({
  name: "master-max-generations",
  scopes: ["master"],
  kind: wholeNumber({ min: 1, max: 1_000, placeholder: "COUNT" }),
  fallback: "8",
  doc: "How many generations of old processes may finish their work at the same time, for each " +
    "service. The oldest beyond that are told to end now.",
});

/** `master-upgrade-timeout`: how long a new master may take, in milliseconds. */
export const MASTER_UPGRADE_TIMEOUT: Setting<number> = define({
  name: "master-upgrade-timeout",
  scopes: ["master"],
  kind: SECONDS,
  fallback: "2m",
  doc:
    "How long a new master has at an upgrade until all of its processes are ready. After it the " +
    "upgrade is undone.",
});

/** `sleep`: do nothing but wait, in milliseconds. */
export const SLEEP: Setting<number | undefined> = define({
  name: "sleep",
  scopes: ["master"],
  kind: wholeNumber({ min: 0, max: 2_147_483_647, placeholder: "MILLISECONDS" }),
  notInGcf: ["master"],
  doc: "Only wait for so many milliseconds, then exit 0 (for shell scripts).",
});

/** `DEBUG`: the master's own debug lines. */
export const MASTER_DEBUG: Setting<boolean> = define({
  name: "DEBUG",
  scopes: ["master"],
  kind: FLAG,
  fallback: "no",
  doc: "Log what the master does in detail.",
});

/** `server-config-path`: the directory of the shared settings. */
export const SERVER_CONFIG_PATH: Setting<string | undefined> = define({
  name: "server-config-path",
  scopes: ["server"],
  kind: DIR,
  doc: "The directory whose *.gcf are read before all other settings.",
});

/** `server-control`: the descriptor of the control socket. */
export const SERVER_CONTROL: Setting<number | undefined> = define({
  name: "server-control",
  scopes: ["server"],
  kind: wholeNumber({ min: 3, max: 1_048_576, placeholder: "DESCRIPTOR" }),
  doc: "The descriptor of the socket to the master. The master gives it; it isn't for use by hand.",
});

/** `config`: a settings file to read. */
export const CONFIG: Setting<string | undefined> = define({
  name: "config",
  scopes: ["master", "server"],
  kind: FILE,
  notInGcf: ["master", "server"],
  doc: "Read this settings file. It may be given more than once; a later file wins.",
});

/** `debug`: debug lines. */
export const DEBUG: Setting<boolean> = define({
  name: "debug",
  scopes: ["master", "server"],
  kind: FLAG,
  fallback: "no",
  doc: "Write debug lines to the log.",
});

/** `debug-config`: print the settings. */
export const DEBUG_CONFIG: Setting<boolean> = define({
  name: "debug-config",
  scopes: ["master", "server"],
  kind: FLAG,
  fallback: "no",
  notInGcf: ["master", "server"],
  doc: "Print the settings that are in force.",
});

/** `exit-after`: the process's longest life, in milliseconds. */
export const EXIT_AFTER: Setting<number> = define({
  name: "exit-after",
  scopes: ["master", "server"],
  kind: SECONDS,
  fallback: "0",
  notInGcf: ["master"],
  doc: "End the process after this time; 0 is never.",
});

/** `run-chroot`: the process's root. */
export const RUN_CHROOT: Setting<string | undefined> = define({
  name: "run-chroot",
  scopes: ["master", "server"],
  kind: DIR,
  notInGcf: ["master", "server"],
  doc: "Make this directory the root of the process, once at its start.",
});

/** `run-user`: the process's user. */
export const RUN_USER: Setting<string | undefined> = define({
  name: "run-user",
  scopes: ["master", "server"],
  kind: textKind({ placeholder: "USER", expected: "a user's name" }),
  notInGcf: ["master", "server"],
  doc: "Run as this user, with the user's groups, from the start of the process on.",
});

/** `run-chdir`: the process's working directory. */
export const RUN_CHDIR: Setting<string | undefined> = define({
  name: "run-chdir",
  scopes: ["master", "server"],
  kind: DIR,
  notInGcf: ["master", "server"],
  doc: "Change to this directory, once at the start of the process.",
});

/** `max-memory`: the limit of the process's memory, in bytes. */
export const MAX_MEMORY: Setting<number | undefined> = define({
  name: "max-memory",
  scopes: ["master", "server"],
  kind: BYTE_LIMIT,
  notInGcf: ["master", "server"],
  doc:
    "The most memory that the process, and each that it starts, may use for data (RLIMIT_DATA). " +
    "What its runtime has mapped at the start and not used comes on top.",
});

/** `core-file-size`: the limit of a core file, in bytes. */
export const CORE_FILE_SIZE: Setting<number | undefined> = define({
  name: "core-file-size",
  scopes: ["master", "server"],
  kind: BYTE_LIMIT,
  notInGcf: ["master", "server"],
  doc: "The largest core file that the process may leave (RLIMIT_CORE).",
});

/** What a process does to itself at its start; see `run_settings.ts`. */
export const RUN_SETTINGS: readonly Setting<unknown>[] = [
  CORE_FILE_SIZE,
  MAX_MEMORY,
  RUN_USER,
  RUN_CHROOT,
  RUN_CHDIR,
];

/** What takes privileges from a server before it serves; see `run_settings.ts`. */
export const PRIVILEGE_SETTINGS: readonly Setting<unknown>[] = [
  SERVER_USER,
  SERVER_GROUP,
  SERVER_CHROOT,
];

/** Settings that LIB-ZC's programs know, and that mean nothing here. */
export const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "cgroup-name",
  "fatal-catch",
  "fork-concurrency",
  "log-output-disable",
  "memleak-check",
]);
