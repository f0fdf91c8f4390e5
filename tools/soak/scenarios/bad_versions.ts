/**
 * Scenarios of versions that do not serve: a reload, or an upgrade, to one of them is taken back,
 * and every request is answered by the version before.
 *
 * @module
 */
import { type ServiceName, SERVICES } from "../installation.ts";
import type { Scenario, Stage } from "../scenario.ts";
import type { Behaviour } from "../servers/behaviour.ts";

/** A way to be bad. */
interface Bad {
  readonly behave: Exclude<Behaviour, "good">;
  readonly text: string;
}

const BAD: readonly Bad[] = [
  { behave: "crash", text: "that crashes at once" },
  { behave: "hang", text: "that never gets ready" },
  { behave: "die", text: "that dies after it was ready" },
];

/** All of a service's processes may be bad, or those of all services. */
function badServices(round: number): readonly ServiceName[] {
  return round % 2 === 0 ? SERVICES : [SERVICES[((round - 1) / 2) % SERVICES.length]];
}

function behaviours(names: readonly ServiceName[], behave: Behaviour) {
  return Object.fromEntries(names.map((name) => [name, behave]));
}

function settingsOf({ behave }: Bad): NonNullable<Scenario["settings"]> {
  return ({ readyTimeoutSeconds, soakSeconds }) => ({
    ...(behave === "hang" ? { "server-ready-timeout": readyTimeoutSeconds } : {}),
    ...(behave === "die" ? { "server-soak": soakSeconds } : {}),
  });
}

async function tryReload({ installation, onlyVersions, round }: Stage, { behave }: Bad) {
  const good = installation.version;
  const bad = badServices(round);
  installation.writeVersion({ behave: behaviours(bad, behave) });
  const since = installation.signal("SIGHUP");
  for (const name of bad) {
    await installation.logs(new RegExp(`reload undone for ${name}\\.cf: `, "g"), { since });
  }
  await installation.settles();
  // The mistake is mended, and the next reload goes well.
  const mended = Number(installation.version) + 1;
  await installation.reload();
  for (const name of bad) onlyVersions(name, [good, String(mended)]);
}

async function tryUpgrade({ installation, onlyVersions, fault, round }: Stage, { behave }: Bad) {
  const good = installation.version;
  const bad = badServices(round);
  const old = installation.masterPid;
  installation.writeVersion({ behave: behaviours(bad, behave) });
  const since = installation.signal("SIGUSR2");
  const end = await installation.upgradeEnds(old, since);
  if (end !== "failed") fault(`an upgrade to a version that is bad in ${bad} has ${end}`);
  await installation.settles();
  if (installation.masterPid !== old) fault("another master than before");
  const mended = Number(installation.version) + 1;
  await installation.upgrade();
  for (const name of bad) onlyVersions(name, [good, String(mended)]);
}

/** A reload to each bad version. */
export const badReloads: readonly Scenario[] = BAD.map((bad) => ({
  name: `reload-${bad.behave}`,
  describe: ({ badVersions }) => `${badVersions} reloads to a version ${bad.text}`,
  settings: settingsOf(bad),
  rounds: ({ badVersions }) => badVersions,
  act: (stage) => tryReload(stage, bad),
}));

/** An upgrade to each bad version. */
export const badUpgrades: readonly Scenario[] = BAD.map((bad) => ({
  name: `upgrade-${bad.behave}`,
  describe: ({ badVersions }) => `${badVersions} upgrades to a version ${bad.text}`,
  settings: settingsOf(bad),
  rounds: ({ badVersions }) => badVersions,
  act: (stage) => tryUpgrade(stage, bad),
}));
