import { assertEquals } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { runScenario } from "../../tools/soak/scenario.ts";
import { SCENARIOS } from "../../tools/soak/scenarios.ts";

for (const scenario of SCENARIOS) {
  Deno.test(`no request is lost, and nothing is left: ${scenario.name}, ${scenario.describe(SHORT)}`, async () => {
    assertEquals((await runScenario(scenario, SHORT)).faults, []);
  });
}
