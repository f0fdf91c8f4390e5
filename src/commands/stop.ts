/**
 * `stop`: stops services, or the master, and waits for the end.
 *
 * @module
 */
import type { ControlClient } from "../control/client.ts";
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, showProgress, withMaster } from "./connect.ts";
import { serviceIds } from "./service_ids.ts";

/** Runs the command. */
export function run({ operands, options, settings }: CommandCall): Promise<number> {
  return withMaster(settings, async (master) => {
    const waits = !options["no-wait"];
    if (operands.length === 0 && waits) return await stopMaster(master);
    const services = await serviceIds(master, operands);
    const args = { ...(services.length > 0 && { services }), wait: waits };
    const outcome = await master.request("stop", args, { onProgress: showProgress });
    return outcome === null ? EXIT.ok : showOutcome(outcome);
  });
}

/**
 * Stops a master, and waits until its process has ended.
 *
 * @param master The connection to it.
 * @returns The exit code.
 */
export async function stopMaster(master: ControlClient): Promise<number> {
  const { pid } = await master.request("hello");
  await master.request("stop", {}, { onProgress: showProgress });
  // The connection ends with the process.
  await master.closed();
  console.log(`master ${pid} has stopped`);
  return EXIT.ok;
}
