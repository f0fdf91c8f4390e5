/**
 * `reload`: reads the configuration again, and waits for the outcome.
 *
 * @module
 */
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, showProgress, withMaster } from "./connect.ts";

/** Runs the command. */
export function run({ operands, options, settings }: CommandCall): Promise<number> {
  return withMaster(settings, async (master) => {
    const args = { ...(operands.length > 0 && { services: operands }), wait: !options["no-wait"] };
    const outcome = await master.request("reload", args, { onProgress: showProgress });
    return outcome === null ? EXIT.ok : showOutcome(outcome);
  });
}
