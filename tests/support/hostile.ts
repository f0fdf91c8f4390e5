/**
 * Services whose servers attack their master: `tests/support/servers/hostile.py` as `server-command`.
 *
 * @module
 */
import type { Master } from "./master.ts";
import { plainPython } from "./python.ts";

const PROGRAM = new URL("servers/hostile.py", import.meta.url).pathname;

/**
 * The settings of a service whose servers attack.
 *
 * @param attack The name of the attack, and the file that it leaves if it is to be made only once.
 * @param service Where it listens.
 * @param settings Further settings.
 */
export function hostile(
  attack: string,
  service: string | number,
  settings: Readonly<Record<string, string | number>> = {},
): Record<string, string | number> {
  return {
    "server-command": [...plainPython(), PROGRAM, attack].join(" "),
    "server-protocol": "control",
    "server-service": typeof service === "number" ? `127.0.0.1:${service}` : service,
    ...settings,
  };
}

/**
 * Waits until servers have attacked.
 *
 * @param master Their master.
 * @param count How many.
 * @returns What came of the last attack.
 */
export async function attacked(master: Master, count = 1): Promise<string> {
  return (await master.logs(/attack of \d+: (.*)\n/, count))[1];
}
