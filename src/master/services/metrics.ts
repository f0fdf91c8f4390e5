/**
 * The built-in service that shows the status of its master (`metrics`).
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { ProgramLookup } from "./program_lookup.ts";

/** Its id; a service of a file has another one, with the end of its name. */
export const METRICS_ID = "metrics";

/** The user of the service among others, if it runs as another user than the master. */
export function metricsUser(
  services: readonly ServiceConfig[],
  { credentialsOf }: Pick<ProgramLookup, "credentialsOf">,
): number | undefined {
  const { user } = services.find(({ id }) => id === METRICS_ID) ?? {};
  return user === undefined ? undefined : credentialsOf({ user }).uid;
}
