/**
 * The configuration of a master: its own settings and its services, read as a whole at the start and
 * at every reload.
 *
 * @module
 */
import type { ParsedArguments } from "../config/args.ts";
import { readCfText } from "../config/cf.ts";
import { Config, defaultConfig } from "../config/config.ts";
import { commandLineSettings, readStrictly, sharedFor } from "../config/effective.ts";
import { gather, type Problem } from "../config/errors.ts";
import { lintCf } from "../config/lint_cf.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  DEBUG,
  MASTER_DEBUG,
  SERVER_LOG,
  type Setting,
} from "../config/settings.ts";
import { configureLog } from "../log/log.ts";
import { type LoadedServices, loadServices, type ServiceSource } from "./load_services.ts";
import { distrustedFiles } from "./trust.ts";

/** A configuration as it was found. */
export interface Candidate extends LoadedServices {
  /** The settings of the master itself. */
  readonly settings: Config;
}

/** What the master reads on its command line. */
const MASTER_SETTINGS = ALL_SETTINGS.filter(({ scopes }) => scopes.includes("master"));

/**
 * A setting of the master that is in force.
 *
 * @param record The setting.
 */
export function setting<T>(record: Setting<T>): T {
  return readStrictly(defaultConfig, record);
}

/** Where a master's configuration comes from. */
export class MasterConfiguration {
  readonly #args: ParsedArguments;
  readonly #source: ServiceSource;
  readonly #warnings: readonly Problem[];

  /**
   * @param args The command line.
   * @param source Where the services come from.
   * @param warnings What looks odd in the command line.
   */
  constructor(
    args: ParsedArguments,
    source: ServiceSource,
    warnings: readonly Problem[] = [],
  ) {
    this.#args = args;
    this.#source = source;
    this.#warnings = warnings;
  }

  /**
   * Reads everything, and finds everything that is wrong in it.
   *
   * @param serving The ids of the services that serve now.
   */
  async load(serving?: ReadonlySet<string>): Promise<Candidate> {
    const loaded = await loadServices({ ...this.#source, serving });
    const problems = [...loaded.problems];
    problems.push(...distrustedFiles(this.#args, this.#source.lookup));
    const own = gather(problems, () => commandLineSettings(this.#args)) ?? new Config();
    const warnings = [...this.#warnings, ...this.#lintFiles(), ...loaded.warnings];
    problems.push(...checkSettings(own, MASTER_SETTINGS));
    const settings = sharedFor(new Config().merge(loaded.shared), "master").merge(own);
    return { ...loaded, problems, warnings, settings };
  }

  /** Looks for slips in the files of `-config`; what can't be read in them is told as a problem. */
  #lintFiles(): Problem[] {
    const lint = (file: string) => lintCf(readCfText(file), file, "master");
    return this.#args.configFiles.flatMap((file) => gather([], () => lint(file)) ?? []);
  }
}

/** What the master's own log depends on, as a text: equal exactly when it is the same. */
export function masterLogSettings(): string {
  return JSON.stringify([setting(SERVER_LOG), setting(DEBUG), setting(MASTER_DEBUG)]);
}

/** Has the master log as its settings say. */
export function configureMasterLog(): void {
  const debug = setting(DEBUG) || setting(MASTER_DEBUG);
  configureLog({ program: "master", debug, target: setting(SERVER_LOG) });
}
