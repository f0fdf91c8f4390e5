import { assertEquals } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { runFault } from "../../tools/soak/fault.ts";
import { runScenario, type Scenario } from "../../tools/soak/scenario.ts";
import { FAULTS, SCENARIOS } from "../../tools/soak/scenarios.ts";

/** Scenarios that one installation goes through, one after the other: a start of it costs more than most of them. */
const TOGETHER: readonly (readonly string[])[] = [
  ["reload-in-upgrade", "upgrade-in-reload"],
  ["reload-crash", "reload-hang", "reload-die"],
  ["upgrade-crash", "upgrade-hang", "upgrade-die"],
];

/** Makes one scenario of several; an answer of a version that none of them allows is a fault of it. */
function together(scenarios: readonly Scenario[]): Scenario {
  const describe: Scenario["describe"] = (amounts) =>
    scenarios.map((scenario) => scenario.describe(amounts)).join("; ");
  return {
    name: scenarios.map(({ name }) => name).join(", "),
    describe,
    rounds: (amounts) => Math.max(...scenarios.map(({ rounds }) => rounds?.(amounts) ?? 1)),
    settings: (amounts) =>
      Object.assign({}, ...scenarios.map((scenario) => scenario.settings?.(amounts))),
    async act(stage) {
      const allowed: Record<string, readonly string[]> = {};
      for (const scenario of scenarios) {
        await scenario.act({
          ...stage,
          onlyVersions(targets, versions) {
            allowed[targets] = [...allowed[targets] ?? [], ...versions];
          },
        });
      }
      for (const [targets, versions] of Object.entries(allowed)) {
        stage.onlyVersions(targets, versions);
      }
    },
  };
}

const grouped = Map.groupBy(
  SCENARIOS,
  ({ name }) => TOGETHER.find((names) => names.includes(name)) ?? name,
);
for (const scenarios of grouped.values()) {
  const scenario = scenarios.length > 1 ? together(scenarios) : scenarios[0];
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
