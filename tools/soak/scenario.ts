/**
 * A scenario: a master under load, something that is done to it, and the proof that no request was
 * lost and nothing is left.
 *
 * @module
 */
import { eventually } from "../../tests/support/wait.ts";
import type { Amounts } from "./amounts.ts";
import { Installation } from "./installation.ts";
import type { LoadSettings } from "./load_plan.ts";
import { LoadProcess } from "./load_process.ts";
import { lostIn, mergeReports, type TallyReport } from "./tally.ts";

/** What a scenario works with. */
export interface Stage {
  readonly installation: Installation;
  readonly load: LoadProcess;
  readonly amounts: Amounts;
  /** Which time it is, from 0. */
  readonly round: number;
  /**
   * Reports a fault that is no lost request.
   *
   * @param text What is not as it should be.
   */
  fault(text: string): void;
  /**
   * Adds what was counted beside the load.
   *
   * @param reports The reports.
   */
  counted(reports: readonly TallyReport[]): void;
  /**
   * Says what only some targets may have answered with, looked at in the end.
   *
   * @param targets The beginning of their names, such as `aio`; empty for all.
   * @param versions The versions that may have answered.
   */
  onlyVersions(targets: string, versions: readonly string[]): void;
}

/** One scenario. */
export interface Scenario {
  /** Its name on the command line. */
  readonly name: string;
  /** Further settings of the services. */
  settings?(amounts: Amounts): Readonly<Record<string, string | number>>;
  /** How many processes each service has, where the scenario needs so many. */
  readonly processes?: number;
  /** How much is asked, if not as much as in the other scenarios. */
  readonly load?: LoadSettings;
  /** How often all is done from the start of a master to its end; default once. */
  rounds?(amounts: Amounts): number;
  /** Whether the master stops in it. */
  readonly stops?: boolean;
  /** Does it, from the time on when the load flows. */
  act(stage: Stage): Promise<void>;
  /**
   * Says what was done.
   *
   * @param amounts How much of it.
   */
  describe(amounts: Amounts): string;
}

/** What came of a scenario. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly amounts: Amounts;
  readonly reports: readonly TallyReport[];
  /** Everything that was not as it should be, lost requests included; none means that it has passed. */
  readonly faults: readonly string[];
  /** How long it took. */
  readonly seconds: number;
}

/** So many answers in each way show that the load flows. */
const FLOWING = 5;

/**
 * Runs a scenario.
 *
 * @param scenario Which one.
 * @param amounts How much of it.
 */
export async function runScenario(scenario: Scenario, amounts: Amounts): Promise<ScenarioResult> {
  const startMs = performance.now();
  const reports: TallyReport[] = [], faults: string[] = [];
  const rounds = scenario.rounds?.(amounts) ?? 1;
  for (let round = 0; round < rounds; round++) {
    try {
      await runRound({ scenario, amounts, round, reports, faults });
    } catch (error) {
      faults.push(describeError(error));
    }
  }
  const merged = mergeReports(reports);
  faults.push(...merged.filter((report) => lostIn(report) > 0).map(describeLosses));
  const seconds = (performance.now() - startMs) / 1000;
  return { scenario, amounts, reports: merged, faults, seconds };
}

interface Round {
  readonly scenario: Scenario;
  readonly amounts: Amounts;
  readonly round: number;
  readonly reports: TallyReport[];
  readonly faults: string[];
}

async function runRound({ scenario, amounts, round, reports, faults }: Round): Promise<void> {
  await using installation = await Installation.start({
    processes: scenario.processes ?? amounts.processes,
    settings: scenario.settings?.(amounts),
  });
  await using load = new LoadProcess({
    ...(scenario.load ?? amounts.load),
    targets: installation.targets,
  });
  const allowed: { targets: string; versions: readonly string[] }[] = [];
  const stage: Stage = {
    installation,
    load,
    amounts,
    round,
    fault: (text) => void faults.push(text),
    counted: (more) => void reports.push(...more),
    onlyVersions: (targets, versions) => void allowed.push({ targets, versions }),
  };
  await load.flows(FLOWING);
  const master = installation.masterPid, descriptors = installation.descriptors();
  const acted = await scenario.act(stage).then(() => true, (error) => {
    faults.push(describeError(error));
    return false;
  });
  const last = await load.stop();
  reports.push(...last);
  for (const { targets, versions } of allowed) {
    faults.push(
      ...otherVersions(last.filter(({ target }) => target.startsWith(targets)), versions),
    );
  }
  // What is not as it should be then says nothing more.
  if (scenario.stops || !acted) return;
  if (installation.masterPid === master) await holdsAsBefore(installation, descriptors);
  await installation.stop();
}

/** Fails unless a master holds open what it held before, as soon as what has gone is gone. */
async function holdsAsBefore(installation: Installation, before: readonly string[]): Promise<void> {
  await installation.settles();
  let now: readonly string[] = [];
  const isAsBefore = () => (now = installation.descriptors()).join() === before.join();
  await eventually(isAsBefore, { what: "the master's descriptors to be as before" })
    .catch((error) => {
      throw new Error(`${error.message}: ${before} became ${now}`);
    });
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

function otherVersions(reports: readonly TallyReport[], allowed: readonly string[]): string[] {
  return reports.flatMap(({ target, kind, versions }) =>
    Object.keys(versions).filter((version) => !allowed.includes(version)).map((version) =>
      `${target}, ${kind}: ${versions[version]} answers of version ${version}, expected ${allowed}`
    )
  );
}

function describeLosses(report: TallyReport): string {
  const { target, kind, examples } = report;
  return [`${target}, ${kind}: ${lostIn(report)} requests lost`, ...examples].join("\n  ");
}
