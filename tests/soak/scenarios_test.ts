import { assertEquals } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { runFault } from "../../tools/soak/fault.ts";
import { runScenarios, type Scenario } from "../../tools/soak/scenario.ts";
import { FAULTS, SCENARIOS } from "../../tools/soak/scenarios.ts";
import { stopInUpgrade } from "../../tools/soak/scenarios/stops.ts";

/**
 * Whether a scenario is one of those that share the installation with several processes of each service; the others
 * share another one. Each of them ends with a stop.
 */
function needsSeveral(scenario: Scenario): boolean {
  return (scenario.processes ?? SHORT.processes) > SHORT.processes || scenario === stopInUpgrade;
}

/**
 * The order on one installation: what needs more processes comes first, another load is made once, and a stop is the
 * end. Versions that do not serve come before those that do, which show that these are accepted again.
 */
function place({ processes = SHORT.processes, load, stops, mend }: Scenario): number {
  if (stops) return 5;
  if (load !== undefined) return 4;
  return (processes > SHORT.processes ? 0 : 2) + (mend === undefined ? 1 : 0);
}

for (const scenarios of Map.groupBy(SCENARIOS, needsSeveral).values()) {
  const ordered = scenarios.toSorted((one, other) => place(one) - place(other));
  const done = ordered.map((scenario) => `${scenario.name}, ${scenario.describe(SHORT)}`);
  Deno.test(`no request is lost, and nothing is left: ${done.join("; ")}`, async () => {
    assertEquals((await runScenarios(ordered, SHORT)).faults, []);
  });
}

for (const scenario of FAULTS) {
  Deno.test(`a fault costs no more than it must: ${scenario.name}, ${scenario.describe(SHORT.faults)}`, async () => {
    const { faults, figures } = await runFault(scenario, SHORT);
    assertEquals(faults, [], JSON.stringify(figures));
  });
}
