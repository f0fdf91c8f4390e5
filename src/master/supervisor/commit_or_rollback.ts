/**
 * The end of a rollout: a group of services whose candidates have passed is committed, and one with a
 * failed candidate is rolled back.
 *
 * @module
 */
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { ListenerTable } from "../listeners/table.ts";
import type { RolloutOutcome } from "../policy/decision.ts";
import type { Service } from "../policy/model.ts";
import type { ListenerRelease } from "./listener_release.ts";
import type { Ports } from "./ports.ts";
import { Rollout, type RolloutGroup } from "./rollout.ts";
import type { UndoneReload } from "../policy/reload_report.ts";
import { configsOf, type ServiceTable } from "./service_table.ts";

/** What the end of a rollout uses of the other parts of the supervisor. */
export interface RolloutsOptions {
  readonly services: ServiceTable;
  readonly table: ListenerTable;
  readonly release: ListenerRelease;
  /** The present outcome of a service's rollout. */
  outcomeOf(service: Service): RolloutOutcome | undefined;
  reconcile(service: Service): void;
}

/** The rollouts of a master, one at a time. */
export class Rollouts {
  readonly #ports: Pick<Ports, "log">;
  readonly #options: RolloutsOptions;
  #rollout = new Rollout([]);

  /**
   * @param ports The access to the system.
   * @param options The other parts of the supervisor.
   */
  constructor(ports: Pick<Ports, "log">, options: RolloutsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Whether a rollout is under way. */
  get isUnderWay(): boolean {
    return this.#rollout.open.size > 0;
  }

  /** The services without an outcome. */
  get open(): readonly string[] {
    return [...this.#rollout.open].flatMap(({ ids }) => ids);
  }

  /**
   * Gives services their candidates. The rollout goes on with {@linkcode start}.
   *
   * @param groups The ids of the services that succeed or fail together.
   * @param version The configurations and the generation of the new version; a service without a
   * configuration is removed.
   */
  prepare(
    groups: readonly (readonly string[])[],
    version: {
      readonly configs: ReadonlyMap<string, ResolvedService>;
      readonly generation: number;
    },
  ): void {
    this.#rollout = new Rollout(groups.map((ids) => this.#group(ids, version)));
  }

  #group(
    ids: readonly string[],
    { configs, generation }: {
      readonly configs: ReadonlyMap<string, ResolvedService>;
      readonly generation: number;
    },
  ): RolloutGroup {
    const members: Service[] = [], removed: Service[] = [];
    for (const id of ids) {
      const service = this.#options.services.of(id), config = configs.get(id);
      (config === undefined ? removed : members).push(service);
      if (config !== undefined) service.candidate = { config, generation, startAtMs: 0, left: 0 };
    }
    return { ids, members, removed };
  }

  /**
   * Starts the candidate workers.
   *
   * @returns The undone reloads, once every group has an outcome. Never rejects.
   */
  start(): Promise<readonly UndoneReload[]> {
    const rollout = this.#rollout;
    for (const group of [...rollout.open]) {
      for (const member of group.members) this.#options.reconcile(member);
      // A group without members can't fail.
      if (group.members.length === 0) this.#commitIfPassed(group);
    }
    return rollout.outcome;
  }

  /** Commits or rolls back the group of a service, if its outcome is known. */
  onOutcome(service: Service, outcome: RolloutOutcome): void {
    const group = this.#rollout.groupOf(service);
    if (group === undefined) return;
    if (outcome.is === "passed") this.#commitIfPassed(group);
    if (outcome.is === "failed") this.#rollBack(group, outcome.reason);
  }

  /** Drops all candidates. */
  abandon(reason: string): void {
    for (const group of this.#rollout.open) this.#rollout.fail(group, reason);
  }

  /** Makes the candidates of a group the current versions once all of them have passed. */
  #commitIfPassed(group: RolloutGroup): void {
    const { members, removed } = group, { table, release, outcomeOf, reconcile } = this.#options;
    if (members.some((member) => outcomeOf(member)?.is !== "passed")) return;
    const before = configsOf([...members, ...removed], "current");
    this.#rollout.pass(group);
    const after = configsOf(members, "current");
    for (const config of after) table.keep(config);
    for (const member of members) member.unservedSlots.clear();
    release.closeUnnamed(before, after, () => [...members, ...removed].forEach(reconcile));
  }

  /** Returns the services of a group to their state before the reload. */
  #rollBack(group: RolloutGroup, reason: string): void {
    const { ids, members, removed } = group, { release, reconcile } = this.#options;
    this.#ports.log(`reload rolled back for ${ids.join(" ")}: ${reason}`, "error");
    const before = configsOf(members, "candidate");
    this.#rollout.fail(group, reason);
    const after = configsOf([...members, ...removed], "current");
    release.closeUnnamed(before, after, () => members.forEach(reconcile));
  }
}
