/**
 * Becoming another program, with descriptors at given numbers (execve(2)).
 *
 * For a process that was started for nothing else: from the first step on its runtime can't be
 * used any more.
 *
 * @module
 */
import { enter } from "./credentials.ts";
import { duplicateFd, keepDescriptorsFromChildren } from "./descriptor.ts";
import { ENOEXEC, SysError } from "./errors.ts";
import type { Identity } from "./identity.ts";
import { unblockInspectorSignal } from "./inspector_signal.ts";
import { cString, cStringArray, libc, unwrap } from "./libc.ts";
import { changeDirectory } from "./path.ts";
import { asShellScript } from "./placed_spawn.ts";
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
  /** What to add to the environment; `{pid}` stands for the pid. */
  readonly env: Readonly<Record<string, string>>;
  /** What it gets when the parent ends, unless it asks for something else. */
  readonly deathSignal: DeathSignal;
  /** The parent's pid. */
  readonly parent: number;
  /** Whom to become before. */
  readonly identity?: Identity;
  /** The root directory to change to before. */
  readonly root?: string;
  /** The working directory to change to before, seen from the new root. */
  readonly directory?: string;
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
  const env = Object.entries({ ...Deno.env.toObject(), ...plan.env })
    .map(([key, value]) => `${key}=${value.replace("{pid}", String(Deno.pid))}`);
  enter(plan.identity, plan.root);
  // A change of user would take it back.
  requestParentDeathSignal(plan.deathSignal);
  if (Deno.ppid !== plan.parent) throw new Error(`the parent, process ${plan.parent}, has ended`);
  if (plan.directory !== undefined) changeDirectory(plan.directory);
  placeDescriptors(plan.fds);
  if (!plan.blocksInspectorSignal) unblockInspectorSignal();
  try {
    replace(plan, env);
  } catch (error) {
    if (!(error instanceof SysError && error.errno === ENOEXEC)) throw error;
    replace(asShellScript(plan), env);
  }
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
