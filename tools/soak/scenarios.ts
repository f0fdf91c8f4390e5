/**
 * All scenarios, in the order in which they are run.
 *
 * @module
 */
import type { FaultScenario } from "./fault.ts";
import { clockScenario } from "./faults/clock.ts";
import { diskFullScenario } from "./faults/disk.ts";
import { fuzzScenario } from "./faults/fuzz.ts";
import { blockedScenario, stoppedScenario } from "./faults/hangs.ts";
import { killMasterScenario, killServersScenario } from "./faults/kills.ts";
import { fdsCutScenario, forkFailsScenario, nofileScenario } from "./faults/limits.ts";
import { instantExitScenario, restartsScenario } from "./faults/restarts.ts";
import type { Scenario } from "./scenario.ts";
import { badReloads, badUpgrades } from "./scenarios/bad_versions.ts";
import { burst, listeners, reload, reloadSlow } from "./scenarios/reloads.ts";
import { stopInReload, stopInUpgrade } from "./scenarios/stops.ts";
import { reloadInUpgrade, upgrade, upgradeInReload } from "./scenarios/upgrades.ts";

/** All scenarios in which nothing may be lost. */
export const SCENARIOS: readonly Scenario[] = [
  reload,
  reloadSlow,
  listeners,
  upgrade,
  ...badReloads,
  ...badUpgrades,
  burst,
  reloadInUpgrade,
  upgradeInReload,
  stopInReload,
  stopInUpgrade,
];

/** All faults. */
export const FAULTS: readonly FaultScenario[] = [
  killServersScenario,
  killMasterScenario,
  stoppedScenario,
  blockedScenario,
  instantExitScenario,
  nofileScenario,
  fdsCutScenario,
  diskFullScenario,
  restartsScenario,
  forkFailsScenario,
  clockScenario,
  fuzzScenario,
];
