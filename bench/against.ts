/**
 * A run that compares this checkout with a commit: the masters and servers of both, by the client and the measures of
 * this checkout.
 *
 * @module
 */
import { UsageError } from "../tools/usage_error.ts";
import { Bench } from "./bench.ts";
import { type Checkout, describeCheckout, findCommit, unpackCommit } from "./checkout.ts";
import { compare, COMPARISON_ROUNDS } from "./compare.ts";
import { startContender } from "./contenders/contender.ts";
import { masterPairs } from "./contenders/master.ts";
import { runFacts } from "./machine.ts";
import { measureAll } from "./measures/all.ts";
import type { Options } from "./options.ts";
import { renderComparison } from "./report.ts";
import { defaultCache, prepareTools } from "./tools.ts";

/**
 * Starts each master of both once: what does not start is told before anything is measured, and no first start, which
 * compiles the sources, is.
 *
 * @param bench The run.
 * @param revision The commit, as it was called.
 * @param checkout Its sources.
 * @throws {UsageError} When one does not start.
 */
export async function startOnce(bench: Bench, revision: string, checkout: Checkout): Promise<void> {
  for (const contender of masterPairs(checkout)) {
    try {
      await (await startContender(contender, { bench, count: 1 })).end();
    } catch (cause) {
      const whose = contender.checkout === checkout ? revision : "this checkout";
      const found = (cause as Error).message;
      throw new UsageError(
        `Cannot compare with "${revision}": ${contender.name} of ${whose} does not start: ${found}`,
        { cause },
      );
    }
  }
}

/**
 * Runs the comparison.
 *
 * @param options What to measure, and how.
 * @param revision The commit.
 * @returns The report, and whether everything could be measured.
 * @throws {UsageError} When the commit can't be compared with.
 */
export async function measureAgainst(
  options: Options,
  revision: string,
): Promise<{ readonly report: string; readonly isWhole: boolean }> {
  const { rounds = COMPARISON_ROUNDS, seconds, names, cache, pins } = options;
  const found = findCommit(revision), here = describeCheckout();
  console.error(`this: ${here}\n${revision}: ${found.title}`);
  const tools = await prepareTools(cache ?? defaultCache(), { peers: false });
  await using bench = new Bench(tools, pins, { ownCache: true });
  const checkout = unpackCommit(found, `${bench.dir}/commit`);
  await startOnce(bench, revision, checkout);
  const facts = {
    ...await runFacts(tools, { ...options, rounds }),
    "This": here,
    [revision]: found.title,
  };
  const plan = { bench, rounds, seconds, long: false, against: checkout };
  const { tables, failed } = await measureAll(plan, names);
  const commit = checkout.commit!;
  const { all, notes } = compare(tables, { commit, rounds });
  const report = renderComparison({ facts, commit, all, notes: [...failed, ...notes] });
  return { report, isWhole: failed.length === 0 };
}
