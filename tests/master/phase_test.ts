import { assert, assertEquals } from "@std/assert";
import { type MasterPhase, NEXT_PHASES } from "../../src/master/phase.ts";

Deno.test("NEXT_PHASES leads to every phase but the first, and from each to an end", () => {
  const phases = Object.keys(NEXT_PHASES) as MasterPhase[];
  const reached = (from: MasterPhase, seen = new Set<MasterPhase>()) => {
    for (const next of NEXT_PHASES[from]) {
      if (!seen.has(next)) reached(next, seen.add(next));
    }
    return seen;
  };
  assertEquals([...reached("starting")].sort(), phases.filter((one) => one !== "starting").sort());
  const ends = phases.filter((phase) => NEXT_PHASES[phase].length === 0);
  assertEquals(ends, ["waiting", "stopping"]);
  for (const phase of phases.filter((one) => !ends.includes(one))) {
    assert(reached(phase).has("stopping"), phase);
  }
});
