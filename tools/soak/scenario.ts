/**
 * A scenario: a master under load, something that is done to it, and the proof that no request was
 * lost and nothing is left.
 *
 * @module
 */
import { eventually } from "../../tests/support/wait.ts";
import type { Amounts } from "./amounts.ts";
import { Installation, SERVICES } from "./installation.ts";
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
   * Changes to a version that serves, where `act` ends with another one. Not done before another scenario, in which
   * that is done as well.
   */
  mend?(installation: Installation): Promise<void>;
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
  return { scenario, amounts, ...await runScenarios([scenario], amounts) };
}

/**
 * Runs scenarios one after the other on the same installation, which costs less than an installation
 * for each of them. One that stops the master must be the last.
 *
 * @param scenarios Which ones.
 * @param amounts How much of them.
 */
export async function runScenarios(
  scenarios: readonly Scenario[],
  amounts: Amounts,
): Promise<Pick<ScenarioResult, "reports" | "faults" | "seconds">> {
  const startMs = performance.now();
  const reports: TallyReport[] = [], faults: string[] = [];
  const roundsOf = ({ rounds }: Scenario) => rounds?.(amounts) ?? 1;
  for (let round = 0; round < Math.max(...scenarios.map(roundsOf)); round++) {
    const due = scenarios.filter((scenario) => round < roundsOf(scenario));
    try {
      await runRound({ scenarios: due, amounts, round, reports, faults });
    } catch (error) {
      faults.push(describeError(error));
    }
  }
  const merged = mergeReports(reports);
  faults.push(...merged.filter((report) => lostIn(report) > 0).map(describeLosses));
  const seconds = (performance.now() - startMs) / 1000;
  return { reports: merged, faults, seconds };
}

interface Round {
  readonly scenarios: readonly Scenario[];
  readonly amounts: Amounts;
  readonly round: number;
  readonly reports: TallyReport[];
  readonly faults: string[];
}

async function runRound({ scenarios, amounts, round, reports, faults }: Round): Promise<void> {
  // A reload replaces the services whose version is a new one.
  const few: Readonly<Record<string, string>> = amounts.changes === "few"
    ? { "server-reload": "changed" }
    : {};
  const setup = ({ processes = amounts.processes, settings }: Scenario) => ({
    processes,
    settings: { ...few, ...settings?.(amounts) },
  });
  await using installation = await Installation.start(setup(scenarios[0]));
  for (const group of byLoad(scenarios)) {
    await using load = new LoadProcess({
      ...(group[0].load ?? amounts.load),
      targets: installation.targets,
    });
    await load.flows(FLOWING);
    let isSound = true, lost = 0;
    for (const scenario of group) {
      const fault = (text: string) => void faults.push(`${scenario.name}: ${text}`);
      try {
        await installation.becomes(setup(scenario));
        await installation.settles();
        const master = installation.masterPid, descriptors = installation.descriptors();
        await scenario.act({
          installation,
          load,
          amounts,
          round,
          fault,
          counted: (more) => void reports.push(...more),
        });
        if (scenario.stops) break;
        if (scenario === scenarios.at(-1)) await scenario.mend?.(installation);
        if (installation.masterPid === master) await holdsAsBefore(installation, descriptors);
        const progress = await load.count();
        if (progress.lost > lost) fault(`${progress.lost - lost} requests lost`);
        lost = progress.lost;
      } catch (error) {
        // What is not as it should be after it says nothing more.
        fault(describeError(error));
        isSound = false;
        break;
      }
    }
    const last = await load.stop();
    reports.push(...last);
    faults.push(...otherVersions(last, installation));
    if (!isSound) return;
  }
  if (!scenarios.at(-1)?.stops) await installation.stop();
}

/** Parts scenarios where another load is due: those of a part are under the same one. */
function byLoad(scenarios: readonly Scenario[]): Scenario[][] {
  const groups: Scenario[][] = [];
  for (const scenario of scenarios) {
    const last = groups.at(-1);
    if (last?.[0].load === scenario.load && last !== undefined) last.push(scenario);
    else groups.push([scenario]);
  }
  return groups;
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

/** Says where services have answered with a version that may not answer. */
function otherVersions(reports: readonly TallyReport[], installation: Installation): string[] {
  return SERVICES.flatMap((name) => {
    const allowed = installation.answeringVersions(name);
    return reports.filter(({ target }) => target.startsWith(`${name} `))
      .flatMap(({ target, kind, versions }) =>
        Object.keys(versions).filter((version) => !allowed.includes(version)).map((version) =>
          `${target}, ${kind}: ${
            versions[version]
          } answers of version ${version}, expected ${allowed}`
        )
      );
  });
}

function describeLosses(report: TallyReport): string {
  const { target, kind, examples } = report;
  return [`${target}, ${kind}: ${lostIn(report)} requests lost`, ...examples].join("\n  ");
}
