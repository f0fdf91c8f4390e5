/**
 * Applies configurations: the first one, and those of reloads.
 *
 * @module
 */
import { defaultConfig } from "../config/config.ts";
import { replaceSettings } from "../config/effective.ts";
import { validateServices } from "../config/endpoints.ts";
import { ConfigError, distinct, formatProblem } from "../config/errors.ts";
import type { UnreadyService } from "../control/messages.ts";
import { logLine, zerror, zinfo, zwarn } from "../log/log.ts";
import type { WorkingDirectory } from "../os/process/working_directory.ts";
import { type ChangeReports, RELOAD } from "./change_reports.ts";
import { openWhenFree } from "./free_addresses.ts";
import type { Counters } from "./counters/counters.ts";
import type { ListenerOwners } from "./listeners/owners.ts";
import { describePlan, type PlannedReload, type ReloadPlan } from "./policy/reload_plan.ts";
import {
  outcomeOf,
  type ReloadReport,
  ServiceError,
  type UndoneReload,
} from "./policy/reload_report.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import type { ServiceChanges } from "./service_changes.ts";
import {
  configureMasterLog,
  type MasterConfiguration,
  masterLogSettings,
  type NewConfiguration,
} from "./services/configuration.ts";
import { StartSettings, type Taken } from "./services/start_settings.ts";
import { StartReport } from "./start_report.ts";
import type { Reload, Supervisor } from "./supervisor/supervisor.ts";
import type { SystemdNotify } from "./systemd_notify.ts";

/** The ports of {@linkcode Reloads}. */
export interface ReloadsOptions {
  readonly configuration: MasterConfiguration;
  readonly supervisor: Supervisor;
  readonly counters: Counters;
  readonly listeners: ListenerOwners;
  readonly serviceManager: SystemdNotify;
  readonly workingDirectory: WorkingDirectory;
  readonly reports: ChangeReports;
  readonly serviceChanges: ServiceChanges;
  /** What an old master hands over. */
  readonly taken?: Taken;
  /** Whether the master stops, or a new one has taken over: no change may begin then. */
  isStopping(): boolean;
}

/** The names of the outcomes of reloads in the counts. */
const COUNTED = {
  committed: "committed",
  "rolled back": "rolledBack",
  refused: "refused",
} as const;

/** Applies configurations, one at a time. */
export class Reloads {
  readonly #options: ReloadsOptions;
  readonly #startReport: StartReport;
  /** What only a start takes. */
  readonly startSettings: StartSettings;
  #last?: ReloadReport;
  #readAtMs = Date.now();
  /** Whether the log of this master follows its settings. */
  #logsAsSet = true;

  /** @param options The ports. */
  constructor(options: ReloadsOptions) {
    this.#options = options;
    const { workingDirectory, taken } = options;
    this.startSettings = new StartSettings(defaultConfig, workingDirectory.path, taken);
    this.#startReport = new StartReport({ ...options, result: () => options.reports.result });
  }

  /** The report of the last reload. */
  get last(): ReloadReport | undefined {
    return this.#last;
  }

  /** When the settings of all services in force were read, in milliseconds since 1970. */
  get readAtMs(): number {
    return this.#readAtMs;
  }

  /** The services that were not ready at the end of the start. */
  get started(): Promise<readonly UnreadyService[]> {
    return this.#startReport.over;
  }

  /**
   * The plan of a reload, and its warnings; changes nothing.
   *
   * @throws {ConfigError} With all problems of the configuration.
   */
  async plan(): Promise<PlannedReload> {
    const { configuration, supervisor } = this.#options;
    const candidate = this.checked(await configuration.peek(supervisor.serving));
    if (candidate.problems.length > 0) throw new ConfigError(candidate.problems);
    return {
      plan: supervisor.plan(candidate.services),
      warnings: distinct(candidate.warnings),
    };
  }

  /**
   * Applies the first configuration, also after a wait for addresses in use.
   *
   * @param candidate The configuration.
   * @returns Also fulfilled when the master is told to stop meanwhile; nothing is open then.
   * @throws {ConfigError} With all problems; nothing is open then.
   */
  async start(candidate: NewConfiguration): Promise<void> {
    const { supervisor, reports, isStopping } = this.#options;
    this.#warn(candidate);
    const { services, problems } = candidate;
    const start = await openWhenFree(() => supervisor.start(services, problems), isStopping);
    if (start === undefined) return;
    this.#readAtMs = candidate.readAtMs;
    replaceSettings(defaultConfig, candidate.settings);
    this.#tell(candidate, start.plan);
    reports.result = describePlan(start.plan);
    void this.#startReport.follow(start);
  }

  /**
   * Applies services again after another master has served them; otherwise as {@linkcode start}.
   *
   * @param services The former services.
   * @throws {ConfigError} With all problems; nothing is open then.
   */
  async resume(services: readonly ResolvedService[]): Promise<void> {
    const { supervisor, reports, isStopping } = this.#options;
    const start = await openWhenFree(() => supervisor.resume(services), isStopping);
    if (start === undefined) return;
    zinfo(reports.result = describePlan(start.plan));
    void this.#startReport.follow(start);
  }

  /**
   * Rolls the first configuration of a new master out beside the old one: all services or none.
   *
   * @param candidate The configuration.
   * @returns The services whose processes have not passed.
   * @throws {ConfigError} With all problems; nothing has changed then.
   */
  succeed(candidate: NewConfiguration): Promise<readonly UndoneReload[]> {
    this.#warn(candidate);
    const { plan, outcome } = this.#options.supervisor.reload(candidate.services, [], {
      together: true,
    });
    this.#readAtMs = candidate.readAtMs;
    replaceSettings(defaultConfig, candidate.settings);
    this.#tell(candidate, plan);
    this.#startReport.skip();
    return outcome;
  }

  /**
   * Reads the configuration and rolls it out. The log tells the result.
   *
   * @param only The ids of the services that take their new settings; without it all of them, and
   * the master itself.
   * @throws {ServiceError} When no service has one of these ids, or the master stops; nothing has
   * changed then.
   */
  async reload(only?: ReadonlySet<string>): Promise<ReloadReport> {
    const { configuration, supervisor, reports, serviceChanges, isStopping } = this.#options;
    const begun = reports.begin(RELOAD);
    this.#options.workingDirectory.follow();
    let candidate: NewConfiguration, reload: Reload;
    const stops = () => new ServiceError("busy", "Cannot reload: the master stops, or is replaced");
    try {
      candidate = await configuration.load(supervisor.serving);
      // Named services take nothing for the master itself.
      if (only === undefined) candidate = this.checked(candidate);
      // The hook may have taken a long time.
      if (isStopping()) throw stops();
      this.#warn(candidate);
      const { services, problems } = only === undefined ? candidate : this.#part(candidate, only);
      // Processes of a service that was just stopped may still have its address.
      const attempt = () => supervisor.reload(services, problems, { only });
      const opened = await openWhenFree(attempt, isStopping);
      if (opened === undefined) throw stops();
      reload = opened;
    } catch (error) {
      if (!(error instanceof ServiceError)) return this.#record(reports.refused(begun, error));
      if (!isStopping()) reports.cancel();
      throw error;
    }
    this.#tell(candidate, reload.plan);
    const report = await reports.outcome(begun, reload, (undone) => {
      serviceChanges.forget((only ?? serviceChanges.stopped).difference(undone));
      if (only !== undefined) return;
      this.#accept(candidate);
    });
    return this.#record({ ...report, warnings: distinct(candidate.warnings) });
  }

  #record(report: ReloadReport): ReloadReport {
    this.#options.counters.ofMaster(`reloads.${COUNTED[outcomeOf(report)]}`);
    return this.#last = report;
  }

  /** A configuration with what it would change of that which only a start takes. */
  checked(candidate: NewConfiguration): NewConfiguration {
    const { settings } = candidate;
    // Settings that can't be read are told already.
    if (candidate.problems.length > 0) return candidate;
    const { problems, warnings } = this.startSettings.changesIn(settings);
    return { ...candidate, problems, warnings: [...candidate.warnings, ...warnings] };
  }

  /** The services in force, with the named ones as the new configuration has them. */
  #part(
    { services, problems }: NewConfiguration,
    only: ReadonlySet<string>,
  ): Pick<NewConfiguration, "services" | "problems"> {
    const { supervisor: { current }, serviceChanges } = this.#options;
    const known = new Set([...current, ...services].map(({ id }) => id));
    for (const id of only) if (!known.has(id)) throw serviceChanges.unknown(id, known);
    const part = [
      ...current.filter(({ id }) => !only.has(id)),
      ...services.filter(({ id }) => only.has(id)),
    ];
    return { services: part, problems: problems.length > 0 ? problems : validateServices(part) };
  }

  /** Logs the warnings, also of a configuration that is refused. */
  #warn({ warnings }: NewConfiguration): void {
    for (const warning of distinct(warnings)) zwarn(formatProblem(warning));
  }

  #tell({ services, unknownModules }: NewConfiguration, plan: ReloadPlan): void {
    const { listeners } = this.#options;
    const endpoints = services.flatMap((service) => service.endpoints);
    for (const { level, text } of listeners.describe(endpoints)) logLine(level, text);
    zinfo(describePlan(plan));
    for (const id of plan.left) {
      const reason = unknownModules.get(id);
      if (reason === undefined) continue;
      zwarn(`${id}: left alone by the files of its command, without what these load: ${reason}`);
    }
  }

  #accept({ settings, readAtMs }: NewConfiguration): void {
    this.#readAtMs = readAtMs;
    const logBefore = masterLogSettings();
    replaceSettings(defaultConfig, settings);
    // Only after a change, since closing a full log waits and drops its buffer.
    if (masterLogSettings() === logBefore && this.#logsAsSet) return;
    try {
      configureMasterLog();
      this.#logsAsSet = true;
    } catch (error) {
      // The services are applied regardless of the log; the next reload tries the log again.
      this.#logsAsSet = false;
      zerror("the log can't be opened as its settings say:", error);
    }
  }
}
