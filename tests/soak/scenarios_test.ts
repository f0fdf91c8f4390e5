import { assertEquals } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { runFault } from "../../tools/soak/fault.ts";
import { runScenarios, type Scenario } from "../../tools/soak/scenario.ts";
import { FAULTS, SCENARIOS } from "../../tools/soak/scenarios.ts";

/** Whether a scenario is one of upgrades, which share an installation; those of reloads share another one. */
function isOfUpgrades({ name }: Scenario): boolean {
  return name.includes("upgrade");
}

/** The order on one installation: what needs more processes, or another load, comes first; a stop is the end. */
function place({ processes = SHORT.processes, load, stops }: Scenario): number {
  return stops ? 3 : load !== undefined ? 2 : processes > SHORT.processes ? 0 : 1;
}

for (const scenarios of Map.groupBy(SCENARIOS, isOfUpgrades).values()) {
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
