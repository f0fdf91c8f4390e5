/**
 * Reconciles services: asks the policy for the actions that a service needs, and performs them, until
 * there are none left.
 *
 * Nothing is awaited in between, so that no event meets a half-changed state.
 *
 * @module
 */
import type { Timer } from "../../os/clock/clock.ts";
import { decide } from "../policy/decide.ts";
import type { Action, Decision } from "../policy/decision.ts";
import type { Worker } from "../policy/life.ts";
import type { Service } from "../policy/model.ts";
import { strengthOf } from "../policy/scaling.ts";
import type { Assignments } from "./assignments.ts";
import type { ListenerRelease } from "./listener_release.ts";
import type { Ports } from "./ports.ts";
import { StartPace } from "./start_pace.ts";
import type { WorkerPool } from "./worker_pool.ts";

/** What reconciliation uses of the other parts of the supervisor. */
export interface ReconcilerOptions {
  readonly pool: WorkerPool;
  readonly assignments: Assignments;
  readonly release: ListenerRelease;
  /** Whether an address of a worker is still served. */
  isServed(worker: Worker): boolean;
  /** Called when a service needs no more actions for now. */
  onReconciled(service: Service, decision: Decision): void;
}

/** Makes services what they are to be. */
export class Reconciler {
  readonly #ports: Pick<Ports, "clock" | "maxGenerations">;
  readonly #options: ReconcilerOptions;
  readonly #pace: StartPace;
  readonly #timers = new Map<Service, Timer>();

  /**
   * @param ports The access to the system.
   * @param options The other parts of the supervisor.
   */
  constructor(
    ports: Pick<Ports, "clock" | "maxGenerations" | "afterTurn">,
    options: ReconcilerOptions,
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#pace = new StartPace(ports, (service) => this.reconcile(service));
  }

  /** What the policy decides for a service now. */
  decide(service: Service): Decision {
    const nowMs = this.#ports.clock.nowMs(), maxGenerations = this.#ports.maxGenerations();
    return decide(service, { nowMs, maxGenerations });
  }

  /** Performs the actions for a service until the policy has none left. */
  reconcile(service: Service): void {
    const { assignments } = this.#options;
    this.#timers.get(service)?.cancel();
    this.#timers.delete(service);
    let decision: Decision;
    for (;;) {
      decision = this.decide(service);
      const actions = this.#pace.bound(service, decision.actions);
      if (actions.length === 0) break;
      // Steering comes first, so that a stopping worker still accepts the connections in its queue.
      assignments.steer(service, actions);
      this.#options.release.closeSurplusSlots();
      for (const action of actions) {
        this.#perform(service, action);
        // The replacement of a lost worker may have to wait; the other actions were decided before.
        if (action.do === "terminate" || action.do === "abort") break;
      }
    }
    assignments.steer(service);
    this.#options.release.closeSurplusSlots();
    if (decision.wakeAtMs !== undefined) this.#reconcileAt(service, decision.wakeAtMs);
    this.#options.onReconciled(service, decision);
  }

  /** Reconciles a service when what happens now is over. */
  reconcileSoon(service: Service): void {
    this.#reconcileAt(service, this.#ports.clock.nowMs());
  }

  #reconcileAt(service: Service, atMs: number): void {
    this.#timers.get(service)?.cancel();
    const delayMs = atMs - this.#ports.clock.nowMs();
    const timer = this.#ports.clock.setTimer(delayMs, () => this.reconcile(service));
    this.#timers.set(service, timer);
  }

  #perform(service: Service, action: Action): void {
    const { pool, assignments } = this.#options;
    switch (action.do) {
      case "start": {
        const { version } = action;
        const start = () => pool.start(service, version, assignments.next(service, version));
        for (let left = action.count; left > 0 && start();) left--;
        return;
      }
      case "activate":
        return pool.activate(service, action.worker, assignments.next(service, service.current!));
      case "startStandby":
        return pool.startStandby(service, action.version);
      case "softstop":
        return this.#softstop(action.worker);
      case "terminate":
        return pool.stops.terminate(service, action.worker);
      case "kill":
        return pool.stops.kill(action.worker);
      case "suspect":
        return pool.health.suspect(action.worker);
      case "abort":
        return pool.stops.abort(service, action.worker);
      case "recycle":
        return pool.health.recycle(action.worker);
      case "measure":
        return pool.health.measure(action.worker);
      case "scaleDown":
        service.demand = strengthOf(service) - 1;
        return this.#softstop(action.worker);
    }
  }

  #softstop(worker: Worker): void {
    const { pool, assignments, isServed } = this.#options;
    const closing = assignments.idleListeners(worker);
    pool.stops.softstop(worker, { replaced: isServed(worker), closing });
  }
}
