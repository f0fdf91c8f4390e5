/**
 * `restart`: replaces the processes of services, or stops and starts the master.
 *
 * @module
 */
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, showProgress, withMaster } from "./connect.ts";
import { startDaemon } from "./start.ts";
import { stopMaster } from "./stop.ts";

/** Runs the command. */
export async function run({ operands, settings, masterArgs }: CommandCall): Promise<number> {
  if (operands.length > 0) {
    return await withMaster(settings, async (master) =>
      showOutcome(
        await master.request("restart", { services: operands }, { onProgress: showProgress }),
      ));
  }
  const code = await withMaster(settings, stopMaster);
  return code === EXIT.ok ? await startDaemon({ settings, masterArgs }) : code;
}
