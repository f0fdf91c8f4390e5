import { assert, assertEquals } from "@std/assert";
import { type MasterPhase, NEXT_PHASES } from "../../src/master/phase.ts";

Deno.test("NEXT_PHASES leads to every phase but the first, and always to the end", () => {
  const phases = Object.keys(NEXT_PHASES) as MasterPhase[];
  const reached = (from: MasterPhase, seen = new Set<MasterPhase>()) => {
    for (const next of NEXT_PHASES[from]) {
      if (!seen.has(next)) reached(next, seen.add(next));
    }
    return seen;
  };
  assertEquals([...reached("starting")].sort(), phases.filter((one) => one !== "starting").sort());
  assertEquals(NEXT_PHASES.stopping, []);
  for (const phase of phases.filter((one) => one !== "stopping")) {
    assert(reached(phase).has("stopping"), phase);
  }
});
