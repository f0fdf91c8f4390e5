/**
 * The plan of a reload as a value: the differences between the running and the wanted
 * configuration.
 *
 * @module
 */
import type { Problem } from "../../config/errors.ts";
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
  /** For each service, why it is added, removed, replaced or left alone. */
  readonly reasons: ReadonlyMap<string, string>;
}

/** The plan of a reload that is not made, and what is only suspicious in the settings. */
export interface PlannedReload {
  readonly plan: ReloadPlan;
  readonly warnings: readonly Problem[];
}

/**
 * Computes the plan of a reload.
 *
 * @param running The running listeners and services.
 * @param wanted All services of the next configuration.
 * @param only The ids of the services that an operator has named; all others are left alone, and
 * these are not.
 */
export function planReload(
  running: {
    readonly listeners: ReadonlySet<string>;
    readonly services: readonly ServiceConfig[];
    /** Ids of the failed services, which are replaced in any case. */
    readonly failed?: ReadonlySet<string>;
    /** Ids of the services whose numbers of processes were changed since the last reload. */
    readonly scaled?: ReadonlySet<string>;
  },
  wanted: readonly ServiceConfig[],
  only?: ReadonlySet<string>,
): ReloadPlan {
  const keys = new Set(wanted.flatMap(keysOf));
  const ids = new Set(wanted.map((service) => service.id));
  const before = new Map(running.services.map((service) => [service.id, service]));
  const reasons = new Map<string, string>(), left = new Set<string>();
  for (const service of wanted) {
    const { isLeft, why } = fateOf(service, before.get(service.id), { ...running, only });
    reasons.set(service.id, why);
    if (isLeft) left.add(service.id);
  }
  for (const id of before.keys()) {
    if (!ids.has(id)) reasons.set(id, "it has no settings any more");
  }
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
    reasons,
  };
}

/** The plan of a stop, whose services keep their settings. */
export function stopPlan(plan: ReloadPlan): ReloadPlan {
  const why = "it is stopped until the next reload";
  return {
    ...plan,
    reasons: new Map([...plan.reasons, ...plan.removed.map((id) => [id, why] as const)]),
  };
}

/** Why a service is changed that an operator has named. */
const NAMED = "it was named";

/** Whether a service is left alone, and why it is or is not. */
function fateOf(
  { id, reload, fingerprint }: ServiceConfig,
  before: ServiceConfig | undefined,
  { failed, scaled, only }: {
    readonly failed?: ReadonlySet<string>;
    readonly scaled?: ReadonlySet<string>;
    readonly only?: ReadonlySet<string>;
  },
): { readonly isLeft: boolean; readonly why: string } {
  if (only !== undefined) {
    return only.has(id)
      ? { isLeft: false, why: NAMED }
      : { isLeft: true, why: "only other services were named" };
  }
  if (before === undefined) return { isLeft: false, why: "it is new" };
  if (reload !== "changed") return { isLeft: false, why: `server-reload = ${reload}` };
  if (failed?.has(id)) return { isLeft: false, why: "it has failed" };
  if (before.fingerprint !== fingerprint) {
    return { isLeft: false, why: "its settings or files have changed" };
  }
  return {
    isLeft: true,
    why: scaled?.has(id)
      ? "only its number of processes is that of its settings again"
      : "nothing of it has changed",
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
export function describePlan(plan: Omit<ReloadPlan, "reasons">): string {
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
