/**
 * The conversion of a service's settings to a {@linkcode ServiceConfig}: strict reading of every key, and all
 * problems of a file in one pass.
 *
 * Pure: nothing is opened, bound or started, and no path is looked at.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import { shellOperator } from "./command.ts";
import { Config, setFrom, settingOrigin } from "./config.ts";
import {
  asWarning,
  cannot,
  type Origin,
  type Place,
  type Problem,
  problemAt,
  warningAt,
} from "./errors.ts";
import { checkAddresses, type EndpointList, readServiceList } from "./endpoints.ts";
import { checkEssentials } from "./essentials.ts";
import { checkOutput, type OutputConfig, readOutput } from "./output.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  isSecret,
  MASTER_CHDIR,
  MASTER_CHROOT,
  readSetting,
  type ReloadRule,
  SERVER_BALANCE,
  SERVER_CHROOT,
  SERVER_COMMAND,
  SERVER_DRAIN_TIMEOUT,
  SERVER_ENV,
  SERVER_ENV_FILE,
  SERVER_GROUP,
  SERVER_PERMISSIONS,
  SERVER_PROC_COUNT,
  SERVER_PROTOCOL,
  SERVER_READY_TIMEOUT,
  SERVER_RELOAD,
  SERVER_RELOAD_STEP,
  SERVER_SERVICE,
  SERVER_SOAK,
  SERVER_SOCKET_MODE,
  SERVER_SOCKET_OWNER,
  SERVER_START_USER,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
  SERVER_USER,
  type ServerBalance,
  type ServerProtocol,
  type Setting,
  type StartUser,
} from "./settings.ts";
import type { SocketOwner } from "./socket_access.ts";
import { readSupervision, type Supervision } from "./supervision.ts";
import { readTlsFiles, type TlsFiles } from "./tls_files.ts";
import type { Variables } from "./variables.ts";

/** Where a setting of a service was written, or the place of the service. */
export function originOf({ origins, place }: ServiceConfig, key: string): Origin {
  return origins.get(key) ?? place;
}

/** The name of a service in log lines: its id without the ending of its file. */
export function serviceName(id: string): string {
  return id.replace(/\.cf$/, "");
}

/** A service: its program, its addresses and the settings of its processes. */
export interface ServiceConfig {
  /**
   * The base name of its file, the name of its section in an INI file, or `hook:N` for a service that a hook
   * supplied.
   */
  readonly id: string;
  /** The settings file that its processes read; a service of a hook or of a section has none. */
  readonly file?: string;
  /** The place for messages that no line has caused. */
  readonly place: Place;
  /** The program and its arguments; at least one word. */
  readonly command: readonly string[];
  /** Its addresses; at least one. */
  readonly endpoints: readonly Endpoint[];
  /** The number of processes; with 0 the addresses are opened and no process is started. */
  readonly procCount: number;
  /** Whether the processes share the queue of an address, or have one each. */
  readonly balance: ServerBalance;
  /** How descriptors reach its processes. */
  readonly protocol: ServerProtocol;
  /** The flags with which Deno runs its script. */
  readonly permissions: readonly string[];
  /** The mode of its socket files. */
  readonly socketMode?: number;
  /** The owner of its socket files. */
  readonly socketOwner?: SocketOwner;
  /** What happens with the standard outputs of its processes. */
  readonly output: OutputConfig;
  /** The variables that its processes have beside those of the master; their values are secret. */
  readonly environment: Variables;
  /** The file with further ones. */
  readonly environmentFile?: string;
  /** The files of its certificate. */
  readonly tls?: TlsFiles;
  /** The user of its processes; a name or a number. */
  readonly user?: string;
  /** The group of its processes; a name or a number. */
  readonly group?: string;
  /** The user as which its processes are started. */
  readonly startUser: StartUser;
  /** The root directory of its processes once they run. */
  readonly chroot?: string;
  /** The root directory of its processes from their start on. */
  readonly masterChroot?: string;
  /** The working directory of its processes. */
  readonly masterChdir?: string;
  /** How long a process goes on after a soft stop, in milliseconds; without it until it has drained. */
  readonly softstopAfterMs?: number;
  /** The limit of a drain, in milliseconds. */
  readonly drainTimeoutMs: number;
  /** Whether a reload replaces its processes when nothing has changed. */
  readonly reload: ReloadRule;
  /** The most processes of a reload beyond the usual number; without it there is no limit. */
  readonly reloadStep?: number;
  /** The time limit for a new process to become ready, in milliseconds; 0 is without limit. */
  readonly readyTimeoutMs: number;
  /** The time that a new process must live once it is ready, in milliseconds. */
  readonly soakMs: number;
  /** The settings of its supervision. */
  readonly supervision: Supervision;
  /**
   * Every setting of the file or the hook as text, byte for byte, the server's own ones included, but
   * for those that are secret.
   */
  readonly settings: ReadonlyMap<string, string>;
  /** Every shared setting as text, which its processes read as well, but for those that are secret. */
  readonly shared: ReadonlyMap<string, string>;
  /** Where each setting was written, for messages about it. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** The same for the shared settings. */
  readonly sharedOrigins: ReadonlyMap<string, Origin>;
  /** Equal for two services exactly when all their settings, the shared ones included, are. */
  readonly fingerprint: string;
}

/**
 * Finds problems that the settings themselves do not show, such as a missing program. It is called for each service
 * with a program, also if other settings are invalid and have their defaults.
 */
export type ServiceCheck = (service: ServiceConfig) => readonly Problem[];

/** The result of {@linkcode parseServiceConfig}. A problem makes the whole configuration invalid. */
export interface ServiceResult extends EndpointList {
  /** The service; missing if there is a problem or no program. */
  readonly service?: ServiceConfig;
  /** The warnings. */
  readonly warnings: readonly Problem[];
}

/** The options of {@linkcode parseServiceConfig}. */
export interface ServiceOptions {
  /** The service's id. */
  readonly id: string;
  /** The file that its processes read, if there is one. */
  readonly file?: string;
  /**
   * The place for messages that no line has caused.
   *
   * @default The file, or else the id.
   */
  readonly place?: Place;
  /** The text of its file or section, if there is one. */
  readonly text?: string;
  /** The absolute directory that relative paths start from. */
  readonly cwd: string;
  /** The shared settings. */
  readonly globals?: Config;
  /** A further check. */
  readonly check?: ServiceCheck;
  /** The setting that names its address, for messages; `server-service` without it. */
  readonly addressSetting?: string;
  /**
   * Whether a service of this id is in force.
   *
   * @default {false}
   */
  readonly isServing?: boolean;
}

/**
 * Reads the settings of one service.
 *
 * LIB-ZC passes over a file without `server-command` or `server-service` in silence, whatever else is
 * in it. Here one of them without the other is a problem, and so is a name that is nearly one of
 * them; without either the file is passed over with a warning, unless its service serves now.
 *
 * @param given The settings of the file or the hook. An empty value counts as missing.
 * @param options What else is known.
 * @returns The service, or why there is none.
 *
 * @example
 * ```ts
 * import { Config } from "./config.ts";
 * import { parseServiceConfig } from "./service.ts";
 *
 * const config = new Config().set("server-command", "bin/imapd").set("server-service", "0:143");
 * const { service } = parseServiceConfig(config, { id: "hook:1", cwd: "/srv/mail" });
 * console.assert(service?.endpoints[0].key === "inet:0.0.0.0:143");
 * ```
 */
export function parseServiceConfig(given: Config, options: ServiceOptions): ServiceResult {
  const { id, file, cwd, globals = new Config(), check = () => [] } = options;
  const { place = { file: file ?? id }, addressSetting: setting } = options;
  const source = { cwd, setting };
  const config = placed(given, place);
  const missing = checkEssentials(config, { ...options, place });
  if (missing.isPassedOver) return { endpoints: [], ...missing };

  const { endpoints, problems: unreadable } = readServiceList(config, source);
  const problems = [...checkSettings(config, OTHER_SERVICE_SETTINGS), ...unreadable];
  problems.push(...missing.problems);
  if (file === undefined) problems.push(...checkAsArguments(config));
  const warnings = [
    ...checkSettings(config, SERVER_ONLY_SETTINGS).map(asWarning),
    ...checkOperators(config),
    ...checkAddresses(config, endpoints, source),
    ...checkEncoding(config),
  ];
  const read = <T>(setting: Setting<T>) => readChecked(setting, { config, globals });
  const masterChroot = read(MASTER_CHROOT);
  const output = readOutput(read, cwd);
  warnings.push(...checkOutput({ config, globals }, output));
  const masterChdir = read(MASTER_CHDIR);
  const softstopAfterMs = read(SERVER_STOP_ON_SOFTSTOP_AFTER);
  warnings.push(...checkDrain({ config, globals }, softstopAfterMs));
  const reloadStep = read(SERVER_RELOAD_STEP);
  const user = read(SERVER_USER), group = read(SERVER_GROUP), chroot = read(SERVER_CHROOT);
  const environmentFile = read(SERVER_ENV_FILE);
  const tls = readTlsFiles(read, { config, globals, place }, problems);
  const socketMode = read(SERVER_SOCKET_MODE), socketOwner = read(SERVER_SOCKET_OWNER);
  const service: ServiceConfig = {
    id,
    ...(file === undefined ? {} : { file }),
    place,
    command: read(SERVER_COMMAND) ?? [],
    endpoints,
    procCount: read(SERVER_PROC_COUNT),
    balance: read(SERVER_BALANCE),
    protocol: read(SERVER_PROTOCOL),
    permissions: read(SERVER_PERMISSIONS),
    startUser: read(SERVER_START_USER),
    ...(socketMode === undefined ? {} : { socketMode }),
    ...(socketOwner === undefined ? {} : { socketOwner }),
    output,
    environment: read(SERVER_ENV) ?? new Map(),
    ...(environmentFile === undefined ? {} : { environmentFile }),
    ...(tls === undefined ? {} : { tls }),
    ...(user === undefined ? {} : { user }),
    ...(group === undefined ? {} : { group }),
    ...(chroot === undefined ? {} : { chroot }),
    ...(masterChroot === undefined ? {} : { masterChroot }),
    ...(masterChdir === undefined ? {} : { masterChdir }),
    ...(softstopAfterMs === undefined ? {} : { softstopAfterMs }),
    drainTimeoutMs: read(SERVER_DRAIN_TIMEOUT),
    reload: read(SERVER_RELOAD),
    ...(reloadStep === undefined ? {} : { reloadStep }),
    readyTimeoutMs: read(SERVER_READY_TIMEOUT),
    soakMs: read(SERVER_SOAK),
    supervision: readSupervision(read),
    settings: new Map(publicEntries(config)),
    shared: new Map(publicEntries(globals)),
    origins: new Map([...config.keys()].map((key) => [key, settingOrigin(config, key) ?? place])),
    sharedOrigins: new Map(
      [...globals.keys()].map((key) => [key, settingOrigin(globals, key) ?? place]),
    ),
    fingerprint: JSON.stringify([sortedEntries(config), sortedEntries(globals)]),
  };
  if (service.command.length > 0) problems.push(...check(service));
  if (problems.length > 0) return { endpoints, problems: problems.toSorted(byLine), warnings };
  return { service, endpoints, problems, warnings };
}

/** Finds a limit of the drain that LIB-ZC's setting leaves without effect. */
function checkDrain(
  { config, globals }: { readonly config: Config; readonly globals: Config },
  softstopAfterMs: number | undefined,
): Problem[] {
  const { name: key } = SERVER_DRAIN_TIMEOUT;
  const isIn = (from: Config, name: string) => from.getStr(name) !== "";
  const from = [config, globals].find((from) => isIn(from, key));
  if (softstopAfterMs === undefined || from === undefined) return [];
  // One service may well go its own way.
  if (from === globals && isIn(config, SERVER_STOP_ON_SOFTSTOP_AFTER.name)) return [];
  const found = `${SERVER_STOP_ON_SOFTSTOP_AFTER.name}, whose time a process waits in any case`;
  const message = cannot("use", key, { found, expected: "one of the two" });
  return [warningAt(settingOrigin(from, key), { key, message })];
}

/** Finds shell operators, which the program would get as arguments. */
function checkOperators(config: Config): Problem[] {
  const key = SERVER_COMMAND.name, operator = shellOperator(config.getStr(key));
  if (operator === undefined) return [];
  const found = "an argument of the program, since no shell reads the command";
  const expected = `a command without it, or '${operator}' if the program wants it`;
  const message = cannot("do what a shell does for", operator, { found, expected });
  return [warningAt(settingOrigin(config, key), { key, message })];
}

/** The settings that the master itself uses; an invalid one makes the configuration invalid. */
const SERVICE_SETTINGS = ALL_SETTINGS.filter(({ scopes }) => scopes.includes("service"));

/** The settings that only the server reads. Its program may use the name for something else. */
const SERVER_ONLY_SETTINGS = ALL_SETTINGS.filter(({ scopes }) =>
  scopes.includes("server") && !scopes.includes("service")
);

const OTHER_SERVICE_SETTINGS = SERVICE_SETTINGS.filter(({ name }) => name !== SERVER_SERVICE.name);

const SERVICE_NAMES: ReadonlySet<string> = new Set(SERVICE_SETTINGS.map(({ name }) => name));

function byLine(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0);
}

/** Reads a setting; an invalid one, which `checkSettings` reports, as its default. */
function readChecked<T>(
  setting: Setting<T>,
  from: { readonly config: Config; readonly globals: Config },
): T {
  const shared = setting.inherited === true && from.config.getStr(setting.name) === "";
  const result = readSetting(shared ? from.globals : from.config, setting);
  return result.ok ? result.value : setting.defaultValue;
}

/** Checks settings that no file of a service has: its server gets them as `-key value`, which not every text survives. */
export function checkAsArguments(config: Config): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of config) {
    const found = key === "" || key.startsWith("-")
      ? "a name that is no argument"
      : `${key}${value}`.includes("\0")
      ? "a NUL character"
      : undefined;
    if (found === undefined) continue;
    const expected = "a name and a value that fit into -name value";
    const message = cannot("hand on setting", key, { found, expected });
    problems.push(problemAt(settingOrigin(config, key), { key, message }));
  }
  return problems;
}

function checkEncoding(config: Config): Problem[] {
  const warnings: Problem[] = [];
  for (const [key, value] of config) {
    if (SERVICE_NAMES.has(key) || !`${key}${value}`.includes("\ufffd")) continue;
    const about = { found: "bytes that are neither UTF-8 nor GB18030", expected: "UTF-8 text" };
    const message = cannot("read", value, about);
    warnings.push(warningAt(settingOrigin(config, key), { key, message }));
  }
  return warnings;
}

/** Copies the settings and adds the place to each that has none (a hook's). */
function placed(given: Config, place: Place): Config {
  const config = new Config().merge(given);
  for (const [key, value] of rawEntries(given)) {
    if (settingOrigin(given, key) === undefined) setFrom(config, key, value, place);
  }
  return config;
}

/** The settings byte for byte. */
function rawEntries(config: Config): [string, string][] {
  return [...config.keys()].map((key) => [key, config.getRaw(key)!]);
}

function publicEntries(config: Config): [string, string][] {
  return rawEntries(config).filter(([key]) => !isSecret(key));
}

function sortedEntries(config: Config): [string, string][] {
  return rawEntries(config).sort(([a], [b]) => a < b ? -1 : 1);
}
