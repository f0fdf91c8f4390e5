/**
 * A fault: something that goes wrong around a master or a server, injected for real, with what it
 * costs as figures.
 *
 * @module
 */
import { Site } from "../../tests/support/master.ts";
import type { Amounts, FaultAmounts } from "./amounts.ts";

/** Something that was found. */
export interface Figure {
  /** What it is, with its unit. */
  readonly what: string;
  /** How much, or in words. */
  readonly value: number | string;
}

/** What a fault works with. */
export interface FaultStage {
  /** An installation without settings files yet. */
  readonly site: Site;
  readonly amounts: FaultAmounts;
  /**
   * Tells a figure.
   *
   * @param what What it is, with its unit.
   * @param value How much; of milliseconds the whole ones are told.
   */
  shows(what: string, value: number | string): void;
  /**
   * Tells a figure, and reports a fault unless it is within a bound.
   *
   * @param figure The figure.
   * @param most The bound.
   */
  showsAtMost(figure: { readonly what: string; readonly value: number }, most: number): void;
  /**
   * Reports that something is not as it should be.
   *
   * @param text What.
   */
  fault(text: string): void;
}

/** One fault. */
export interface FaultScenario {
  /** Its name on the command line. */
  readonly name: string;
  /** What is lost by it, in a sentence. */
  readonly loses: string;
  /** Injects it, and looks at what comes of it. The master is stopped in it, if it can be. */
  act(stage: FaultStage): Promise<void>;
  /**
   * Says what was done.
   *
   * @param amounts How much of it.
   */
  describe(amounts: FaultAmounts): string;
}

/** What came of a fault. */
export interface FaultResult {
  readonly scenario: FaultScenario;
  readonly amounts: FaultAmounts;
  readonly figures: readonly Figure[];
  /** Everything that was not as it should be; none means that it has passed. */
  readonly faults: readonly string[];
  /** How long it took. */
  readonly seconds: number;
}

/**
 * Injects a fault.
 *
 * @param scenario Which one.
 * @param amounts How much of it.
 */
export async function runFault(
  scenario: FaultScenario,
  { faults: amounts }: Pick<Amounts, "faults">,
): Promise<FaultResult> {
  const startMs = performance.now();
  const figures: Figure[] = [], faults: string[] = [];
  const shows = (what: string, value: number | string) => {
    figures.push({ what, value: typeof value === "number" ? Math.round(value) : value });
  };
  const fault = (text: string) => void faults.push(text);
  try {
    await using site = new Site();
    await scenario.act({
      site,
      amounts,
      shows,
      fault,
      showsAtMost({ what, value }, most) {
        shows(what, value);
        if (value > most) fault(`${what}: ${value}, expected ${most} at most`);
      },
    });
  } catch (error) {
    faults.push(error instanceof Error ? error.stack ?? error.message : String(error));
  }
  const seconds = (performance.now() - startMs) / 1000;
  return { scenario, amounts, figures, faults, seconds };
}
