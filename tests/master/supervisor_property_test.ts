/**
 * Random lives of a supervisor: whatever its workers do, its users ask and time brings, what must
 * always hold does hold after every step. The generator is seeded, so a failure comes back.
 */
import { assert } from "@std/assert";
import { FUZZ_SEED, seededRandom } from "../support/random.ts";
import { Life } from "./life.ts";

const LIVES = Number(Deno.env.get("ZC_TEST_LIVES") ?? 150);
const STEPS = 150;

Deno.test("Supervisor keeps its promises in random lives", async () => {
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
  // Lives in which nothing happens would prove nothing.
  for (const [what, count] of Object.entries(seen)) assert(count > LIVES, `${what}: ${count}`);
});
