/**
 * How a new master takes over from the old one.
 *
 * @module
 */
import { MASTER_MAX_GENERATIONS } from "../config/settings.ts";
import { zinfo, zwarn } from "../log/log.ts";
import type { CommandSockets } from "./control/master_control.ts";
import type { MasterParts } from "./master_parts.ts";
import { type NewConfiguration, setting } from "./services/configuration.ts";
import type { Inheritance, OldMaster } from "./upgrade/old_master.ts";

/**
 * Takes over from the old master, once all services of this one have passed.
 *
 * @param parts The parts of this master.
 * @param oldMaster The old master.
 * @param options Its configuration, the socket of the old master's log service, and the files of its
 * other sockets.
 * @returns Whether that was possible; if not, the old master continues.
 */
export async function takeOver(
  { reloads, stops, duty, control, listeners, counts }: MasterParts,
  oldMaster: OldMaster,
  { candidate, logSocket, ...sockets }: Pick<Inheritance, "logSocket"> & CommandSockets & {
    readonly candidate: NewConfiguration;
  },
): Promise<boolean> {
  const undone = await Promise.race([
    reloads.succeed(candidate),
    stops.first.then(() => undefined),
  ]);
  if (undone === undefined) return false;
  if (undone.length > 0) {
    if (!oldMaster.isGone) return false;
    zwarn("the old master is gone, so this one goes on all the same");
    await reloads.start(candidate);
  }
  oldMaster.proven();
  await Promise.race([oldMaster.takeover, stops.first]);
  if (stops.hasAny && !oldMaster.isGone) return false;
  await duty.assume(logSocket);
  const dropped = listeners.atHand();
  // Before the old master is told, so that its servers still accept the connections in their
  // queues.
  listeners.own(oldMaster.isGone ? "close" : "leave");
  oldMaster.taken(dropped);
  counts.tookOver(oldMaster);
  // The old master keeps its control socket if this one ends before that.
  control.open(sockets);
  oldMaster.bound(setting(MASTER_MAX_GENERATIONS));
  zinfo("this is the master now");
  return true;
}
