/**
 * All contenders. A new one is one more record here, and takes part in whatever fits it.
 *
 * @module
 */
import { BY_HAND } from "./by_hand.ts";
import { CLUSTERS } from "./clusters.ts";
import type { Contender } from "./contender.ts";
import { LIBZC } from "./libzc.ts";
import { MASTERS } from "./master.ts";
import { NGINX } from "./nginx.ts";

/** Every contender, in the order of the tables. */
export const CONTENDERS: readonly Contender[] = [
  ...MASTERS,
  ...BY_HAND,
  ...CLUSTERS,
  NGINX,
  ...LIBZC,
];

/**
 * The contender of a name.
 *
 * @param name Its name.
 * @throws {Error} When there is none.
 */
export function contender(name: string): Contender {
  const found = CONTENDERS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`Cannot find contender "${name}"`);
  return found;
}
