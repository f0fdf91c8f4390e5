/**
 * `scale`: sets the number of processes of a service.
 *
 * @module
 */
import { MOST_PROCESSES } from "../config/settings.ts";
import { cannot, counted } from "../config/errors.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, showProgress, withMaster } from "./connect.ts";
import { serviceId } from "./service_ids.ts";

/** Runs the command. */
export async function run({ operands, options, settings }: CommandCall): Promise<number> {
  const [name, count] = operands;
  if (!/^[0-9]+$/.test(count) || Number(count) < 1 || Number(count) > MOST_PROCESSES) {
    const found = /^0+$/.test(count) ? "no process at all" : "not such a number";
    const stops = /^0+$/.test(count) ? `, or zc stop ${name}` : "";
    const about = { found, expected: `a whole number from 1 to ${MOST_PROCESSES}${stops}` };
    return fail(cannot("scale to", count, about), EXIT.usage);
  }
  return await withMaster(settings, async (master) => {
    const service = await serviceId(master, name);
    const args = { service, count: Number(count), wait: !options["no-wait"] };
    const { before, now, problem } = await master.request("scale", args, {
      onProgress: showProgress,
    });
    const processes = counted(now, "process", "processes");
    console.log(`${service}: ${processes} until the next reload, ${before} before`);
    return problem === null ? EXIT.ok : fail(`${service}: ${problem}`, EXIT.failed);
  });
}
