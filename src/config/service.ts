/**
 * The conversion of a service's settings to a {@linkcode ServiceConfig}: strict reading of every key, all problems
 * of a file in one pass, and a check for duplicate addresses.
 *
 * Pure: nothing is opened, bound or started, and no path is looked at.
 *
 * @module
 */

import { addressSlips, type Endpoint, parseAddress } from "./address.ts";
import { shellOperator } from "./command.ts";
import { Config } from "./config.ts";
import {
  asWarning,
  cannot,
  formatPlace,
  type Origin,
  type Problem,
  problemAt,
  quote,
  refusal,
  warningAt,
} from "./errors.ts";
import { checkEssentials } from "./essentials.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  MASTER_CHDIR,
  MASTER_CHROOT,
  readSetting,
  type ReloadRule,
  SERVER_BALANCE,
  SERVER_CHROOT,
  SERVER_COMMAND,
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
import { endsInComment } from "./setting.ts";
import type { SocketOwner } from "./socket_access.ts";
import { readSupervision, type Supervision } from "./supervision.ts";

/** One address of a service. */
export interface ServiceEndpoint {
  /** The service's name byte for byte; empty where the list gives none. */
  readonly service: string;
  /** The address. */
  readonly endpoint: Endpoint;
  /** The address as written, without the name. */
  readonly address: string;
  /** Its place in the settings, for messages; `undefined` if the program itself has set it. */
  readonly origin: Origin | undefined;
}

/**
 * The keys of a service's addresses, in their order.
 *
 * @param service The service.
 */
export function keysOf({ endpoints }: Pick<ServiceConfig, "endpoints">): string[] {
  return endpoints.map(({ endpoint }) => endpoint.key);
}

/** A parsed `server-service`. */
export interface ServiceList {
  /** The valid addresses. */
  readonly endpoints: readonly ServiceEndpoint[];
  /** The problems of the others. */
  readonly problems: readonly Problem[];
}

/** A service: its program, its addresses and the settings of its processes. */
export interface ServiceConfig {
  /** The file's base name, or `hook:N` for a service that a hook supplied. */
  readonly id: string;
  /** The settings file; a service of a hook has none. */
  readonly file?: string;
  /** The program and its arguments; at least one word. */
  readonly command: readonly string[];
  /** Its addresses; at least one. */
  readonly endpoints: readonly ServiceEndpoint[];
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
  /** The time limit of a process after a soft stop, in milliseconds. */
  readonly softstopAfterMs?: number;
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
  /** Every setting of the file or the hook as text, byte for byte, the server's own ones included. */
  readonly settings: ReadonlyMap<string, string>;
  /** Every shared setting as text, which its processes read as well. */
  readonly shared: ReadonlyMap<string, string>;
  /** Where each setting was written, for messages about it. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Equal for two services exactly when all their settings, the shared ones included, are. */
  readonly fingerprint: string;
}

/**
 * Finds problems that the settings themselves do not show, such as a missing program. It is called for each service
 * with a program, also if other settings are invalid and have their defaults.
 */
export type ServiceCheck = (service: ServiceConfig) => readonly Problem[];

/** The result of {@linkcode parseServiceConfig}. A problem makes the whole configuration invalid. */
export interface ServiceResult extends ServiceList {
  /** The service; missing if there is a problem or no program. */
  readonly service?: ServiceConfig;
  /** The warnings. */
  readonly warnings: readonly Problem[];
}

/** The options of {@linkcode parseServiceConfig}. */
export interface ServiceOptions {
  /** The file's base name, or `hook:N`. */
  readonly id: string;
  /** The file's path, if there is one. */
  readonly file?: string;
  /** The file's text, if there is one. */
  readonly text?: string;
  /** The absolute directory that relative paths start from. */
  readonly cwd: string;
  /** The shared settings. */
  readonly globals?: Config;
  /** A further check. */
  readonly check?: ServiceCheck;
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
 * console.assert(service?.endpoints[0].endpoint.key === "inet:0.0.0.0:143");
 * ```
 */
export function parseServiceConfig(given: Config, options: ServiceOptions): ServiceResult {
  const { id, file, cwd, globals = new Config(), check = () => [] } = options;
  const place = { file: file ?? id };
  const config = placed(given, place);
  const missing = checkEssentials(config, options);
  if (missing.isPassedOver) return { endpoints: [], ...missing };

  const { endpoints, problems: unreadable } = readServiceList(config, { cwd });
  const problems = [...checkSettings(config, OTHER_SERVICE_SETTINGS), ...unreadable];
  problems.push(...missing.problems);
  if (file === undefined) problems.push(...checkAsArguments(config));
  const warnings = [
    ...checkSettings(config, SERVER_ONLY_SETTINGS).map(asWarning),
    ...checkOperators(config),
    ...checkAddresses(config, endpoints),
    ...checkEncoding(config),
  ];
  const read = <T>(setting: Setting<T>) => readChecked(setting, { config, globals });
  const masterChroot = read(MASTER_CHROOT);
  const masterChdir = read(MASTER_CHDIR);
  const softstopAfterMs = read(SERVER_STOP_ON_SOFTSTOP_AFTER);
  const reloadStep = read(SERVER_RELOAD_STEP);
  const user = read(SERVER_USER), group = read(SERVER_GROUP), chroot = read(SERVER_CHROOT);
  const socketMode = read(SERVER_SOCKET_MODE), socketOwner = read(SERVER_SOCKET_OWNER);
  const service: ServiceConfig = {
    id,
    ...(file === undefined ? {} : { file }),
    command: read(SERVER_COMMAND) ?? [],
    endpoints,
    procCount: read(SERVER_PROC_COUNT),
    balance: read(SERVER_BALANCE),
    protocol: read(SERVER_PROTOCOL),
    permissions: read(SERVER_PERMISSIONS),
    startUser: read(SERVER_START_USER),
    ...(socketMode === undefined ? {} : { socketMode }),
    ...(socketOwner === undefined ? {} : { socketOwner }),
    ...(user === undefined ? {} : { user }),
    ...(group === undefined ? {} : { group }),
    ...(chroot === undefined ? {} : { chroot }),
    ...(masterChroot === undefined ? {} : { masterChroot }),
    ...(masterChdir === undefined ? {} : { masterChdir }),
    ...(softstopAfterMs === undefined ? {} : { softstopAfterMs }),
    reload: read(SERVER_RELOAD),
    ...(reloadStep === undefined ? {} : { reloadStep }),
    readyTimeoutMs: read(SERVER_READY_TIMEOUT),
    soakMs: read(SERVER_SOAK),
    supervision: readSupervision(read),
    settings: new Map(rawEntries(config)),
    shared: new Map(rawEntries(globals)),
    origins: new Map([...config.keys()].map((key) => [key, config.origin(key) ?? place])),
    fingerprint: JSON.stringify([sortedEntries(config), sortedEntries(globals)]),
  };
  if (service.command.length > 0) problems.push(...check(service));
  if (problems.length > 0) return { endpoints, problems: problems.toSorted(byLine), warnings };
  return { service, endpoints, problems, warnings };
}

/**
 * Reads a `server-service`: `[name://]address`, parted by any of `;`, `,`, tab and space.
 *
 * An address that is named twice isn't looked for; that is for {@linkcode validateServices}.
 *
 * @param config The settings.
 * @param options `cwd`: the absolute directory that relative paths start from.
 * @returns The addresses, none where the setting is missing or empty, and what is wrong.
 */
export function readServiceList(
  config: Config,
  options: { readonly cwd: string },
): ServiceList {
  const key = SERVER_SERVICE.name;
  const list = readSetting(config, SERVER_SERVICE);
  if (!list.ok) return { endpoints: [], problems: [list.problem] };
  if (list.value === undefined) return { endpoints: [], problems: [] };
  const origin = config.origin(key);
  const endpoints: ServiceEndpoint[] = [];
  const problems: Problem[] = [];
  const items = list.value.split(/[;, \t]+/).filter((item) => item !== "");
  if (items.length === 0) {
    const about = { found: "no address", expected: SERVER_SERVICE.kind.expected };
    problems.push(problemAt(origin, { key, message: cannot("read", list.value, about) }));
  }
  for (const item of items) {
    try {
      endpoints.push({ ...parseItem(item, options.cwd), origin });
    } catch (error) {
      problems.push(problemAt(origin, { key, message: refusal(error) }));
    }
  }
  return { endpoints, problems };
}

/** Finds shell operators, which the program would get as arguments. */
function checkOperators(config: Config): Problem[] {
  const key = SERVER_COMMAND.name, operator = shellOperator(config.getStr(key));
  if (operator === undefined) return [];
  const found = "an argument of the program, since no shell reads the command";
  const expected = `a command without it, or '${operator}' if the program wants it`;
  const message = cannot("do what a shell does for", operator, { found, expected });
  return [warningAt(config.origin(key), { key, message })];
}

/**
 * Finds addresses that are read as socket files, as in LIB-ZC, and look like a host or a port.
 *
 * @param config The settings.
 * @param endpoints The addresses that {@linkcode readServiceList} has read in them.
 * @returns One warning for all of them, if there are any.
 */
export function checkAddresses(
  config: Config,
  endpoints: readonly ServiceEndpoint[],
): Problem[] {
  const key = SERVER_SERVICE.name;
  // A comment after the list is reported as such.
  if (endsInComment(config.getStr(key))) return [];
  const { slips, meant } = addressSlips(endpoints.map(({ address }) => address));
  if (slips.length === 0) return [];
  const files = slips.map((address) => `./${address}`).join(" ");
  const message = cannot("take for host:port", slips.join(" "), {
    found: `no colon in ${
      slips.length === 1 ? "it, so it is a socket file" : "these, so each is a socket file"
    }`,
    expected: `${meant.join(" ")}, or ${files} if that is meant`,
  });
  return [warningAt(config.origin(key), { key, message })];
}

/**
 * Finds duplicate addresses, within one service or in two.
 *
 * @param services All services of a configuration, from files or from a hook.
 * @returns A problem for each duplicate, with the place of the first one.
 */
export function validateServices(
  services: readonly Pick<ServiceConfig, "endpoints">[],
): Problem[] {
  const problems: Problem[] = [];
  const firsts = new Map<string, ServiceEndpoint>();
  for (const named of services.flatMap((service) => service.endpoints)) {
    const place = placeOf(named.endpoint);
    const first = firsts.get(place);
    if (first === undefined) {
      firsts.set(place, named);
      continue;
    }
    const where = typeof first.origin === "object" ? ` in ${formatPlace(first.origin)}` : "";
    const message = cannot("listen on", named.address, {
      found: `already named${where} as ${quote(first.address)}`,
      expected: "each address once",
    });
    problems.push(problemAt(named.origin, { key: SERVER_SERVICE.name, message }));
  }
  return problems;
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

/** Reads one `[name://]address` of a list. */
function parseItem(item: string, cwd: string): Omit<ServiceEndpoint, "origin"> {
  const mark = item.indexOf("://");
  const service = item.slice(0, Math.max(mark, 0));
  if (service.includes(":")) {
    // The name travels to the server as `name:i5`, where a colon of its own would end it.
    const about = { found: "a colon in it", expected: "a name without one" };
    throw new TypeError(cannot("name a service", service, about));
  }
  const address = mark < 0 ? item : item.slice(mark + 3);
  return { service, endpoint: parseAddress(address, { cwd }), address };
}

/** A service without a file gets its settings as `-key value`, which not every text survives. */
function checkAsArguments(config: Config): Problem[] {
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
    problems.push(problemAt(config.origin(key), { key, message }));
  }
  return problems;
}

function checkEncoding(config: Config): Problem[] {
  const warnings: Problem[] = [];
  for (const [key, value] of config) {
    if (SERVICE_NAMES.has(key) || !`${key}${value}`.includes("\ufffd")) continue;
    const about = { found: "bytes that are neither UTF-8 nor GB18030", expected: "UTF-8 text" };
    const message = cannot("read", value, about);
    warnings.push(warningAt(config.origin(key), { key, message }));
  }
  return warnings;
}

/** The key without its kind, since two kinds of endpoint can't share a path. */
function placeOf({ kind, key }: Endpoint): string {
  return kind === "inet" ? key : key.slice(kind.length + 1);
}

/** Copies the settings and adds the place to each that has none (a hook's). */
function placed(given: Config, place: { readonly file: string }): Config {
  const config = new Config();
  for (const [key, value] of rawEntries(given)) config.set(key, value, given.origin(key) ?? place);
  return config;
}

/** The settings byte for byte. */
function rawEntries(config: Config): [string, string][] {
  return [...config.keys()].map((key) => [key, config.getRaw(key)!]);
}

function sortedEntries(config: Config): [string, string][] {
  return rawEntries(config).sort(([a], [b]) => a < b ? -1 : 1);
}
