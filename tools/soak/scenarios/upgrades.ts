/**
 * Scenarios of upgrades: a new master takes the place of the old one (SIGUSR2).
 *
 * @module
 */
import { SEVERAL } from "../amounts.ts";
import { SERVICES } from "../installation.ts";
import type { Scenario, Stage } from "../scenario.ts";
import { Watch } from "../watch.ts";

/** What is done while something else is under way comes so many milliseconds after that. */
const MOMENTS_MS = [0, 30, 80, 150, 300];

/**
 * The time between two signals: chosen, not waited for, since what happens then is the question.
 *
 * @param round Which of the times.
 */
export function moment(round: number): Promise<void> {
  const ms = MOMENTS_MS[round % MOMENTS_MS.length];
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Upgrades in a row. */
export const upgrade: Scenario = {
  name: "upgrade",
  processes: SEVERAL,
  describe: ({ upgrades }) => `${upgrades} upgrades, while somebody else tries to get the lock`,
  async act({ installation, amounts, fault }) {
    using watch = new Watch(installation.site.pidFile, installation.paths);
    for (let count = 0; count < amounts.upgrades; count++) await installation.upgrade();
    // The last of the old masters may still be ending.
    await installation.settles();
    for (const text of watch.faults) fault(text);
  },
};

/** Whatever came of two things at the same time, both must be possible afterwards. */
async function worksOn({ installation, amounts }: Stage): Promise<void> {
  await installation.reload({ services: amounts.changes === "few" ? ["http"] : SERVICES });
  await installation.upgrade();
}

/** A reload that is asked for during an upgrade. */
export const reloadInUpgrade: Scenario = {
  name: "reload-in-upgrade",
  describe: ({ collisions }) => `${collisions} times SIGHUP during an upgrade`,
  async act(stage) {
    const { installation, amounts } = stage;
    for (let round = 0; round < amounts.collisions; round++) {
      installation.writeVersion();
      const old = installation.masterPid;
      const since = installation.signal("SIGUSR2");
      await moment(round);
      installation.writeVersion();
      installation.signal("SIGHUP");
      await installation.upgradeEnds(old, since);
      await worksOn(stage);
    }
  },
};

/** An upgrade that is asked for during a reload. */
export const upgradeInReload: Scenario = {
  name: "upgrade-in-reload",
  describe: ({ collisions }) => `${collisions} times SIGUSR2 during a reload`,
  async act(stage) {
    const { installation, amounts } = stage;
    for (let round = 0; round < amounts.collisions; round++) {
      installation.writeVersion();
      const old = installation.masterPid;
      const since = installation.signal("SIGHUP");
      await moment(round);
      installation.signal("SIGUSR2");
      await installation.upgradeEnds(old, since);
      await worksOn(stage);
    }
  },
};
