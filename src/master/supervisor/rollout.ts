/**
 * The rollout of one reload: which services succeed or fail together, and their outcome.
 *
 * @module
 */
import type { UndoneReload } from "../policy/reload_report.ts";
import { freshStart, type Service } from "../policy/model.ts";

/** Services that succeed or fail together. */
export interface RolloutGroup {
  readonly ids: readonly string[];
  /** The services with a candidate. */
  readonly members: readonly Service[];
  /** The services that are removed if the candidates of the others pass. */
  readonly removed: readonly Service[];
}

/** The rollout of the reload that is under way. */
export class Rollout {
  readonly #open: Set<RolloutGroup>;
  readonly #groups = new Map<Service, RolloutGroup>();
  readonly #undone: UndoneReload[] = [];
  readonly #outcome = Promise.withResolvers<readonly UndoneReload[]>();

  /** @param groups All groups of the reload. */
  constructor(groups: readonly RolloutGroup[]) {
    this.#open = new Set(groups);
    for (const group of groups) {
      for (const member of group.members) this.#groups.set(member, group);
    }
    this.#resolveIfOver();
  }

  /** All undone reloads, once every group has an outcome. Never rejects. */
  get outcome(): Promise<readonly UndoneReload[]> {
    return this.#outcome.promise;
  }

  /** The groups without an outcome. */
  get open(): ReadonlySet<RolloutGroup> {
    return this.#open;
  }

  /** The open group of a service. */
  groupOf(service: Service): RolloutGroup | undefined {
    const group = this.#groups.get(service);
    return group && this.#open.has(group) ? group : undefined;
  }

  /**
   * Makes the candidates of a group the current versions.
   *
   * @param group The group, all of whose members have passed.
   */
  pass(group: RolloutGroup): void {
    for (const member of group.members) {
      const { config, generation, startAtMs, extra = 0 } = member.candidate!;
      // New settings may have fixed the cause of earlier failures.
      Object.assign(member, {
        current: { config, generation },
        candidate: undefined,
        ...freshStart(startAtMs),
        extra,
      });
    }
    for (const service of group.removed) {
      Object.assign(service, { current: undefined, ...freshStart(0) });
    }
    this.#end(group);
  }

  /**
   * Drops the candidates of a group; their workers belong to no version then.
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
