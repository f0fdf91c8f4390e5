/**
 * `scale`: sets the number of processes of a service.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, showProgress, withMaster } from "./connect.ts";

/** Runs the command. */
export async function run({ operands: [service, count], settings }: CommandCall): Promise<number> {
  if (!/^[0-9]{1,6}$/.test(count)) {
    const about = { found: "no whole number", expected: "a number of processes, such as 4" };
    return fail(cannot("scale to", count, about), EXIT.usage);
  }
  return await withMaster(settings, async (master) => {
    const args = { service, count: Number(count) };
    const { before, now } = await master.request("scale", args, { onProgress: showProgress });
    console.log(`${service}: ${now} processes until the next reload, ${before} before`);
    return EXIT.ok;
  });
}
