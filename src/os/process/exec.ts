/**
 * Becoming another program, with descriptors at given numbers (execve(2)).
 *
 * For a process that was started for nothing else: from the first step on its runtime can't be
 * used any more.
 *
 * @module
 */
import { enter, gainNothing } from "../user/credentials.ts";
import { duplicateFd, keepDescriptorsFromChildren } from "../fd/descriptor.ts";
import { type EnvironmentChange, environmentOf, environmentTexts } from "./environment.ts";
import { ENOEXEC, SysError } from "../ffi/errors.ts";
import type { Identity } from "../user/identity.ts";
import { unblockInspectorSignal, withInspectorSignalBlocked } from "./inspector_signal.ts";
import { cString, cStringArray, libc, unwrap } from "../ffi/libc.ts";
import { changeDirectory } from "../fs/path.ts";
import { type InheritedState, takeInheritedState } from "./libzc_start.ts";
import { asShellScript } from "./posix_spawn.ts";
import { execPath, ownCommandLine } from "../ffi/proc_self.ts";
import { type DeathSignal, requestParentDeathSignal } from "./process.ts";

const SIGPIPE = 13;

/** What to become. */
export interface ExecPlan {
  /** The program, found already. */
  readonly path: string;
  /** All arguments, `argv[0]` included. */
  readonly argv: readonly string[];
  /** Descriptors of this process, and the numbers that they get in the program. */
  readonly fds: readonly { readonly from: number; readonly to: number }[];
  /** What differs from the environment of this process; `{pid}` stands for the pid. */
  readonly env: EnvironmentChange;
  /** What it gets when the parent ends, unless it asks for something else. */
  readonly deathSignal: DeathSignal;
  /** The parent's pid. */
  readonly parent: number;
  /** Whom to become before, with HOME, USER and LOGNAME. */
  readonly identity?: Identity;
  /** Whether it gains nothing by what it executes; so it is with an identity in any case. */
  readonly gainsNothing?: boolean;
  /** The root directory to change to before. */
  readonly root?: string;
  /** The working directory to change to before, seen from the new root. */
  readonly directory?: string;
  /** What the program finds that is another one in this process. */
  readonly inheritedState?: InheritedState;
  /** Whether SIGUSR1, which does not reach this process, is not to reach the program either. */
  readonly blocksInspectorSignal: boolean;
}

/**
 * Becomes another program. Descriptors above 2 that the plan does not name are closed.
 *
 * @param plan What to become.
 * @returns Never: it succeeds or throws.
 * @throws {SysError} When a step fails.
 * @throws {Error} When the parent has ended already.
 */
export function exec(plan: ExecPlan): never {
  keepDescriptorsFromChildren();
  // The runtime ignores it, and an ignored signal stays ignored over exec.
  libc().signal(SIGPIPE, null);
  const { identity } = plan;
  const env = { ...(identity && environmentOf(identity)), ...plan.env };
  const texts = environmentTexts(env).map((text) => text.replace("{pid}", String(Deno.pid)));
  if (identity !== undefined || plan.gainsNothing) gainNothing(identity);
  enter(identity, plan.root);
  // A change of user would take it back.
  requestParentDeathSignal(plan.deathSignal);
  if (Deno.ppid !== plan.parent) throw new Error(`the parent, process ${plan.parent}, has ended`);
  if (plan.directory !== undefined) changeDirectory(plan.directory);
  placeDescriptors(plan.fds);
  if (plan.inheritedState !== undefined) takeInheritedState(plan.inheritedState);
  if (!plan.blocksInspectorSignal) unblockInspectorSignal();
  try {
    replace(plan, texts);
  } catch (error) {
    if (!(error instanceof SysError && error.errno === ENOEXEC)) throw error;
    replace(asShellScript(plan), texts);
  }
}

/**
 * Becomes this program once more, with the same arguments, descriptors and pid. What the runtime has
 * open is closed.
 *
 * @param change What to change in the environment.
 * @param options `gainsNothing`: whether it gains nothing by what it executes from then on.
 * @returns Never: it succeeds or throws.
 * @throws {SysError} When a step fails.
 */
export function startAgain(
  change: EnvironmentChange,
  options: { readonly gainsNothing: boolean },
): never {
  const argv = ownCommandLine();
  if (options.gainsNothing) gainNothing(undefined);
  // Neither is it to die of SIGUSR1 before it has seen to it, nor to listen for a debugger.
  return withInspectorSignalBlocked(() =>
    replace({ path: execPath(), argv }, environmentTexts(change))
  );
}

function replace({ path, argv }: Pick<ExecPlan, "path" | "argv">, env: readonly string[]): never {
  const argvArray = cStringArray(argv), envArray = cStringArray(env);
  unwrap(
    { syscall: "execve", subject: path },
    () => libc().execve(cString(path), argvArray, envArray),
  );
  throw new Error("execve returned without an error");
}

/** A source may have the number of another one's target, so all are lifted above the targets first. */
function placeDescriptors(fds: ExecPlan["fds"]): void {
  const above = Math.max(0, ...fds.map(({ to }) => to)) + 1;
  const lifted = fds.map(({ from, to }) => ({ from: duplicateFd(from, above), to }));
  for (const { from, to } of lifted) {
    unwrap({ syscall: "dup3", subject: to }, () => libc().dup3(from, to, 0));
  }
}
