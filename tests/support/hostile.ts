/**
 * Services whose servers attack their master: `tests/support/servers/hostile.py` as `server-command`.
 *
 * @module
 */
import type { Master } from "./master.ts";

const PROGRAM = new URL("servers/hostile.py", import.meta.url).pathname;

/** The Python interpreter itself: what leads to it may be a script that opens files of its own. */
export async function python(): Promise<string> {
  const args = ["-c", "import sys; print(sys.executable)"];
  const { stdout } = await new Deno.Command("python3", { args }).output();
  return new TextDecoder().decode(stdout).trim();
}

/**
 * The settings of a service whose servers attack.
 *
 * @param attack The name of the attack, and the file that it leaves if it is to be made only once.
 * @param service Where it listens.
 * @param settings Further settings.
 */
export async function hostile(
  attack: string,
  service: string | number,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Record<string, string | number>> {
  return {
    "server-command": `${await python()} ${PROGRAM} ${attack}`,
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
  return (await master.logs(/^attack of \d+: (.*)\n/m, count))[1];
}
