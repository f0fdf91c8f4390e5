/**
 * The configuration of a master: reads its own settings and its services, at the start and at every
 * reload.
 *
 * @module
 */
import { isIniFile, type ParsedArguments } from "../../config/args.ts";
import { parseCf, readCfText } from "../../config/cf.ts";
import { Config, defaultConfig, loadEntries } from "../../config/config.ts";
import { checkSharedSettings } from "../../config/directory.ts";
import { commandLineSettings, readStrictly, sharedFor } from "../../config/effective.ts";
import { formatProblem, gather, type Problem } from "../../config/errors.ts";
import { headOf, lintIni, readIniFiles } from "../../config/ini.ts";
import { lintCf } from "../../config/lint_cf.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  DEBUG,
  LOG_FORMAT,
  LOG_LEVEL,
  MASTER_DEBUG,
  SERVER_LOG,
  type Setting,
} from "../../config/settings.ts";
import { configureLog } from "../../log/log.ts";
import type { LogLevel } from "../../log/record.ts";
import { mainFile } from "../../os/process/program_lookup.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { type LoadedServices, loadServices, type ServiceSource } from "./load.ts";
import { ModuleVersions } from "./module_versions.ts";
import { worldWritableFiles, worldWritableProgram } from "./file_permissions.ts";

/** A configuration that was read. */
export interface NewConfiguration extends LoadedServices {
  /** When the reading began, in milliseconds since 1970. */
  readonly readAtMs: number;
  /** The settings of the master itself. */
  readonly settings: Config;
  /**
   * The services with `server-reload = changed` whose module files are unknown, by id, with the
   * reason.
   */
  readonly unknownModules: ReadonlyMap<string, string>;
}

/** The settings that the master reads on its command line. */
const MASTER_SETTINGS = ALL_SETTINGS.filter(({ scopes }) => scopes.includes("master"));

/** The current value of a setting of the master. */
export function setting<T>(record: Setting<T>): T {
  return readStrictly(defaultConfig, record);
}

/** Reads a master's configuration. */
export class MasterConfiguration {
  readonly #args: ParsedArguments;
  readonly #source: ServiceSource;
  readonly #warnings: readonly Problem[];
  readonly #modules: ModuleVersions;

  /**
   * @param args The command line.
   * @param source Where the services come from.
   * @param warnings Warnings about the command line.
   */
  constructor(
    args: ParsedArguments,
    source: ServiceSource,
    warnings: readonly Problem[] = [],
  ) {
    this.#args = args;
    this.#source = source;
    this.#modules = new ModuleVersions(source.lookup);
    this.#warnings = warnings;
  }

  /**
   * Reads everything, and finds all problems.
   *
   * @param serving The ids of the current services.
   */
  load(serving?: ReadonlySet<string>): Promise<NewConfiguration> {
    return this.#load(serving, (run) => this.#modules.of(run));
  }

  /** The same without the start of any program, for a look at the configuration. */
  peek(serving?: ReadonlySet<string>): Promise<NewConfiguration> {
    return this.#load(serving, (run) => this.#modules.peek(run));
  }

  async #load(
    serving: ReadonlySet<string> | undefined,
    versionOf: ModuleVersions["of"],
  ): Promise<NewConfiguration> {
    const { lookup } = this.#source, readAtMs = lookup.timeOfDayMs();
    const problems = [
      ...worldWritableProgram(mainFile(), lookup),
      ...worldWritableFiles(this.#args, lookup),
    ];
    // Each file is read once, so that services and settings are those of the same moment.
    const { configFiles } = this.#args;
    const ini = configFiles.some(isIniFile) ? readIniFiles(configFiles) : undefined;
    const iniFiles = ini?.files ?? [];
    const texts = new Map<string, string>();
    const readHead = (path: string) => {
      if (!isIniFile(path)) {
        const text = readCfText(path);
        texts.set(path, text);
        return parseCf(text, path);
      }
      const file = iniFiles.find((one) => one.path === path);
      return file === undefined ? [] : headOf(file);
    };
    const unreadable: Problem[] = [];
    const own = gather(unreadable, () => commandLineSettings(this.#args, readHead)) ??
      new Config();
    const loaded = await loadServices({ ...this.#source, serving, ini, own });
    problems.push(...loaded.problems, ...unreadable);
    const warnings = [
      ...this.#warnings,
      ...[...texts].flatMap(([path, text]) => lintCf(text, path, "master")),
      ...iniFiles.flatMap(lintIni),
      ...loaded.warnings,
    ];
    problems.push(...checkSettings(own, MASTER_SETTINGS));
    for (const file of iniFiles) {
      problems.push(...checkSharedSettings(loadEntries(new Config(), headOf(file))));
    }
    const settings = sharedFor(new Config().merge(loaded.shared), "master").merge(own);
    const read = { ...loaded, readAtMs, warnings, settings };
    if (problems.length > 0) {
      return { ...read, problems: distinct(problems), unknownModules: new Map() };
    }
    return { ...read, problems, ...await withModules(loaded.services, versionOf) };
  }
}

/** Adds the version of the modules to the fingerprint of each service that may be left alone. */
async function withModules(
  services: readonly ResolvedService[],
  versionOf: ModuleVersions["of"],
): Promise<Pick<NewConfiguration, "services" | "unknownModules">> {
  const unknownModules = new Map<string, string>();
  const told = services.map(async (service) => {
    // A compiled program has its modules in its file, which the fingerprint has.
    if (service.reload !== "changed" || service.selfBinary !== undefined) return service;
    const { version, unknown } = await versionOf(service.scriptRun);
    if (unknown !== undefined) unknownModules.set(service.id, unknown);
    return { ...service, fingerprint: JSON.stringify([service.fingerprint, version]) };
  });
  return { services: await Promise.all(told), unknownModules };
}

/** Without the problems of settings that several programs read, and addresses that are compared twice. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()];
}

/** The settings of the master's own log as a text, for comparison. */
export function masterLogSettings(): string {
  return JSON.stringify([setting(SERVER_LOG), masterLogLevel(), setting(LOG_FORMAT)]);
}

/** Configures the master's log from its settings. */
export function configureMasterLog(): void {
  configureLog({
    program: "master",
    level: masterLogLevel(),
    format: setting(LOG_FORMAT),
    target: setting(SERVER_LOG),
  });
}

function masterLogLevel(): LogLevel {
  return setting(DEBUG) || setting(MASTER_DEBUG) ? "debug" : setting(LOG_LEVEL);
}
