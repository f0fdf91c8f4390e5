/**
 * The services that an operator names: as the master does, without `.cf`, or by the path of the file.
 *
 * @module
 */
import type { ControlClient } from "../control/client.ts";

const ENDING = /\.cf$/i;

/**
 * The ids of the services that are named. A name that no service has is left to the master, whose
 * error names a similar one.
 *
 * @param master The connection to the master.
 * @param names The names.
 */
export async function serviceIds(
  master: ControlClient,
  names: readonly string[],
): Promise<string[]> {
  // Whole names are the master's own, and need no question.
  if (names.every((name) => ENDING.test(name) && !name.includes("/"))) return [...names];
  const { services } = await master.request("status"), known = services.map(({ id }) => id);
  return names.map((name) => idOf(name, known));
}

/** The id of one service, as {@linkcode serviceIds} gives it. */
export async function serviceId(master: ControlClient, name: string): Promise<string> {
  return (await serviceIds(master, [name]))[0];
}

function idOf(name: string, known: readonly string[]): string {
  if (known.includes(name)) return name;
  const file = name.replace(/^.*\//, "");
  if (ENDING.test(file)) return file;
  const [id, another] = known.filter((one) => one.replace(ENDING, "") === file);
  return id === undefined || another !== undefined ? name : id;
}
