/**
 * Tests that this machine, or the user who runs the tests, can't run.
 *
 * @module
 */

/**
 * Says that a test, or the part of it that its name tells of, is left out. It counts as passed, and `deno task test`
 * lists it at its end: `tools/test.ts` looks for this line in the output.
 *
 * @param test The test, which returns then.
 * @param why The reason.
 */
export function leaveOut({ name }: Deno.TestContext, why = "only root can run it"): void {
  console.log(`left out: ${name}: ${why}`);
}
