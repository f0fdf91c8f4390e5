/**
 * Random lives of a supervisor: its invariants hold after every step, for any sequence of events,
 * requests and timers. The generator is seeded, so a failure can be repeated.
 */
import { assert } from "@std/assert";
import { FUZZ_SEED, seededRandom } from "../support/random.ts";
import { Life } from "./life.ts";

const LIVES = Number(Deno.env.get("ZC_TEST_LIVES") ?? 150);
const STEPS = 150;

Deno.test("Supervisor keeps its invariants in random lives", async () => {
  const seen = { passed: 0, undone: 0, left: 0, activated: 0 };
  for (let seed = FUZZ_SEED; seed < FUZZ_SEED + LIVES; seed++) {
    const life = new Life(seededRandom(seed));
    try {
      await life.run(STEPS);
    } catch (cause) {
      throw new Error(`Cannot live with seed ${seed}:\n${life.steps.join("\n")}`, { cause });
    }
    for (const what of ["passed", "undone", "left", "activated"] as const) {
      seen[what] += life.seen[what];
    }
  }
  // The test would prove nothing if the lives had too few events.
  for (const [what, count] of Object.entries(seen)) assert(count > LIVES, `${what}: ${count}`);
});
