/**
 * The error of a task whose command line, or what it names, can't be used.
 *
 * @module
 */

/** What can't be run, as an error for people. */
export class UsageError extends Error {}

/**
 * Runs a task, and exits with what it returns; a {@linkcode UsageError} is one message, and the exit code 1.
 *
 * @param main The task.
 */
export async function runTask(main: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
