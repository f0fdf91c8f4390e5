/**
 * Loads the services from the directory of settings files, or from a hook. All problems are found
 * before anything is changed.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { Config } from "../../config/config.ts";
import {
  checkSharedSettings,
  loadConfigDirectory,
  readGlobalSettings,
  settingsFileOf,
} from "../../config/directory.ts";
import {
  cannot,
  formatPlace,
  type Problem,
  problemAt,
  refusal,
  warningAt,
} from "../../config/errors.ts";
import { type IniFiles, iniServices } from "../../config/ini.ts";
import {
  MASTER_CHROOT,
  RUN_CHROOT,
  RUN_USER,
  SERVER_CHROOT,
  SERVER_IDLE_EXIT,
  SERVER_MAX_CONNECTIONS,
  SERVER_STANDBY_COUNT,
  SERVER_START_USER,
  SERVER_WATCHDOG,
  type Setting,
} from "../../config/settings.ts";
import { validateServices } from "../../config/endpoints.ts";
import { originOf, parseServiceConfig, type ServiceConfig } from "../../config/service.ts";
import { reachOf } from "./user_access.ts";
import {
  requireChroot,
  requireGroup,
  requireNoCaches,
  requirePermissions,
  requireUser,
} from "./privileges.ts";
import {
  commandStamp,
  type ProgramLookup,
  programOf,
  protocolOf,
  requireDirectory,
  requireRoot,
} from "./command.ts";
import { requireProtocol } from "./protocol_choice.ts";
import { serverArguments } from "./server_argv.ts";
import { requireSocketOwner } from "./socket_owner.ts";
import { sizeProblems } from "./start_size.ts";
import {
  requireTrustedCommand,
  worldWritableProblems,
  worldWritableSources,
} from "./file_permissions.ts";

/** The loaded services, and what is wrong with them. */
export interface LoadedServices {
  /** The services without problems. */
  readonly services: readonly ServiceConfig[];
  /** The settings of the `*.gcf` files; the master reads them as well. */
  readonly shared: Config;
  /** The problems; any of them makes the whole configuration invalid. */
  readonly problems: readonly Problem[];
  /** Warnings, which do not prevent the start. */
  readonly warnings: readonly Problem[];
}

/** Supplies the services instead of a directory: at start and at every reload. */
export type LoadConfigHook = () => readonly Config[] | Promise<readonly Config[]>;

/** Where to look for services. */
export interface ServiceSource {
  /** The directory of `-C`; with a hook only its `*.gcf` files are read. */
  readonly directory?: string;
  readonly hook?: LoadConfigHook;
  /** The INI files of `-config`, whose sections are services as well. */
  readonly ini?: IniFiles;
  /** The base of relative paths. */
  readonly cwd: string;
  readonly lookup: ProgramLookup;
  /**
   * The ids of the current services, which a mistake must not remove.
   *
   * @default None.
   */
  readonly serving?: ReadonlySet<string>;
}

/**
 * Reads all services, and checks them.
 *
 * @param source Where to look.
 * @returns The services, and their problems.
 */
export async function loadServices(source: ServiceSource): Promise<LoadedServices> {
  const { hook, directory, ini } = source;
  const complete = (loaded: LoadedServices) => finished(withSections(loaded, source), source);
  if (hook !== undefined) return complete(await fromHook(source, hook));
  if (directory !== undefined) return complete(fromDirectory(source, directory));
  if (ini !== undefined) return complete(NOTHING);
  const about = {
    found: "it is missing",
    expected: "-C DIR, the directory of settings files, or -config FILE.ini",
  };
  const message = cannot("read argument", "-C", about);
  const problems = [{ argument: true, key: "C", message }];
  return { services: [], shared: new Config(), problems, warnings: [] };
}

const NOTHING: LoadedServices = {
  services: [],
  shared: new Config(),
  problems: [],
  warnings: [],
};

/** Adds the services of the sections of INI files. */
function withSections(loaded: LoadedServices, source: ServiceSource): LoadedServices {
  const { cwd, serving, ini } = source;
  if (ini === undefined) return loaded;
  const check = (service: ServiceConfig) => programProblems(service, source);
  const results = iniServices(ini.files, { cwd, serving, check, shared: loaded.shared });
  const services = [...loaded.services, ...results.flatMap(({ service }) => service ?? [])];
  return {
    ...loaded,
    services,
    problems: [
      ...loaded.problems,
      ...ini.problems,
      ...results.flatMap(({ problems }) => problems),
      ...validateServices([...loaded.services, ...results]),
      ...repeatedIds(services),
    ],
    warnings: [...loaded.warnings, ...results.flatMap(({ warnings }) => warnings)],
  };
}

/** Finds services of the same name: a section and a file, or sections of two files. */
function repeatedIds(services: readonly ServiceConfig[]): Problem[] {
  const firsts = new Map<string, ServiceConfig>();
  return services.flatMap((service) => {
    const first = firsts.get(service.id);
    firsts.set(service.id, first ?? service);
    if (first === undefined) return [];
    const found = `${formatPlace(first.place)} has the same name`;
    const message = cannot("use as a service", service.id, { found, expected: "each name once" });
    return [{ ...service.place, message }];
  });
}

/** Checks all services together, once each of them is loaded. */
function finished(loaded: LoadedServices, source: ServiceSource): LoadedServices {
  const { hook, directory, ini, serving } = source;
  if (loaded.services.length + loaded.problems.length > 0) return stamped(loaded, source);
  if (serving !== undefined && serving.size > 0) {
    const from = directory ?? ini?.files[0].path ?? "loadConfig";
    return { ...loaded, problems: [nothingLeft(from, serving.size)] };
  }
  const told = hook === undefined ? noService(source) : [];
  return { ...loaded, warnings: [...loaded.warnings, ...told] };
}

/** The problem of an empty configuration while services are running. */
function nothingLeft(directory: string, serving: number): Problem {
  const found = `no service in it, while ${serving} ${serving === 1 ? "is" : "are"} running`;
  const expected = "at least one; SIGTERM ends all of them";
  return { file: directory, message: cannot("go on with", directory, { found, expected }) };
}

/** Adds the files of each service's command to its fingerprint. */
function stamped(loaded: LoadedServices, source: ServiceSource): LoadedServices {
  // A configuration with problems is not used, and a program may be missing.
  if (loaded.problems.length > 0) return loaded;
  const reach = reachOf(loaded.services, source);
  if (reach.problems.length > 0) return { ...loaded, problems: reach.problems };
  const services = loaded.services.map((service) => ({
    ...service,
    fingerprint: JSON.stringify([service.fingerprint, commandStamp(service, source)]),
  }));
  const warnings = [
    ...loaded.warnings,
    ...reach.warnings,
    ...services.flatMap((
      one,
    ) => [...unsupportedSettings(one, source), ...confinedAsRoot(one, source)]),
  ];
  return { ...loaded, services: services.map((one) => sparing(one, source)), warnings };
}

/** Turns standbys off for a service whose running processes can't receive descriptors. */
function sparing(service: ServiceConfig, source: ServiceSource): ServiceConfig {
  if (protocolOf(service, source) === "control") return service;
  return { ...service, supervision: { ...service.supervision, standbyCount: 0 } };
}

/** Warns of settings that need a server of this framework, or one with FFI. */
function unsupportedSettings(service: ServiceConfig, source: ServiceSource): Problem[] {
  const protocol = protocolOf(service, source);
  if (protocol === "control") return [];
  const isForeign = protocol !== "inherit";
  const { watchdogMs, maxConnections, idleExitMs, standbyCount } = service.supervision;
  const given = [
    ...(isForeign && watchdogMs > 0 ? [SERVER_WATCHDOG] : []),
    ...(isForeign && maxConnections !== undefined ? [SERVER_MAX_CONNECTIONS] : []),
    ...(isForeign && idleExitMs > 0 ? [SERVER_IDLE_EXIT] : []),
    ...(standbyCount > 0 ? [SERVER_STANDBY_COUNT] : []),
    ...(service.startUser === "master" ? [SERVER_START_USER] : []),
  ];
  const expected = isForeign ? "a server of this framework" : "a server with --allow-ffi";
  return given.map(({ name: key }) => {
    const found = `a program with the ${protocol} protocol, which can't heed it`;
    const message = cannot("use", key, { found, expected });
    return warningAt(originOf(service, key), { key, message });
  });
}

/** Warns of a changed root for a server that remains root. */
function confinedAsRoot(service: ServiceConfig, { lookup }: ServiceSource): Problem[] {
  const { settings, shared, user, chroot, masterChroot } = service;
  const ownWord = ({ name }: Setting<unknown>) => settings.get(name) || shared.get(name);
  // In another root the name means another user.
  const isRoot = user === undefined
    ? lookup.mayChangeRoot()
    : masterChroot === undefined && lookup.credentialsOf(service).uid === 0;
  if (!isRoot || ownWord(RUN_USER)) return [];
  const roots = [
    [MASTER_CHROOT.name, masterChroot],
    [SERVER_CHROOT.name, chroot],
    [RUN_CHROOT.name, ownWord(RUN_CHROOT)],
  ] as const;
  return roots.flatMap(([key, value]) => {
    if (!value) return [];
    const found = "a server that stays root's, and root can leave any root directory";
    const message = cannot("confine to", value, { found, expected: "server-user beside it" });
    return [problemAt(originOf(service, key), { key, message })];
  });
}

function fromDirectory(source: ServiceSource, directory: string): LoadedServices {
  const { globals, ...found } = loadConfigDirectory(directory, {
    cwd: source.cwd,
    check: (service) => programProblems(service, source),
    worldWritable: (path) => worldWritableProblems(path, source.lookup),
    serving: source.serving,
  });
  return { ...found, shared: new Config().load(globals) };
}

/** A master without a service waits for a reload that adds one. */
function noService({ cwd, directory, ini }: ServiceSource): Problem[] {
  const file = directory ?? ini?.files[0].path;
  if (file === undefined) return [];
  const path = resolvePath(cwd, file);
  const found = "no service in it, so nothing is served until a reload (SIGHUP) finds one";
  const place = directory === undefined ? "a section" : `a file ${path}/NAME.cf`;
  const expected = `${place} with server-command and server-service`;
  return [warningAt({ file }, { message: cannot("serve", path, { found, expected }) })];
}

async function fromHook(source: ServiceSource, hook: LoadConfigHook): Promise<LoadedServices> {
  const { directory, cwd } = source;
  const problems: Problem[] = [], warnings: Problem[] = [];
  const worldWritable = (path: string) => worldWritableProblems(path, source.lookup);
  const shared = directory === undefined
    ? new Config()
    : readGlobalSettings(directory, { problems, warnings, worldWritable });
  problems.push(...checkSharedSettings(shared));
  const check = (service: ServiceConfig) => programProblems(service, source);
  const configs = await hook();
  problems.push(...worldWritableSources(configs, source.lookup));
  const ids = hookIds(configs);
  const results = configs.map((config, index) => {
    const id = ids[index], isServing = source.serving?.has(id), file = settingsFileOf(config);
    return parseServiceConfig(config, { id, file, cwd, globals: shared, check, isServing });
  });
  problems.push(...results.flatMap((result) => result.problems), ...validateServices(results));
  return {
    services: results.flatMap(({ service }) => service ?? []),
    shared,
    problems,
    warnings: [...warnings, ...results.flatMap((result) => result.warnings)],
  };
}

/** The ids of a hook's services: the base names of their files, where these differ. */
function hookIds(configs: readonly Config[]): string[] {
  const names = configs.map((config) => settingsFileOf(config)?.replace(/^.*\//, ""));
  return names.map((name, index) => {
    const isOne = name !== undefined && names.indexOf(name) === names.lastIndexOf(name);
    return isOne ? name : `hook:${index + 1}`;
  });
}

/** The problems that would otherwise appear only when the first process is started. */
function programProblems(service: ServiceConfig, source: ServiceSource): Problem[] {
  const at = (problem: { readonly key: string; readonly message: string }) =>
    // A shared setting is not in the service's own file.
    problemAt(originOf(service, problem.key), problem);
  const check = (key: string, attempt: () => unknown): Problem[] => {
    try {
      attempt();
      return [];
    } catch (error) {
      return [at({ key, message: refusal(error) })];
    }
  };
  const place = { ...source, configPath: source.directory };
  const passOn = () => {
    // The only protocol without arguments.
    if (service.protocol !== "systemd") serverArguments(service, place);
  };
  const missing = check("server-command", () => programOf(service, source));
  const privileges = () => [
    ...check("server-command", () => requireProtocol(service, source)),
    ...check("server-command", () => requireTrustedCommand(service, source)),
    ...check("server-command", () => requireNoCaches(service, source)),
    ...check("server-permissions", () => requirePermissions(service)),
    ...check("server-user", () => requireUser(service, source)),
    ...check("server-group", () => requireGroup(service, source)),
    ...check("server-chroot", () => requireChroot(service, source)),
  ];
  const outside = check("master-chroot", passOn);
  return [
    ...missing,
    ...check("server-socket-owner", () => requireSocketOwner(service, source)),
    ...check("master-chroot", () => requireRoot(service, source)),
    ...outside,
    ...check("master-chdir", () => requireDirectory(service, source)),
    // These checks depend on the kind of program.
    ...(missing.length > 0 ? [] : privileges()),
    ...(missing.length + outside.length > 0 ? [] : sizeProblems(service, place).map(at)),
  ];
}
