/**
 * How a master stops: with all of its servers, and with what an old master still runs.
 *
 * @module
 */
import { MASTER_STOP_TIMEOUT } from "../config/settings.ts";
import { zinfo } from "../log/log.ts";
import { delay } from "../os/clock/clock.ts";
import type { MasterParts } from "./master_parts.ts";
import { ServiceError } from "./policy/reload_report.ts";
import { setting } from "./services/configuration.ts";

/** How often a stopping master checks whether another one has started. */
const LOOK_MS = 50;

/** Stops everything, including what an old master still runs. */
export async function stopEverything(parts: MasterParts): Promise<void> {
  const { supervisor, duty, control, serviceManager, changes, oldMaster, stops } = parts;
  const timeoutMs = setting(MASTER_STOP_TIMEOUT);
  const wasMaster = duty.isHeld;
  if (wasMaster) serviceManager.stopping();
  zinfo(
    `stopping; servers have ${timeoutMs / 1000} s to finish, a second signal shortens that`,
  );
  control.tell({ type: "stop" });
  changes.cancel(new ServiceError("busy", "Cannot change services: the master stops"));
  const all = Promise.all([
    supervisor.stop(timeoutMs),
    changes.idle,
    wasMaster ? oldMaster?.end(timeoutMs, stops.second) : undefined,
  ]);
  if (wasMaster) {
    // Before the servers end, so that another master can start meanwhile.
    duty.giveUp();
    surrenderWhenTaken(parts, all);
  }
  await all;
  zinfo("stopped");
  stops.finish();
}

/**
 * Gives up the control socket, and the addresses that some servers still hold, once another master
 * has started.
 */
async function surrenderWhenTaken(
  { duty, supervisor, control }: MasterParts,
  all: Promise<unknown>,
): Promise<void> {
  let isOver = false;
  all.then(() => isOver = true);
  while (!isOver) {
    if (duty.isTaken()) {
      zinfo("another master has started, the addresses are its own");
      control.withdraw();
      return await supervisor.surrender();
    }
    await delay(LOOK_MS);
  }
}
