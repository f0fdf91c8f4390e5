/**
 * `upgrade`: replaces the master by a new one.
 *
 * @module
 */
import { ControlRequestError } from "../control/client.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, showProgress, withMaster } from "./connect.ts";

/** Runs the command. */
export function run({ settings }: CommandCall): Promise<number> {
  return withMaster(settings, async (master) => {
    const { pid: before } = await master.request("hello");
    try {
      const { pid } = await master.request("upgrade", {}, { onProgress: showProgress });
      console.log(`master ${pid} has taken over from ${before}`);
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof ControlRequestError) || error.failure.code !== "failed") throw error;
      return fail(error.message, EXIT.failed);
    }
  });
}
