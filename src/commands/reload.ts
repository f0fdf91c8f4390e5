/**
 * `reload`: reads the configuration again, and waits for the outcome.
 *
 * @module
 */
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, showProgress, withMaster } from "./connect.ts";
import { serviceIds } from "./service_ids.ts";

/** Runs the command. */
export function run({ operands, options, settings }: CommandCall): Promise<number> {
  return withMaster(settings, async (master) => {
    const services = await serviceIds(master, operands);
    const args = { ...(services.length > 0 && { services }), wait: !options["no-wait"] };
    const outcome = await master.request("reload", args, { onProgress: showProgress });
    return outcome === null ? EXIT.ok : showOutcome(outcome);
  });
}
