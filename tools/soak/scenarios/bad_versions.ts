/**
 * Scenarios of versions that do not serve: a reload, or an upgrade, to one of them is taken back,
 * and every request is answered by the version before; where only a part of the new processes is bad,
 * also by the rest of them, until that is taken back too.
 *
 * @module
 */
import { SEVERAL } from "../amounts.ts";
import { type Installation, type ServiceName, SERVICES } from "../installation.ts";
import type { Scenario, Stage } from "../scenario.ts";
import type { Behaviour } from "../servers/behaviour.ts";

/** A way to be bad. */
interface Bad {
  readonly behave: Exclude<Behaviour, "good">;
  readonly text: string;
  /** See {@linkcode Scenario.processes}. */
  readonly processes?: number;
}

const BAD: readonly Bad[] = [
  { behave: "crash", text: "that crashes at once" },
  { behave: "hang", text: "that never gets ready" },
  { behave: "die", text: "that dies after it was ready" },
  {
    behave: "half",
    text: "of which one process serves and the other one dies",
    processes: SEVERAL,
  },
];

/** All of a service's processes may be bad, or those of all services. */
function badServices({ round }: Stage): readonly ServiceName[] {
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

/** Where few services change, the first of the bad versions is one of all services, and each other is one of one service. */
function fewServices(bad: Bad): readonly ServiceName[] {
  const index = BAD.indexOf(bad);
  return index === 0 ? SERVICES : [SERVICES[index % SERVICES.length]];
}

async function tryReload(stage: Stage, bad: Bad) {
  const { installation, amounts: { changes } } = stage;
  const names = changes === "few" ? fewServices(bad) : badServices(stage);
  const services = changes === "few" ? names : SERVICES;
  installation.writeVersion({ behave: behaviours(names, bad.behave), services });
  const since = installation.signal("SIGHUP");
  for (const name of names) {
    await installation.logs(new RegExp(`reload rolled back for ${name}\\.cf: `, "g"), { since });
  }
}

async function tryUpgrade(stage: Stage, bad: Bad) {
  const { installation, fault } = stage, names = badServices(stage);
  const old = installation.masterPid;
  installation.writeVersion({ behave: behaviours(names, bad.behave) });
  const since = installation.signal("SIGUSR2");
  const end = await installation.upgradeEnds(old, since);
  if (end !== "failed") fault(`an upgrade to a version that is bad in ${names} has ${end}`);
  if (installation.masterPid !== old) fault("another master than before");
}

/** A reload to each bad version. */
export const badReloads: readonly Scenario[] = BAD.map((bad) => ({
  name: `reload-${bad.behave}`,
  describe: ({ badVersions }) => `${badVersions} reloads to a version ${bad.text}`,
  settings: settingsOf(bad),
  processes: bad.processes,
  rounds: ({ badVersions }) => badVersions,
  act: (stage) => tryReload(stage, bad),
  // The mistake is mended at once, and the next reload goes well.
  mend: (installation: Installation) => installation.reload(),
}));

/** An upgrade to each bad version. */
export const badUpgrades: readonly Scenario[] = BAD.map((bad) => ({
  name: `upgrade-${bad.behave}`,
  describe: ({ badVersions }) => `${badVersions} upgrades to a version ${bad.text}`,
  settings: settingsOf(bad),
  processes: bad.processes,
  rounds: ({ badVersions }) => badVersions,
  act: (stage) => tryUpgrade(stage, bad),
  mend: (installation: Installation) => installation.upgrade(),
}));
