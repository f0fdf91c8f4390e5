import { assertEquals } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { runFault } from "../../tools/soak/fault.ts";
import { runScenario } from "../../tools/soak/scenario.ts";
import { FAULTS, SCENARIOS } from "../../tools/soak/scenarios.ts";

for (const scenario of SCENARIOS) {
  Deno.test(`no request is lost, and nothing is left: ${scenario.name}, ${scenario.describe(SHORT)}`, async () => {
    assertEquals((await runScenario(scenario, SHORT)).faults, []);
  });
}

for (const scenario of FAULTS) {
  Deno.test(`a fault costs no more than it must: ${scenario.name}, ${scenario.describe(SHORT.faults)}`, async () => {
    const { faults, figures } = await runFault(scenario, SHORT);
    assertEquals(faults, [], JSON.stringify(figures));
  });
}
