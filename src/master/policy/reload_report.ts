/**
 * The result of a reload or of another change of services. Pure.
 *
 * @module
 */
import { cannot, type Problem } from "../../config/errors.ts";
import { nearest } from "../../config/nearest.ts";
import { serviceName } from "../../config/service.ts";
import type { ReloadPlan } from "./reload_plan.ts";

/** Services whose change was undone together, and why. */
export interface UndoneReload {
  readonly services: readonly string[];
  readonly reason: string;
}

/** The result of a reload. */
export interface ReloadReport {
  /** When it began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** The time until its outcome was known. */
  readonly durationMs: number;
  /** Why the whole configuration was refused; nothing was begun then. */
  readonly refusal?: Error;
  /** The outcome, on one line. */
  readonly text: string;
  /** The plan of the reload. */
  readonly plan?: ReloadPlan;
  /** The services whose reload was undone, and why. */
  readonly undone: readonly UndoneReload[];
  /** What is only suspicious in the settings that were read. */
  readonly warnings?: readonly Problem[];
}

/** What an operator does to services of the configuration that is in force. */
export type ServiceChange = "restart" | "start" | "stop";

/** A change of services that can't be made. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";

  /**
   * @param code Whether no service has the id, or the change can't be made now.
   * @param message The text for the operator.
   */
  constructor(readonly code: "unknown-service" | "busy", message: string) {
    super(message);
  }
}

/** Whether any part of a reload is in use. */
export function isAccepted(
  { refusal, plan, undone }: Pick<ReloadReport, "refusal" | "plan" | "undone">,
): boolean {
  if (refusal !== undefined) return false;
  // If no group has passed, the old configuration remains as a whole.
  return undone.length < plan!.groups.length || undone.length === 0;
}

/** How a change has ended, in one word. */
export function outcomeOf(
  { refusal, undone }: Pick<ReloadReport, "refusal" | "undone">,
): "committed" | "rolled back" | "refused" {
  if (refusal !== undefined) return "refused";
  return undone.length > 0 ? "rolled back" : "committed";
}

function oneOf(ids: readonly string[]): string {
  if (ids.length === 0) return "no name, since there is no service";
  return ids.length === 1 ? ids[0] : `one of ${ids.join(" ")}`;
}

/**
 * The error of a name that no service has.
 *
 * @param id The name.
 * @param known The ids of all services.
 */
export function unknownService(id: string, known: Iterable<string>): ServiceError {
  const ids = [...new Set(known)].sort();
  // An operator may leave the ending out.
  const byName = new Map(ids.map((one) => [serviceName(one), one]));
  const expected = nearest(id, ids) ?? byName.get(nearest(id, byName.keys()) ?? "") ?? oneOf(ids);
  return new ServiceError(
    "unknown-service",
    cannot("find the service", id, { found: "no service has this name", expected }),
  );
}
