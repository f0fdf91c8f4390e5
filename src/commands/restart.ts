/**
 * `restart`: replaces the processes of services, or stops and starts the master.
 *
 * @module
 */
import { ConfigError } from "../config/errors.ts";
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { readConfiguration } from "./configuration.ts";
import { EXIT, showProgress, withMaster } from "./connect.ts";
import { serviceIds } from "./service_ids.ts";
import { startDaemon } from "./start.ts";
import { stopMaster } from "./stop.ts";

/** Runs the command. */
export async function run(call: CommandCall): Promise<number> {
  const { operands, settings, masterArgs } = call;
  if (operands.length > 0) {
    return await withMaster(settings, async (master) => {
      const services = await serviceIds(master, operands);
      return showOutcome(
        await master.request("restart", { services }, { onProgress: showProgress }),
      );
    });
  }
  const code = await withMaster(settings, async (master) => {
    // A master that could not start again must not be stopped.
    const { loaded: { problems } } = await readConfiguration(call);
    if (problems.length > 0) throw new ConfigError(problems);
    return await stopMaster(master);
  });
  return code === EXIT.ok ? await startDaemon({ settings, masterArgs }) : code;
}
