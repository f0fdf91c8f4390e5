/**
 * Applies configurations: the first one, and those of reloads.
 *
 * @module
 */
import { defaultConfig } from "../config/config.ts";
import { replaceSettings } from "../config/effective.ts";
import { formatProblem } from "../config/errors.ts";
import type { ServiceConfig } from "../config/service.ts";
import { isUserError } from "../ipc/user_error.ts";
import { logEnd, zinfo } from "../log/log.ts";
import { systemClock } from "../os/clock/clock.ts";
import { isAddressInUse } from "../os/net/socket.ts";
import type { WorkingDirectory } from "../os/process/working_directory.ts";
import {
  configureMasterLog,
  type MasterConfiguration,
  masterLogSettings,
  type NewConfiguration,
} from "./services/configuration.ts";
import type { ListenerOwners } from "./listeners/owners.ts";
import { AddressesInUseError } from "./listeners/table.ts";
import { describePlan, type ReloadPlan } from "./policy/reload_plan.ts";
import type { SystemdNotify } from "./systemd_notify.ts";
import type { Reload, Start, Supervisor } from "./supervisor/supervisor.ts";
import type { UndoneReload } from "./supervisor/rollout.ts";

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
  /** Whether the master stops, or a new one has taken over: no change may begin then. */
  isStopping(): boolean;
}

/** Applies configurations, one at a time. */
export class Reloads {
  readonly #options: ReloadsOptions;
  /** The result of the start or of the last reload, on one line. */
  #result = "";
  /** Whether the log of this master follows its settings. */
  #logsAsSet = true;

  /** @param options The ports. */
  constructor(options: ReloadsOptions) {
    this.#options = options;
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
  async resume(services: readonly ServiceConfig[]): Promise<void> {
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
          await new Promise<void>((resolve) => systemClock.setTimer(ADDRESS_LOOK_MS, resolve));
          if (isStopping()) return undefined;
        } while (error.addresses.some(isAddressInUse) && systemClock.nowMs() < endMs);
      }
    }
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
    if (isStopping()) return;
    if (coldStart.unready.length === 0) {
      if (plan.added.length > 0) zinfo("all services are ready");
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
    return outcome;
  }

  /**
   * Reads the configuration and rolls it out. The log tells the result.
   *
   * @returns Whether any part of it is in use.
   */
  async reload(): Promise<boolean> {
    const { configuration, supervisor, serviceManager, isStopping } = this.#options;
    const report = (result: string) => {
      this.#result = result;
      serviceManager.reloaded(result);
    };
    serviceManager.reloading();
    this.#options.workingDirectory.follow();
    let candidate: NewConfiguration, reload: Reload;
    try {
      candidate = await configuration.load(supervisor.serving);
      // The hook may have taken a long time.
      if (isStopping()) return false;
      this.#warn(candidate);
      reload = supervisor.reload(candidate.services, candidate.problems);
    } catch (error) {
      report(`reload refused: ${error instanceof Error ? error.message : error}`);
      const text = isUserError(error) ? error.message : error;
      zinfo("reload refused, all goes on as before:", text);
      return false;
    }
    const { plan, outcome } = reload;
    this.#tell(candidate, plan);
    const undone = await outcome;
    // If no group has passed, the old configuration remains as a whole.
    const isAccepted = undone.length < plan.groups.length || undone.length === 0;
    if (isAccepted) this.#accept(candidate);
    const names = undone.flatMap(({ services }) => services).join(" ");
    const result = names === "" ? "reloaded" : `reload over, undone for ${names}`;
    report(result);
    zinfo(result);
    return isAccepted;
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
