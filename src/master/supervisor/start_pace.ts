/**
 * The pace of starts: a bounded number in one turn of the event loop, shared fairly among services.
 *
 * A start takes a millisecond or more in which the master does nothing else. A large service that
 * crashes all the time would otherwise keep it from its signals and from other services.
 *
 * @module
 */
import type { Action } from "../policy/decision.ts";
import type { Service } from "../policy/model.ts";

/** So many starts take some tens of milliseconds. */
export const STARTS_PER_TURN = 16;

/** What a pace needs. */
export interface StartPaceOptions {
  /** Calls back in a later turn of the event loop; without it nothing is bounded. */
  readonly afterTurn?: (callback: () => void) => void;
  /** Looks at a service whose turn it is. */
  readonly onTurn: (service: Service) => void;
}

/** Decides how many of the starts that services ask for are made now; the others wait. */
export class StartPace {
  readonly #options: StartPaceOptions;
  /** Those that have had less than they asked for; the one that has waited the longest is first. */
  readonly #waiting = new Set<Service>();
  #left = STARTS_PER_TURN;
  /** How many of them the service may have that is looked at. */
  #share = Infinity;
  #isTurnAwaited = false;

  /** @param options What it needs. */
  constructor(options: StartPaceOptions) {
    this.#options = options;
  }

  /**
   * Leaves out the starts that have to wait: the service is looked at again for them.
   *
   * @param service The service.
   * @param actions What is to be done for it.
   * @returns What is to be done for it now.
   */
  bound(service: Service, actions: readonly Action[]): readonly Action[] {
    if (this.#options.afterTurn === undefined) return actions;
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
    this.#options.afterTurn!(() => this.#takeTurn());
  }

  /** The services that wait get one start after the other, in turns. */
  #takeTurn(): void {
    this.#isTurnAwaited = false;
    this.#left = STARTS_PER_TURN;
    for (const service of this.#waiting) {
      if (this.#left === 0) break;
      this.#share = this.#waiting.size === 1 ? this.#left : 1;
      // One that wants more comes last again, and in the same turn once the others have had theirs.
      this.#waiting.delete(service);
      this.#options.onTurn(service);
    }
    this.#share = Infinity;
  }
}
