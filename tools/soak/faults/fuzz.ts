/**
 * Input that no one would send on purpose: the fuzz tests, which are `deno task fuzz`.
 *
 * @module
 */
import { startDeno } from "../../../tests/support/processes.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** How long a million of each may take. */
const PATIENCE_MS = 300_000;

async function fuzz({ amounts, shows, fault }: FaultStage): Promise<void> {
  const startMs = performance.now();
  const files = ["tests/config/fuzz_test.ts", "tests/ipc/protocol_test.ts"];
  await using process = startDeno(["test", "-A", "--no-check", ...files], {
    cwd: ROOT,
    env: { ZC_FUZZ_COUNT: `${amounts.fuzz}` },
  });
  const { code, stdout } = await process.ended(PATIENCE_MS);
  shows("inputs of each kind", amounts.fuzz);
  const [, passed, failed] = /(\d+) passed.*?(\d+) failed/.exec(stdout) ?? [];
  shows("tests passed", Number(passed));
  shows("tests failed", Number(failed));
  shows("seconds", (performance.now() - startMs) / 1000);
  if (code !== 0) fault(stdout);
}

/** Random settings files, argument lists and control frames. */
export const fuzzScenario: FaultScenario = {
  name: "fuzz",
  loses: "Nothing.",
  describe: ({ fuzz }) =>
    `${fuzz} each of random settings files, services, values, addresses, argument lists, commands ` +
    "and control frames",
  act: fuzz,
};
