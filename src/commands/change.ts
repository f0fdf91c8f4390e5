/**
 * The outcome of a change of services, for people.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import { formatProblem } from "../config/errors.ts";
import type { ChangeOutcome, PlanSummary } from "../control/messages.ts";
import { EXIT } from "./connect.ts";
import { complain, layOut, showsColour, styled } from "./output.ts";

/**
 * Writes the outcome.
 *
 * @param outcome The outcome.
 * @returns The exit code.
 */
export function showOutcome(
  { outcome, rolledBack, plan, durationMs, warnings }: ChangeOutcome,
): number {
  showWarnings({ warnings });
  for (const line of planLines(plan)) console.log(line);
  for (const { services, reason } of rolledBack) {
    console.error(`rolled back ${services.join(" ")}: ${reason}`);
  }
  const text = `${outcome} in ${formatDuration(durationMs)}`;
  const isDone = outcome === "committed";
  const colour = showsColour();
  console.log(colour ? styled(text, isDone ? "green" : "red") : text);
  return isDone ? EXIT.ok : EXIT.failed;
}

/** Writes the warnings; a master of an earlier version sends none. */
export function showWarnings({ warnings = [] }: Partial<Pick<ChangeOutcome, "warnings">>): void {
  for (const warning of warnings) complain("warning", formatProblem(warning));
}

/** The plan as a table. */
export function planLines({ services, listeners }: PlanSummary): string[] {
  const rows = [
    ...services.map(({ id, change, why }) => [`service ${id}`, change, why]),
    ...listeners.map(({ address, change }) => [`listener ${address}`, change, ""]),
  ];
  return layOut(rows, { colour: false });
}
