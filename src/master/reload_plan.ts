/**
 * What a reload will do, as a value: worked out from what runs and what is wanted, and done
 * nowhere in this file.
 *
 * @module
 */
import type { ServiceConfig } from "../config/service.ts";

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
}

/**
 * Works out what a reload will do.
 *
 * @param running The listeners and services that there are.
 * @param wanted All services of the next configuration.
 * @returns The plan.
 */
export function planReload(
  running: { readonly listeners: ReadonlySet<string>; readonly services: ReadonlySet<string> },
  wanted: readonly ServiceConfig[],
): ReloadPlan {
  const keys = new Set(wanted.flatMap((service) => service.endpoints.map((e) => e.endpoint.key)));
  const ids = new Set(wanted.map((service) => service.id));
  return {
    kept: [...keys.intersection(running.listeners)],
    opened: [...keys.difference(running.listeners)],
    closed: [...running.listeners.difference(keys)],
    added: [...ids.difference(running.services)],
    removed: [...running.services.difference(ids)],
    replaced: [...ids.intersection(running.services)],
  };
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
  const listeners = [
    `${plan.kept.length} kept`,
    ...named(plan.opened, "opened"),
    ...named(plan.closed, "closed"),
  ];
  const services = [
    `${plan.replaced.length} replaced`,
    ...named(plan.added, "added"),
    ...named(plan.removed, "removed"),
  ];
  return `listeners: ${listeners.join(", ")}; services: ${services.join(", ")}`;
}
