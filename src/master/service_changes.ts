/**
 * What an operator does to services of the configuration that is in force: stop, start, restart.
 *
 * @module
 */
import { validateServices } from "../config/endpoints.ts";
import { cannot } from "../config/errors.ts";
import { zinfo } from "../log/log.ts";
import { type ChangeReports, wordsOf } from "./change_reports.ts";
import { openWhenFree } from "./free_addresses.ts";
import { describePlan, stopPlan } from "./policy/reload_plan.ts";
import {
  type ReloadReport,
  type ServiceChange,
  ServiceError,
  unknownService,
} from "./policy/reload_report.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import type { Reload, Supervisor } from "./supervisor/supervisor.ts";

/** Stops, starts and restarts services. */
export class ServiceChanges {
  readonly #supervisor: Supervisor;
  readonly #reports: ChangeReports;
  readonly #isStopping: () => boolean;
  /** The stopped services, with their settings. */
  readonly #stopped = new Map<string, ResolvedService>();

  /**
   * @param supervisor Makes the changes.
   * @param reports Reports their outcomes.
   * @param isStopping Whether the master stops, or is replaced.
   */
  constructor(supervisor: Supervisor, reports: ChangeReports, isStopping: () => boolean) {
    this.#supervisor = supervisor;
    this.#isStopping = isStopping;
    this.#reports = reports;
  }

  /** The ids of the services that an operator has stopped. */
  get stopped(): ReadonlySet<string> {
    return new Set(this.#stopped.keys());
  }

  /** Records that a reload has started stopped services again, or has removed them. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) this.#stopped.delete(id);
  }

  /**
   * Starts, stops, or replaces the processes of services, with the settings that are in force.
   *
   * @param what What to do.
   * @param ids The services.
   * @throws {ServiceError} When it is not possible for one of them; nothing has changed then.
   */
  async change(what: ServiceChange, ids: readonly string[]): Promise<ReloadReport> {
    this.require(what, ids);
    const { current } = this.#supervisor, named = new Set(ids);
    const before = new Map(current.map((config) => [config.id, config]));
    const others = current.filter(({ id }) => what !== "stop" || !named.has(id));
    const started = [...named].flatMap((id) => what === "start" ? this.#stopped.get(id)! : []);
    const begun = this.#reports.begin(wordsOf(what, [...named]));
    let reload: Reload | undefined;
    try {
      const wanted = [...others, ...started], problems = validateServices(wanted);
      // Processes of a service that was just stopped may still have its address.
      reload = await openWhenFree(
        () => this.#supervisor.reload(wanted, problems, { only: named }),
        this.#isStopping,
      );
      if (reload === undefined) {
        throw new ServiceError("busy", `Cannot ${what} services: the master stops, or is replaced`);
      }
      if (what === "stop") reload = { ...reload, plan: stopPlan(reload.plan) };
    } catch (error) {
      return this.#reports.refused(begun, error);
    }
    zinfo(`${begun.name}: ${describePlan(reload.plan)}`);
    return await this.#reports.outcome(begun, reload, (undone) => {
      const changed = named.difference(undone);
      this.forget(changed);
      if (what === "stop") { for (const id of changed) this.#stopped.set(id, before.get(id)!); }
    });
  }

  /**
   * Finds out whether services can be changed now.
   *
   * @throws {ServiceError} When it is not possible for one of them.
   */
  require(what: ServiceChange, ids: readonly string[]): void {
    const { serving } = this.#supervisor;
    const unknown = ids.find((id) => !serving.has(id) && !this.#stopped.has(id));
    if (unknown !== undefined) throw this.unknown(unknown);
    for (const id of ids) this.#require(what, id, serving.has(id));
  }

  #require(what: ServiceChange, id: string, runs: boolean): void {
    const isStopped = this.#stopped.has(id);
    if (what === "start" ? isStopped : runs) return;
    throw new ServiceError(
      "busy",
      what === "start"
        ? cannot("start", id, {
          found: "it is not stopped",
          expected: `a stopped service; zc restart ${id} replaces the processes of one that runs`,
        })
        : cannot(what, id, {
          found: "it is stopped",
          expected: `a service that runs: zc start ${id} starts it`,
        }),
    );
  }

  /**
   * The error of an id that no service has.
   *
   * @param id The id.
   * @param known The ids of further services.
   */
  unknown(id: string, known: Iterable<string> = []): ServiceError {
    return unknownService(id, [...this.#supervisor.serving, ...this.#stopped.keys(), ...known]);
  }
}
