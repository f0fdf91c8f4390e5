/**
 * The slots of a service: as many as it has processes. A process that takes the place of another gets
 * its slot, and with it the same sockets (docs/design/12_balance.md).
 *
 * @module
 */
import type { Endpoint } from "../config/address.ts";
import type { ServiceConfig } from "../config/service.ts";
import { isServing, type Service, type Version } from "./tables.ts";

/**
 * How many sockets a service has for one of its addresses.
 *
 * @param service The service.
 * @param endpoint The address. Only TCP knows sockets with a queue each.
 * @returns The number, at least 1; undefined where all of its processes share one.
 */
export function slotsOf(
  { balance, procCount }: Pick<ServiceConfig, "balance" | "procCount">,
  { kind }: Endpoint,
): number | undefined {
  return balance === "reuseport" && kind === "inet" ? Math.max(1, procCount) : undefined;
}

/**
 * The slot for the next process: the lowest one that the fewest processes of the version have.
 *
 * @param service The service.
 * @param version The version of the process.
 */
export function nextSlot(
  { workers }: Pick<Service, "workers">,
  { generation, config: { procCount } }: Version,
): number {
  const used = new Array<number>(Math.max(1, procCount)).fill(0);
  for (const worker of workers) {
    if (worker.generation === generation && isServing(worker)) used[worker.slot]++;
  }
  return used.indexOf(used.reduce((least, count) => Math.min(least, count)));
}
