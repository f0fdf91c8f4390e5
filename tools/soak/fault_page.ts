/**
 * What faults have cost, as tables: for the terminal, and as the second part of docs/reliability.md.
 *
 * @module
 */
import type { FaultResult, Figure } from "./fault.ts";
import { renderProblems, table } from "./page.ts";

/**
 * One line for each fault.
 *
 * @param results What came of them.
 */
export function renderFaultSummary(results: readonly FaultResult[]): string {
  return table(
    ["fault", "what is lost", "seconds", "result"],
    results.map(({ scenario, faults, seconds }) => [
      scenario.name,
      scenario.loses,
      Math.round(seconds),
      faults.length === 0 ? "passed" : "FAILED",
    ]),
  );
}

/**
 * One line for each figure.
 *
 * @param figures The figures.
 */
export function renderFigures(figures: readonly Figure[]): string {
  return table(["figure", "value"], figures.map(({ what, value }) => [what, value]));
}

/**
 * The part of the page.
 *
 * @param results What came of the faults.
 */
export function renderFaultPart(results: readonly FaultResult[]): string {
  const passed = results.filter(({ faults }) => faults.length === 0).length;
  return `# Faults

What goes wrong around a master and its servers, injected for real: ${passed} of ${results.length}
passed. Unlike above, some of these cost something; what is lost is said of each. One passes if
nothing else is lost, if all is as before within its bounds, and if nothing is left after it.

${renderFaultSummary(results)}

${results.map(renderFault).join("\n")}`;
}

function renderFault({ scenario, amounts, figures, faults }: FaultResult): string {
  return [
    `## ${scenario.name}`,
    `${scenario.describe(amounts)}. Lost: ${scenario.loses}`,
    renderFigures(figures),
    faults.length === 0 ? "Passed.\n" : `**Failed:**\n\n${renderProblems(faults)}`,
  ].join("\n\n");
}
