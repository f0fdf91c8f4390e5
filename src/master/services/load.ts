/**
 * Loads the services from the directory of settings files, or from a hook. All problems are found
 * before anything is changed.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { Config, loadEntries } from "../../config/config.ts";
import {
  checkSharedSettings,
  loadConfigDirectory,
  nearlySettingsFiles,
  readGlobalSettings,
  settingsFileOf,
} from "../../config/directory.ts";
import { sharedFor } from "../../config/effective.ts";
import {
  cannot,
  counted,
  formatPlace,
  type Problem,
  problemAt,
  refusal,
  warningAt,
} from "../../config/errors.ts";
import { type IniFiles, iniServices, sharedGlobals } from "../../config/ini.ts";
import { validateServices } from "../../config/endpoints.ts";
import { originOf, parseServiceConfig, type ServiceConfig } from "../../config/service.ts";
import { SERVER_ENV, SERVER_ENV_FILE } from "../../config/settings.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { METRICS_ID, metricsService } from "./metrics.ts";
import { worldWritableProblems, worldWritableSources } from "./file_permissions.ts";
import type { ProgramLookup } from "./program_lookup.ts";
import { checkCertificates } from "./certificates.ts";
import { protocolWarnings, ServiceResolver } from "./resolve.ts";
import { requireNoCacheVariable } from "./privileges.ts";
import { withEnvironments } from "./server_environment.ts";
import { reachOf } from "./user_access.ts";

/** The loaded services, and what is wrong with them. */
export interface LoadedServices {
  /** The services without problems. */
  readonly services: readonly ResolvedService[];
  /** The settings of the `*.gcf` files; the master reads them as well. */
  readonly shared: Config;
  /** The problems; any of them makes the whole configuration invalid. */
  readonly problems: readonly Problem[];
  /** Warnings, which do not prevent the start. */
  readonly warnings: readonly Problem[];
}

/** The services as their settings name them. */
type Parsed = Omit<LoadedServices, "services"> & { readonly services: readonly ServiceConfig[] };

/** Supplies the services instead of a directory: at start and at every reload. */
export type LoadConfigHook = () => readonly Config[] | Promise<readonly Config[]>;

/** Where to look for services. */
export interface ServiceSource {
  /** The directory of `-C`; with a hook only its `*.gcf` files are read. */
  readonly directory?: string;
  readonly hook?: LoadConfigHook;
  /** The INI files of `-config`, whose sections are services as well. */
  readonly ini?: IniFiles;
  /** The own settings of the master, without the shared ones, for the service of `metrics`. */
  readonly own?: Config;
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

/** One load. */
interface Loading {
  readonly source: ServiceSource;
  readonly resolver: ServiceResolver;
}

/**
 * Reads all services, and checks them.
 *
 * @param source Where to look.
 * @returns The services, and their problems.
 */
export async function loadServices(source: ServiceSource): Promise<LoadedServices> {
  const { hook, directory, ini } = source;
  const loading = { source, resolver: new ServiceResolver({ ...source, configPath: directory }) };
  const complete = async (loaded: Parsed) =>
    finished(
      withCertificates(await withVariables(withSections(loaded, loading), loading), loading),
      loading,
    );
  if (hook !== undefined) return await complete(await fromHook(loading, hook));
  if (directory !== undefined) return await complete(fromDirectory(loading, directory));
  if (ini !== undefined) return await complete(NOTHING);
  const about = {
    found: "it is missing",
    expected: "-C DIR, the directory of settings files, or -config FILE.ini; see --help",
  };
  const message = cannot("read argument", "-C", about);
  return { services: [], shared: new Config(), problems: [{ message }], warnings: [] };
}

const NOTHING: Parsed = {
  services: [],
  shared: new Config(),
  problems: [],
  warnings: [],
};

/** Adds the services of the sections of INI files. */
function withSections(loaded: Parsed, { source, resolver: { check } }: Loading): Parsed {
  const { cwd, serving, ini } = source;
  if (ini === undefined) return loaded;
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

/** Adds the variables of the files of `server-env-file`. */
async function withVariables(loaded: Parsed, { source, resolver }: Loading): Promise<Parsed> {
  const { services, problems } = await withEnvironments(loaded.services, source);
  const cacheProblems = services.flatMap((service) => cacheVariableProblems(service, resolver));
  return { ...loaded, services, problems: [...loaded.problems, ...problems, ...cacheProblems] };
}

/** Adds what is wrong with the certificates of the services. */
function withCertificates(loaded: Parsed, { resolver }: Loading): Parsed {
  const located = loaded.services.map((service) => resolver.located(service));
  const { problems, warnings } = checkCertificates(located);
  return {
    ...loaded,
    problems: [...loaded.problems, ...problems],
    warnings: [...loaded.warnings, ...warnings],
  };
}

function cacheVariableProblems(service: ServiceConfig, resolver: ServiceResolver): Problem[] {
  try {
    requireNoCacheVariable(resolver.located(service));
    return [];
  } catch (error) {
    const isOfFile = service.origins.has(SERVER_ENV_FILE.name) &&
      !service.origins.has(SERVER_ENV.name);
    const { name: key } = isOfFile ? SERVER_ENV_FILE : SERVER_ENV;
    return [problemAt(originOf(service, key), { key, message: refusal(error) })];
  }
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
function finished(loaded: Parsed, loading: Loading): LoadedServices {
  const { source } = loading, { hook, directory, ini, serving } = source;
  const complete = (all: Parsed) => resolved(withMetrics(all, loading), loading);
  if (loaded.services.length + loaded.problems.length > 0) return complete(loaded);
  const running = serving?.difference(new Set([METRICS_ID])).size ?? 0;
  if (running > 0) {
    const from = directory ?? ini?.files[0].path ?? "loadConfig";
    return { ...loaded, services: [], problems: [nothingLeft(from, running)] };
  }
  const told = hook === undefined ? noService(source) : [];
  return complete({ ...loaded, warnings: [...loaded.warnings, ...told] });
}

/** Adds the service of the setting `metrics`. */
function withMetrics(loaded: Parsed, { source, resolver: { check } }: Loading): Parsed {
  const { own, ini, cwd, lookup } = source;
  if (own === undefined) return loaded;
  const settings = sharedFor(new Config().merge(loaded.shared), "master").merge(own);
  const globals = sharedGlobals(loaded.shared, ini?.files ?? []);
  const made = metricsService({ settings, others: loaded.services, cwd, globals, check, lookup });
  if (made === undefined) return loaded;
  const services = [...loaded.services, ...made.service === undefined ? [] : [made.service]];
  return {
    ...loaded,
    services,
    problems: [...loaded.problems, ...made.problems, ...validateServices(services)],
    warnings: [...loaded.warnings, ...made.warnings],
  };
}

/** The problem of an empty configuration while services are running. */
function nothingLeft(directory: string, serving: number): Problem {
  const found = `no service in it, while ${counted(serving, "is", "are")} running`;
  const expected = "at least one; zc stop ends all of them";
  return { file: directory, message: cannot("go on with", directory, { found, expected }) };
}

/** Resolves the services, and checks them together. */
function resolved(loaded: Parsed, { source, resolver }: Loading): LoadedServices {
  const located = loaded.services.map((service) => resolver.located(service));
  const services = located.map((one) => resolver.resolve(one));
  // Such a configuration is not used; its addresses are opened only to report all problems at once.
  if (loaded.problems.length > 0) return { ...loaded, services };
  const reach = reachOf(located, source);
  if (reach.problems.length > 0) return { ...loaded, services, problems: reach.problems };
  const warnings = [...loaded.warnings, ...reach.warnings, ...located.flatMap(protocolWarnings)];
  return { ...loaded, services, warnings };
}

function fromDirectory({ source, resolver: { check } }: Loading, directory: string): Parsed {
  const { globals, ...found } = loadConfigDirectory(directory, {
    cwd: source.cwd,
    check,
    worldWritable: (path) => worldWritableProblems(path, source.lookup),
    serving: source.serving,
  });
  return { ...found, shared: loadEntries(new Config(), globals) };
}

/** A master without a service waits for a reload that adds one. */
function noService({ cwd, directory, ini }: ServiceSource): Problem[] {
  const file = directory ?? ini?.files[0].path;
  if (file === undefined) return [];
  const path = resolvePath(cwd, file);
  const others = directory === undefined ? [] : nearlySettingsFiles(directory);
  const named = `${others.join(" ")}: no name that ends in .cf`;
  const found = `no service in it${others.length === 0 ? "" : ` (${named})`}, ` +
    "so nothing is served until a reload (SIGHUP) finds one";
  const place = directory === undefined ? "a section" : `a file ${path}/NAME.cf`;
  const expected = `${place} with server-command and server-service`;
  return [warningAt({ file }, { message: cannot("serve", path, { found, expected }) })];
}

async function fromHook(
  { source, resolver: { check } }: Loading,
  hook: LoadConfigHook,
): Promise<Parsed> {
  const { directory, cwd } = source;
  const problems: Problem[] = [], warnings: Problem[] = [];
  const worldWritable = (path: string) => worldWritableProblems(path, source.lookup);
  const shared = directory === undefined
    ? new Config()
    : readGlobalSettings(directory, { problems, warnings, worldWritable });
  problems.push(...checkSharedSettings(shared));
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
