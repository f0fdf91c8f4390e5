/**
 * What an operator asks a master for, by signals and by the control socket: reloads, upgrades, other changes of
 * services, and the stop. Each change waits for its turn in `Changes`.
 *
 * @module
 */
import { MASTER_STOP_TIMEOUT, MASTER_UPGRADE_TIMEOUT } from "../config/settings.ts";
import type { ChangeStatus } from "../control/status.ts";
import { zerror, zwarn } from "../log/log.ts";
import { systemClock } from "../os/clock/clock.ts";
import { nameOfChange, RELOAD } from "./change_reports.ts";
import type { ChangeRequest, Changes } from "./changes.ts";
import type { MasterControlOptions } from "./control/master_control.ts";
import type { CurrentPhase } from "./current_phase.ts";
import type { MasterParts } from "./master_parts.ts";
import { type ReloadReport, ServiceError } from "./policy/reload_report.ts";
import { TERMINATE_GRACE_MS } from "./policy/timeouts.ts";
import type { Retirement } from "./retirement.ts";
import { setting } from "./services/configuration.ts";
import type { StopRequests } from "./stop_requests.ts";
import type { UpgradeFailure } from "./upgrade/new_master.ts";

/** What the requests use of the master. */
export interface OperatorRequestsOptions {
  readonly phase: CurrentPhase;
  readonly stops: StopRequests;
  readonly changes: Changes;
  /** The other parts; a change begins only once they are there. */
  parts(): MasterParts;
  /** Undefined until then. */
  retirement(): Retirement | undefined;
  /** Starts a new master; returns its pid, or why this master goes on. */
  upgrade(): Promise<{ readonly pid: number } | UpgradeFailure>;
}

/** Takes the requests of an operator. */
export class OperatorRequests {
  readonly #options: OperatorRequestsOptions;

  /** @param options The parts of the master. */
  constructor(options: OperatorRequestsOptions) {
    this.#options = options;
  }

  /** A stop, by a signal: the first one stops the servers, the second one shortens their time. */
  stop(): void {
    const { phase, stops, parts, retirement } = this.#options;
    if (!stops.add()) {
      const { supervisor, oldMaster } = parts();
      supervisor.shortenStop();
      oldMaster?.stop(TERMINATE_GRACE_MS);
    } else if (phase.is("draining")) retirement()!.limitDrain(setting(MASTER_STOP_TIMEOUT));
    else phase.enter("stopping");
  }

  /** A reload, by a signal or by the old master. After a takeover, reloads are left to the new master. */
  reload(): void {
    const newMaster = this.#options.retirement()?.newMaster;
    if (newMaster === undefined) this.#request("reload", () => this.#reload());
    else newMaster.reload();
  }

  /** An upgrade, by a signal. */
  upgrade(): void {
    const obstacle = this.#obstacleToUpgrade();
    if (obstacle === undefined) this.#request("upgrade", () => this.#options.upgrade());
    else zwarn(`ignored a SIGUSR2: ${obstacle}`);
  }

  /** The same and more for the clients of the control socket, which wait for the outcome. */
  get ofClients(): Pick<
    MasterControlOptions,
    "underWay" | "reload" | "change" | "upgrade" | "stop"
  > {
    const { changes, stops, parts, upgrade } = this.#options;
    return {
      underWay: () => this.#underWay(),
      // A SIGHUP that arrives while the reload of named services waits is still needed.
      reload: (services, signal) =>
        changes.request(
          services === undefined ? "reload" : "services",
          () => this.#reload(services),
          requestOf(RELOAD.name, services, signal),
        ),
      change: (what, services, signal) =>
        changes.request("services", async () => {
          const { serviceChanges, control } = parts();
          const report = await serviceChanges.change(what, services);
          control.follow();
          return report;
        }, requestOf(what, services, signal)),
      upgrade: (signal) => {
        const obstacle = this.#obstacleToUpgrade();
        if (obstacle !== undefined) throw new ServiceError("busy", `Cannot upgrade: ${obstacle}`);
        return changes.request("upgrade", upgrade, requestOf("upgrade", undefined, signal));
      },
      stop: () => {
        // Only a signal shortens a stop: who asks again may just want to wait for it.
        if (!stops.hasAny) this.stop();
        return stops.finished;
      },
    };
  }

  /** The change that is under way, for an operator; the start is none. */
  #underWay(): ChangeStatus | null {
    const { changes, parts } = this.#options;
    const { kind = "start", name = "", atMs = 0, sinceMs = 0 } = changes.current ?? {};
    if (kind === "start") return null;
    const { supervisor: { rollingOut: services } } = parts();
    const elapsedMs = Math.round(systemClock.nowMs() - sinceMs);
    const limitMs = kind === "upgrade" ? setting(MASTER_UPGRADE_TIMEOUT) : null;
    return { kind, name, services, atMs, elapsedMs, limitMs };
  }

  /** Reads the configuration and rolls it out; with services, only their parts of it. */
  async #reload(services?: readonly string[]): Promise<ReloadReport> {
    const { duty, control, reloads } = this.#options.parts();
    await duty.repairLog();
    control.repair();
    const report = await reloads.reload(services && new Set(services));
    control.follow();
    return report;
  }

  /** Queues a change that a signal asks for, unless one of its kind waits already. */
  #request(kind: "reload" | "upgrade", change: () => Promise<unknown>): void {
    const { changes } = this.#options;
    if (changes.insist(kind)) return;
    changes.request(kind, change).catch((error) => {
      // A bug in this program; the master continues, and accepts further changes.
      if (!(error instanceof ServiceError)) zerror("unexpected error:", error);
    });
  }

  #obstacleToUpgrade(): string | undefined {
    const { phase, changes, parts, retirement } = this.#options;
    const newMaster = retirement()?.newMaster;
    if (newMaster !== undefined) return `process ${newMaster.pid} has taken over`;
    const isNew = parts().oldMaster !== undefined && phase.is("starting");
    return isNew || changes.current?.kind === "upgrade" ? "an upgrade is under way" : undefined;
  }
}

/** A request of a client of the control socket for a change, of some services or of all. */
function requestOf(
  what: string,
  services: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): ChangeRequest {
  const name = services === undefined ? what : nameOfChange(what, services);
  return { name, key: JSON.stringify([what, services]), signal, isBounded: true };
}
