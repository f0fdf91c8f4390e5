/**
 * `upgrade`: replaces the master by a new one.
 *
 * @module
 */
import { formatProblem } from "../config/errors.ts";
import { ControlRequestError } from "../control/client.ts";
import { look } from "./check.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, showProgress, withMaster } from "./connect.ts";

/** Runs the command. */
export function run(call: CommandCall): Promise<number> {
  return withMaster(call.settings, async (master) => {
    const { pid: before } = await master.request("hello");
    try {
      const { pid } = await master.request("upgrade", {}, { onProgress: showProgress });
      console.log(`master ${pid} has taken over from ${before}`);
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof ControlRequestError) || error.failure.code !== "failed") throw error;
      const code = fail(error.message, EXIT.failed);
      // The new master writes them to the log only.
      const { problems } = await look(call);
      return problems.length === 0 ? code : fail(problems.map(formatProblem).join("\n"), code);
    }
  });
}
