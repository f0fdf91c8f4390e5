/**
 * The plan of a reload as a value: the differences between the running and the wanted
 * configuration.
 *
 * @module
 */
import { keysOf } from "../../config/endpoints.ts";
import type { ServiceConfig } from "../../config/service.ts";

/** The differences between the running configuration and the next one. */
export interface ReloadPlan {
  /** Keys of the listeners whose sockets are kept. */
  readonly kept: readonly string[];
  /** Keys of the listeners to open. */
  readonly opened: readonly string[];
  /** Keys of the listeners to close. */
  readonly closed: readonly string[];
  /** Ids of the new services. */
  readonly added: readonly string[];
  /** Ids of the removed services. */
  readonly removed: readonly string[];
  /** Ids of the services whose processes are replaced. */
  readonly replaced: readonly string[];
  /**
   * Ids of the services that are left alone: `server-reload` says so, and their settings are
   * unchanged.
   */
  readonly left: readonly string[];
  /**
   * The services that are added, removed or replaced, in groups that succeed or fail together.
   * Services between which an address moves form a group: else neither or both would serve the
   * address.
   */
  readonly groups: readonly (readonly string[])[];
}

/**
 * Computes the plan of a reload.
 *
 * @param running The running listeners and services.
 * @param wanted All services of the next configuration.
 */
export function planReload(
  running: {
    readonly listeners: ReadonlySet<string>;
    readonly services: readonly ServiceConfig[];
    /** Ids of the failed services, which are replaced in any case. */
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

/** The pairs of services between which an address moves. */
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

/** Groups ids that are connected by pairs, directly or through others. */
function groupsOf(
  ids: ReadonlySet<string>,
  pairs: readonly (readonly [string, string])[],
): string[][] {
  const groupOf = new Map([...ids].map((id) => [id, [id]]));
  for (const [one, other] of pairs) {
    const first = groupOf.get(one), second = groupOf.get(other);
    // A service that is left alone keeps its addresses. If another one names one of them too, the
    // reload is refused for it.
    if (first === undefined || second === undefined || first === second) continue;
    first.push(...second);
    for (const id of second) groupOf.set(id, first);
  }
  return [...Map.groupBy(ids, (id) => groupOf.get(id)).values()];
}

/**
 * Writes a plan on one line.
 *
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
