/**
 * The shim: a process that sets up what can only be set from within (user, root, working directory,
 * an environment with its own pid, the death signal), and then becomes a server program.
 *
 * @module
 */
import { readable } from "../../os/ffi/byte_text.ts";
import { exec, type ExecPlan } from "../../os/process/exec.ts";

/** The argument before the plan; a compiled master that gets it runs as the shim. */
export const SHIM_ARGUMENT = "--exec";

/**
 * The variable with the changes to the environment, as JSON. Not a part of the plan: other users can read
 * the arguments of a process.
 */
export const SHIM_VARIABLE = "ZC_EXEC_ENV";

/** The exit code of a shell for a command that can't be executed. */
const CANNOT_EXECUTE = 127;

/**
 * The arguments of the shim; undefined in any other process.
 *
 * @param args The command line.
 * @param isCompiled Whether arguments of `deno compile` may be before them.
 */
export function shimArguments(
  args: readonly string[],
  isCompiled: boolean = Deno.build.standalone,
): readonly string[] | undefined {
  const own = isCompiled ? args.slice(-2) : args;
  return own[0] === SHIM_ARGUMENT && own.length === 2 ? own : undefined;
}

/**
 * Becomes the program of a plan.
 *
 * @param args The command line: {@linkcode SHIM_ARGUMENT} and the plan, an `ExecPlan` without `env` as
 * JSON.
 * @returns Never; the process exits with 127 when it can't become the program.
 */
export function runShim(args: readonly string[]): never {
  const env = JSON.parse(Deno.env.get(SHIM_VARIABLE) ?? "{}");
  const plan: ExecPlan = { ...JSON.parse(args[1]), env: { ...env, [SHIM_VARIABLE]: undefined } };
  try {
    exec(plan);
  } catch (error) {
    console.error(readable(`Cannot run "${plan.path}": ${(error as Error).message}`));
    Deno.exit(CANNOT_EXECUTE);
  }
}

if (import.meta.main) runShim(Deno.args);
