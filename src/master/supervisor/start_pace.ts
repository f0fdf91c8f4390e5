/**
 * The pace of starts: a limited number per turn of the event loop, shared fairly among services.
 *
 * A start blocks the master for a millisecond or more. Without a limit, a large service that
 * crashes all the time would keep the master from its signals and from other services.
 *
 * @module
 */
import type { Action } from "../policy/decision.ts";
import type { Service } from "../policy/model.ts";
import type { Ports } from "./ports.ts";

/** This number of starts takes some tens of milliseconds. */
export const STARTS_PER_TURN = 16;

/** Decides how many of the requested starts are made now; the others wait. */
export class StartPace {
  readonly #ports: Pick<Ports, "afterTurn">;
  readonly #onTurn: (service: Service) => void;
  /** The services with waiting starts; the longest waiting one is first. */
  readonly #waiting = new Set<Service>();
  #left = STARTS_PER_TURN;
  /** How many starts the service that is being reconciled may have. */
  #share = Infinity;
  #isTurnAwaited = false;

  /**
   * @param ports The access to the system; without `afterTurn` nothing is limited.
   * @param onTurn Reconciles a service whose turn it is.
   */
  constructor(ports: Pick<Ports, "afterTurn">, onTurn: (service: Service) => void) {
    this.#ports = ports;
    this.#onTurn = onTurn;
  }

  /**
   * Removes the starts that have to wait; the service is reconciled again for them.
   *
   * @param service The service.
   * @param actions The wanted actions.
   * @returns The actions to do now.
   */
  bound(service: Service, actions: readonly Action[]): readonly Action[] {
    if (this.#ports.afterTurn === undefined) return actions;
    return actions.flatMap((action): Action[] => {
      if (action.do === "startStandby") return this.#grant(service, 1) === 1 ? [action] : [];
      if (action.do !== "start") return [action];
      const count = this.#grant(service, action.count);
      return count > 0 ? [{ ...action, count }] : [];
    });
  }

  #grant(service: Service, wanted: number): number {
    const granted = Math.min(wanted, this.#left, this.#share);
    this.#left -= granted;
    this.#share -= granted;
    if (granted < wanted) this.#waiting.add(service);
    this.#awaitTurn();
    return granted;
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    this.#ports.afterTurn!(() => this.#takeTurn());
  }

  /** Gives the waiting services one start each, in turns. */
  #takeTurn(): void {
    this.#isTurnAwaited = false;
    this.#left = STARTS_PER_TURN;
    for (const service of this.#waiting) {
      if (this.#left === 0) break;
      this.#share = this.#waiting.size === 1 ? this.#left : 1;
      // A service that wants more is added again at the end, and is served in the same turn if any
      // starts are left.
      this.#waiting.delete(service);
      this.#onTurn(service);
    }
    this.#share = Infinity;
  }
}
