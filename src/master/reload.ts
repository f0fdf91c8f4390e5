/**
 * Applies configurations: the first one, and those of reloads.
 *
 * @module
 */
import { defaultConfig } from "../config/config.ts";
import { replaceSettings } from "../config/effective.ts";
import { validateServices } from "../config/endpoints.ts";
import { cannot, ConfigError, formatProblem } from "../config/errors.ts";
import { isUserError } from "../ipc/user_error.ts";
import { logEnd, zinfo } from "../log/log.ts";
import { delay, systemClock } from "../os/clock/clock.ts";
import { isAddressInUse } from "../os/net/open_listener.ts";
import type { WorkingDirectory } from "../os/process/working_directory.ts";
import {
  configureMasterLog,
  type MasterConfiguration,
  masterLogSettings,
  type NewConfiguration,
} from "./services/configuration.ts";
import type { ListenerOwners } from "./listeners/owners.ts";
import { AddressesInUseError } from "./listeners/table.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import { describePlan, type ReloadPlan } from "./policy/reload_plan.ts";
import {
  isAccepted,
  outcomeOf,
  type ReloadReport,
  type ServiceChange,
  ServiceError,
  type UndoneReload,
  unknownService,
} from "./policy/reload_report.ts";
import type { SystemdNotify } from "./systemd_notify.ts";
import type { Reload, Start, Supervisor } from "./supervisor/supervisor.ts";
import type { UnreadyService } from "../control/messages.ts";

/** How long a start waits for addresses in use, and how often it tries again. */
const ADDRESS_WAIT_MS = 2_000, ADDRESS_LOOK_MS = 50;

/** The time after which a long start is reported, and the interval of further checks. */
const WAITING_MS = 1_000;

/** The ports of {@linkcode Reloads}. */
export interface ReloadsOptions {
  readonly configuration: MasterConfiguration;
  readonly supervisor: Supervisor;
  readonly listeners: ListenerOwners;
  readonly serviceManager: SystemdNotify;
  readonly workingDirectory: WorkingDirectory;
  /** Tells an operator who watches how a change has ended. */
  tell(event: { type: "reload"; outcome: ReturnType<typeof outcomeOf>; text: string }): void;
  /** Whether the master stops, or a new one has taken over: no change may begin then. */
  isStopping(): boolean;
}

/** Applies configurations, one at a time. */
export class Reloads {
  readonly #options: ReloadsOptions;
  #last?: ReloadReport;
  #readAtMs?: number;
  /** The result of the start or of the last reload, on one line. */
  #result = "";
  readonly #started = Promise.withResolvers<readonly UnreadyService[]>();
  /** The services that an operator has stopped, with their settings. */
  readonly #stopped = new Map<string, ResolvedService>();
  /** Whether the log of this master follows its settings. */
  #logsAsSet = true;

  /** @param options The ports. */
  constructor(options: ReloadsOptions) {
    this.#options = options;
  }

  /** The report of the last reload. */
  get last(): ReloadReport | undefined {
    return this.#last;
  }

  /** When the last reload of everything that is in force began, in milliseconds since 1970. */
  get readAtMs(): number | undefined {
    return this.#readAtMs;
  }

  /**
   * The plan of a reload; changes nothing.
   *
   * @throws {ConfigError} With all problems of the configuration.
   */
  async plan(): Promise<ReloadPlan> {
    const { configuration, supervisor } = this.#options;
    const { services, problems } = await configuration.load(supervisor.serving);
    if (problems.length > 0) throw new ConfigError(problems);
    return supervisor.plan(services);
  }

  /**
   * Applies the first configuration. The servers of a killed master may live for up to two seconds
   * more, so the start waits that long for addresses in use.
   *
   * @param candidate The configuration.
   * @returns Also fulfilled when the master is told to stop meanwhile; nothing is open then.
   * @throws {ConfigError} With all problems; nothing is open then.
   */
  async start(candidate: NewConfiguration): Promise<void> {
    const { supervisor } = this.#options;
    this.#warn(candidate);
    const start = await this.#whenFree(() =>
      supervisor.start(candidate.services, candidate.problems)
    );
    if (start === undefined) return;
    replaceSettings(defaultConfig, candidate.settings);
    this.#tell(candidate, start.plan);
    this.#result = describePlan(start.plan);
    void this.#announce(start);
  }

  /**
   * Applies services again after another master has served them; otherwise as {@linkcode start}.
   *
   * @param services The former services.
   * @throws {ConfigError} With all problems; nothing is open then.
   */
  async resume(services: readonly ResolvedService[]): Promise<void> {
    const { supervisor } = this.#options;
    const start = await this.#whenFree(() => supervisor.resume(services));
    if (start === undefined) return;
    zinfo(this.#result = describePlan(start.plan));
    void this.#announce(start);
  }

  /** Tries again for a while if addresses in use are the only problem. */
  async #whenFree(open: () => Start): Promise<Start | undefined> {
    const { isStopping } = this.#options;
    const endMs = systemClock.nowMs() + ADDRESS_WAIT_MS;
    for (let isFirst = true;; isFirst = false) {
      try {
        return open();
      } catch (error) {
        const isLate = systemClock.nowMs() >= endMs;
        if (!(error instanceof AddressesInUseError) || isLate) throw error;
        if (isFirst) zinfo(`waiting for up to ${ADDRESS_WAIT_MS / 1000} s: ${error.message}`);
        do {
          await delay(ADDRESS_LOOK_MS);
          if (isStopping()) return undefined;
        } while (error.addresses.some(isAddressInUse) && systemClock.nowMs() < endMs);
      }
    }
  }

  /** The services that were not ready at the end of the start. */
  get started(): Promise<readonly UnreadyService[]> {
    return this.#started.promise;
  }

  /** Reports that the services are ready, and which ones are not ready in time. */
  async #announce({ coldStart, plan }: Start): Promise<void> {
    const { serviceManager, isStopping } = this.#options;
    const unready = () => coldStart.unready.map(({ id, reason }) => `${id}: ${reason}`).join("; ");
    const beginMs = systemClock.nowMs();
    let leftMs: number, told = "";
    while ((leftMs = coldStart.leftMs(systemClock.nowMs() - beginMs)) > 0) {
      const pause = Promise.withResolvers<void>();
      const timer = systemClock.setTimer(Math.min(leftMs, WAITING_MS), pause.resolve);
      await Promise.race([coldStart.settled, pause.promise]);
      timer.cancel();
      const text = `waiting for ${unready()}`;
      if (coldStart.leftMs(0) > 0 && text !== told) serviceManager.starting(told = text, leftMs);
    }
    this.#started.resolve(coldStart.unready);
    if (isStopping()) return;
    if (coldStart.unready.length === 0) {
      if (plan.added.length > 0) zinfo(this.#readyText(systemClock.nowMs() - beginMs));
      return serviceManager.ready(this.#result);
    }
    const text = `not ready: ${unready()}`;
    logEnd(`${text}; clients of these services wait until they serve`);
    serviceManager.ready(text);
    await coldStart.complete;
    if (isStopping()) return;
    zinfo("all services are ready now");
    serviceManager.status(this.#result);
  }

  /** What a complete start has brought, for a log line. */
  #readyText(tookMs: number): string {
    const { current } = this.#options.supervisor;
    const sum = (of: (service: ResolvedService) => number) =>
      current.reduce((total, service) => total + of(service), 0);
    const counts = [
      `services: ${current.length}`,
      `processes: ${sum(({ procCount }) => procCount)}`,
      `addresses: ${sum(({ endpoints }) => endpoints.length)}`,
    ].join(", ");
    return `all services are ready after ${(tookMs / 1000).toFixed(1)} s (${counts})`;
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
    replaceSettings(defaultConfig, candidate.settings);
    this.#tell(candidate, plan);
    this.#started.resolve([]);
    return outcome;
  }

  /**
   * Reads the configuration and rolls it out. The log tells the result.
   *
   * @param only The ids of the services that take their new settings; without it all of them, and
   * the master itself.
   * @throws {ServiceError} When no service has one of these ids; nothing has changed then.
   */
  async reload(only?: ReadonlySet<string>): Promise<ReloadReport> {
    const { configuration, supervisor, serviceManager, isStopping } = this.#options;
    const begun = { startedAt: Date.now(), startMs: systemClock.nowMs() };
    serviceManager.reloading();
    this.#options.workingDirectory.follow();
    let candidate: NewConfiguration, reload: Reload;
    try {
      candidate = await configuration.load(supervisor.serving);
      // The hook may have taken a long time.
      if (isStopping()) {
        const refusal = new ServiceError("busy", "Cannot reload: the master stops, or is replaced");
        return { startedAt: begun.startedAt, durationMs: 0, refusal, undone: [], text: "" };
      }
      this.#warn(candidate);
      const { services, problems } = only === undefined ? candidate : this.#part(candidate, only);
      reload = supervisor.reload(services, problems, { only });
    } catch (error) {
      return this.#last = this.#refused(begun, error);
    }
    this.#tell(candidate, reload.plan);
    return this.#last = await this.#outcome(begun, reload, (undone) => {
      for (const id of only ?? this.stopped) if (!undone.has(id)) this.#stopped.delete(id);
      if (only !== undefined) return;
      this.#readAtMs = begun.startedAt;
      this.#accept(candidate);
    });
  }

  /**
   * Starts, stops, or replaces the processes of services, with the settings that are in force.
   *
   * @param what What to do.
   * @param ids The services.
   * @throws {ServiceError} When it is not possible for one of them; nothing has changed then.
   */
  async change(what: ServiceChange, ids: readonly string[]): Promise<ReloadReport> {
    const { supervisor, serviceManager } = this.#options, named = new Set(ids);
    const begun = { startedAt: Date.now(), startMs: systemClock.nowMs() };
    const current = new Map(supervisor.current.map((config) => [config.id, config]));
    this.require(what, ids);
    const others = supervisor.current.filter(({ id }) => what !== "stop" || !named.has(id));
    const started = [...named].flatMap((id) => what === "start" ? this.#stopped.get(id)! : []);
    serviceManager.reloading();
    let reload: Reload;
    try {
      const wanted = [...others, ...started];
      reload = supervisor.reload(wanted, validateServices(wanted), { only: named });
    } catch (error) {
      return this.#refused(begun, error);
    }
    zinfo(`${what} of ${ids.join(" ")}: ${describePlan(reload.plan)}`);
    return await this.#outcome(begun, reload, (undone) => {
      for (const id of named.difference(undone)) {
        if (what === "stop") this.#stopped.set(id, current.get(id)!);
        else this.#stopped.delete(id);
      }
    });
  }

  /** The services that an operator has stopped. */
  get stopped(): ReadonlySet<string> {
    return new Set(this.#stopped.keys());
  }

  /**
   * Finds out whether services can be changed now.
   *
   * @throws {ServiceError} When it is not possible for one of them.
   */
  require(what: ServiceChange, ids: readonly string[]): void {
    const { serving } = this.#options.supervisor;
    for (const id of ids) this.#require(what, id, serving.has(id));
  }

  #require(what: ServiceChange, id: string, runs: boolean): void {
    const isStopped = this.#stopped.has(id);
    if (!runs && !isStopped) throw this.#unknown(id);
    if (what === "start" ? isStopped : runs) return;
    throw new ServiceError(
      "busy",
      what === "start"
        ? cannot("start", id, { found: "it is not stopped", expected: "a stopped service" })
        : cannot(what, id, { found: "it is stopped", expected: "a service that runs" }),
    );
  }

  #unknown(id: string, known: Iterable<string> = []): ServiceError {
    const { supervisor } = this.#options;
    return unknownService(id, [...supervisor.serving, ...this.#stopped.keys(), ...known]);
  }

  /** The services in force, with the named ones as the new configuration has them. */
  #part(
    { services, problems }: NewConfiguration,
    only: ReadonlySet<string>,
  ): Pick<NewConfiguration, "services" | "problems"> {
    const { current } = this.#options.supervisor;
    const known = new Set([...current, ...services].map(({ id }) => id));
    for (const id of only) if (!known.has(id)) throw this.#unknown(id, known);
    const part = [
      ...current.filter(({ id }) => !only.has(id)),
      ...services.filter(({ id }) => only.has(id)),
    ];
    return { services: part, problems: problems.length > 0 ? problems : validateServices(part) };
  }

  /** Waits for the outcome, and accepts the change before it is told. */
  async #outcome(
    begun: Begun,
    { plan, outcome }: Reload,
    accept: (undone: ReadonlySet<string>) => void,
  ): Promise<ReloadReport> {
    const undone = await outcome;
    const ids = undone.flatMap(({ services }) => services), names = ids.join(" ");
    if (isAccepted({ plan, undone })) accept(new Set(ids));
    const text = names === "" ? "reloaded" : `reload over, undone for ${names}`;
    const report = this.#report(begun, { plan, undone, text });
    zinfo(text);
    return report;
  }

  #refused(begun: Begun, error: unknown): ReloadReport {
    const refusal = error instanceof Error ? error : new Error(String(error));
    const text = `reload refused: ${refusal.message}`;
    const isExpected = isUserError(error) || error instanceof ServiceError;
    zinfo("reload refused, all goes on as before:", isExpected ? refusal.message : error);
    return this.#report(begun, { refusal, undone: [], text });
  }

  #report(
    { startedAt, startMs }: Begun,
    outcome: Omit<ReloadReport, "startedAt" | "durationMs">,
  ): ReloadReport {
    const durationMs = Math.round(systemClock.nowMs() - startMs);
    this.#result = outcome.text;
    const { serviceManager, tell } = this.#options;
    serviceManager.reloaded(outcome.text);
    tell({ type: "reload", outcome: outcomeOf(outcome), text: outcome.text });
    return { startedAt, durationMs, ...outcome };
  }

  /** Logs the warnings, also of a configuration that is refused. */
  #warn({ warnings }: NewConfiguration): void {
    for (const line of new Set(warnings.map(formatProblem))) zinfo(`warning: ${line}`);
  }

  #tell({ services, unknownModules }: NewConfiguration, plan: ReloadPlan): void {
    const { listeners } = this.#options;
    for (const line of listeners.describe(services.flatMap(({ endpoints }) => endpoints))) {
      zinfo(line);
    }
    zinfo(describePlan(plan));
    for (const id of plan.left) {
      const reason = unknownModules.get(id);
      if (reason === undefined) continue;
      zinfo(`${id}: left alone by the files of its command, without what these load: ${reason}`);
    }
  }

  #accept({ settings }: NewConfiguration): void {
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
      zinfo("the log can't be opened as its settings say:", error);
    }
  }
}

/** When a change began. */
interface Begun {
  /** In milliseconds since 1970. */
  readonly startedAt: number;
  /** By the system clock. */
  readonly startMs: number;
}
