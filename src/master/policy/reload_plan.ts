/**
 * What a reload will do, as a value: worked out from what runs and what is wanted, and done
 * nowhere in this file.
 *
 * @module
 */
import { keysOf, type ServiceConfig } from "../../config/service.ts";

/** The differences between the configuration in force and the next one. */
export interface ReloadPlan {
  /** Keys of the listeners that stay the very same sockets. */
  readonly kept: readonly string[];
  /** Keys of the listeners to open. */
  readonly opened: readonly string[];
  /** Keys of the listeners to close. */
  readonly closed: readonly string[];
  /** Ids of the services that are new. */
  readonly added: readonly string[];
  /** Ids of the services that are gone. */
  readonly removed: readonly string[];
  /** Ids of the services whose processes are replaced. */
  readonly replaced: readonly string[];
  /** Ids of the services that are left alone: they ask for it, and nothing of theirs has changed. */
  readonly left: readonly string[];
  /**
   * The services that are added, removed or replaced, those together that succeed or fail together:
   * where an address moves from one to another, it would else be served by neither, or by both.
   */
  readonly groups: readonly (readonly string[])[];
}

/**
 * Works out what a reload will do.
 *
 * @param running The listeners and services that there are.
 * @param wanted All services of the next configuration.
 * @returns The plan.
 */
export function planReload(
  running: {
    readonly listeners: ReadonlySet<string>;
    readonly services: readonly ServiceConfig[];
    /** Ids of the services that have failed, and are to be tried again in any case. */
    readonly failed?: ReadonlySet<string>;
  },
  wanted: readonly ServiceConfig[],
): ReloadPlan {
  const keys = new Set(wanted.flatMap(keysOf));
  const ids = new Set(wanted.map((service) => service.id));
  const before = new Map(running.services.map((service) => [service.id, service]));
  const isLeft = ({ id, reload, fingerprint }: ServiceConfig) =>
    reload === "changed" && !running.failed?.has(id) && before.get(id)?.fingerprint === fingerprint;
  const left = new Set(wanted.filter(isLeft).map(({ id }) => id));
  const runningIds = new Set(before.keys());
  const changed = ids.union(runningIds).difference(left);
  return {
    kept: [...keys.intersection(running.listeners)],
    opened: [...keys.difference(running.listeners)],
    closed: [...running.listeners.difference(keys)],
    added: [...ids.difference(runningIds)],
    removed: [...runningIds.difference(ids)],
    replaced: [...ids.intersection(runningIds).difference(left)],
    left: [...left],
    groups: groupsOf(changed, movesBetween(running.services, wanted)),
  };
}

/** The pairs of services of which one takes an address over from the other. */
function movesBetween(
  before: readonly ServiceConfig[],
  after: readonly ServiceConfig[],
): [from: string, to: string][] {
  const owners = new Map(before.flatMap((service) => keysOf(service).map((k) => [k, service.id])));
  return after.flatMap((service) =>
    keysOf(service).flatMap((key): [string, string][] => {
      const owner = owners.get(key);
      return owner === undefined || owner === service.id ? [] : [[owner, service.id]];
    })
  );
}

/** Puts together what is connected by pairs, directly or by way of others. */
function groupsOf(
  ids: ReadonlySet<string>,
  pairs: readonly (readonly [string, string])[],
): string[][] {
  const groupOf = new Map([...ids].map((id) => [id, [id]]));
  for (const [one, other] of pairs) {
    const first = groupOf.get(one), second = groupOf.get(other);
    // One that is left alone gives nothing away: then both name the address, which is refused.
    if (first === undefined || second === undefined || first === second) continue;
    first.push(...second);
    for (const id of second) groupOf.set(id, first);
  }
  return [...Map.groupBy(ids, (id) => groupOf.get(id)).values()];
}

/**
 * Writes a plan on one line.
 *
 * @param plan The plan.
 * @returns Such as `listeners: 2 kept, opened 0.0.0.0:80; services: added web.cf`.
 */
export function describePlan(plan: ReloadPlan): string {
  const named = (names: readonly string[], what: string) =>
    names.length === 0 ? [] : [`${what} ${names.join(" ")}`];
  const counted = (names: readonly string[], what: string) =>
    names.length === 0 ? [] : [`${names.length} ${what}`];
  const listeners = [
    ...counted(plan.kept, "kept"),
    ...named(plan.opened, "opened"),
    ...named(plan.closed, "closed"),
  ];
  const services = [
    ...counted(plan.replaced, "replaced"),
    ...counted(plan.left, "left alone"),
    ...named(plan.added, "added"),
    ...named(plan.removed, "removed"),
  ];
  const list = (parts: readonly string[]) => parts.join(", ") || "none";
  return `listeners: ${list(listeners)}; services: ${list(services)}`;
}
