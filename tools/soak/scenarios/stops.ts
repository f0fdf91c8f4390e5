/**
 * Scenarios of a stop while something else is under way. What is asked on connections that are open
 * is answered, and all is gone in time.
 *
 * @module
 */
import type { Scenario, Stage } from "../scenario.ts";
import { moment } from "./upgrades.ts";

async function stopAfter(signal: "SIGHUP" | "SIGUSR2", stage: Stage): Promise<void> {
  const { installation, load, round } = stage;
  installation.writeVersion();
  await load.expectEnd();
  installation.signal(signal);
  await moment(round);
  installation.signal("SIGTERM");
  await load.parted();
  await installation.isGone();
}

/** A stop during a reload. */
export const stopInReload: Scenario = {
  name: "stop-in-reload",
  stops: true,
  describe: ({ collisions }) => `${collisions} times SIGTERM during a reload`,
  rounds: ({ collisions }) => collisions,
  act: (stage) => stopAfter("SIGHUP", stage),
};

/** A stop during an upgrade. */
export const stopInUpgrade: Scenario = {
  name: "stop-in-upgrade",
  stops: true,
  describe: ({ collisions }) => `${collisions} times SIGTERM during an upgrade`,
  rounds: ({ collisions }) => collisions,
  act: (stage) => stopAfter("SIGUSR2", stage),
};
