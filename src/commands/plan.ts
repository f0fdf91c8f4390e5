/**
 * `plan`: shows what a reload would change now.
 *
 * @module
 */
import { planLines, showWarnings } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, withMaster } from "./connect.ts";

/** Runs the command. */
export function run({ options, settings }: CommandCall): Promise<number> {
  return withMaster(settings, async (master) => {
    const plan = await master.request("plan");
    if (options.json) console.log(JSON.stringify(plan, undefined, 2));
    else {
      showWarnings(plan);
      for (const line of planLines(plan)) console.log(line);
    }
    return EXIT.ok;
  }, { onlyReads: true });
}
