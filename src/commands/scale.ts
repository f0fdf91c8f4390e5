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
  const found = faultOf(count);
  if (found !== undefined) {
    const stops = found === NONE ? `, or zc stop ${name}` : "";
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

const NONE = "no process at all";

/** Why a text is no number of processes. */
function faultOf(text: string): string | undefined {
  if (!/^-?[0-9]+$/.test(text)) return "not a whole number";
  const count = Number(text);
  if (count > MOST_PROCESSES) return `above ${MOST_PROCESSES}`;
  return count > 0 ? undefined : count < 0 ? "below 1" : NONE;
}
