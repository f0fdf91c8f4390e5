/**
 * The trials of one reload: which services succeed or fail together, and what has come of them.
 *
 * @module
 */
import { freshStart, type Service } from "../policy/model.ts";

/** Services whose reload was undone, together, and why. */
export interface UndoneReload {
  readonly services: readonly string[];
  readonly reason: string;
}

/** Services that succeed or fail together. */
export interface RolloutGroup {
  readonly ids: readonly string[];
  /** Those with a version on trial. */
  readonly members: readonly Service[];
  /** Those that go if the trials of the others succeed. */
  readonly removed: readonly Service[];
}

/** The trials of a reload that is under way. */
export class Rollout {
  readonly #open: Set<RolloutGroup>;
  readonly #groups = new Map<Service, RolloutGroup>();
  readonly #undone: UndoneReload[] = [];
  readonly #outcome = Promise.withResolvers<readonly UndoneReload[]>();

  /** @param groups All trials. */
  constructor(groups: readonly RolloutGroup[]) {
    this.#open = new Set(groups);
    for (const group of groups) {
      for (const member of group.members) this.#groups.set(member, group);
    }
    this.#resolveIfOver();
  }

  /** What came of them: all that were undone. Never rejects. */
  get outcome(): Promise<readonly UndoneReload[]> {
    return this.#outcome.promise;
  }

  /** Those that have neither passed nor failed. */
  get open(): ReadonlySet<RolloutGroup> {
    return this.#open;
  }

  /**
   * The group of a service that is still on trial.
   *
   * @param service The service.
   */
  groupOf(service: Service): RolloutGroup | undefined {
    const group = this.#groups.get(service);
    return group && this.#open.has(group) ? group : undefined;
  }

  /**
   * Puts the versions of a group into force.
   *
   * @param group The group, all of whose members have passed.
   */
  pass(group: RolloutGroup): void {
    for (const member of group.members) {
      const { config, generation, startAtMs, extra = 0 } = member.candidate!;
      // New settings may have mended what made the old processes die early.
      Object.assign(member, {
        current: { config, generation },
        candidate: undefined,
        ...freshStart(startAtMs),
        extra,
      });
    }
    for (const service of group.removed) service.current = undefined;
    this.#end(group);
  }

  /**
   * Drops the trials of a group, whose processes are then of no version any more.
   *
   * @param group The group.
   * @param reason Why.
   */
  fail(group: RolloutGroup, reason: string): void {
    for (const member of group.members) member.candidate = undefined;
    this.#undone.push({ services: group.ids, reason });
    this.#end(group);
  }

  #end(group: RolloutGroup): void {
    this.#open.delete(group);
    this.#resolveIfOver();
  }

  #resolveIfOver(): void {
    if (this.#open.size === 0) this.#outcome.resolve(this.#undone);
  }
}
