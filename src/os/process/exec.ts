/**
 * Execution of another program in this process, with descriptors at given numbers (execve(2)).
 *
 * For a process that was started only for this: after the first step its runtime can't be used any more.
 *
 * @module
 */
import { enter, gainNothing } from "../user/credentials.ts";
import { keepDescriptorsFromChildren, liftAboveTargets, type PlacedFd } from "../fd/descriptor.ts";
import { type EnvironmentChange, environmentOf, environmentTexts } from "./environment.ts";
import { ENOEXEC, SysError } from "../ffi/errors.ts";
import type { Credentials } from "../user/accounts.ts";
import { unblockInspectorSignal, withInspectorSignalBlocked } from "./inspector_signal.ts";
import { cString, cStringArray, libc, unwrap } from "../ffi/libc.ts";
import { changeDirectory } from "../fs/path.ts";
import { type InheritedState, takeInheritedState } from "./libzc_start.ts";
import { leaveSessionKeyring } from "../user/session_keyring.ts";
import { asShellScript } from "./posix_spawn.ts";
import { execPath, ownCommandLine } from "../ffi/proc_self.ts";
import { type DeathSignal, requestParentDeathSignal } from "./process.ts";

const SIGPIPE = 13;

/** Stands for the pid of the program in LISTEN_PID, which is not known before. */
export const OWN_PID = "{pid}";

/** The program to execute, and its surroundings. */
export interface ExecPlan {
  /** The resolved path of the program. */
  readonly path: string;
  /** All arguments, `argv[0]` included. */
  readonly argv: readonly string[];
  /** Descriptors of this process, and their numbers in the program. */
  readonly fds: readonly PlacedFd[];
  /** Changes to the environment of this process; LISTEN_PID may be {@linkcode OWN_PID}. */
  readonly env: EnvironmentChange;
  /** The signal at the end of the parent, unless the program asks for another one. */
  readonly deathSignal: DeathSignal;
  /** The parent's pid. */
  readonly parent: number;
  /** The credentials to change to first, with HOME, USER and LOGNAME. */
  readonly credentials?: Credentials;
  /** Whether to set no_new_privs; it is always set with `credentials`. */
  readonly gainsNothing?: boolean;
  /** The root directory to change to first. */
  readonly root?: string;
  /** The working directory to change to first, relative to the new root. */
  readonly directory?: string;
  /** Inherited state that differs from this process's. */
  readonly inheritedState?: InheritedState;
  /** Whether SIGUSR1, which this process has blocked, stays blocked in the program. */
  readonly blocksInspectorSignal: boolean;
}

/**
 * Executes another program. Descriptors above 2 that the plan does not name are closed.
 *
 * @returns Never: it succeeds or throws.
 * @throws {SysError} When a step fails.
 * @throws {Error} When the parent has ended already.
 */
export function exec(plan: ExecPlan): never {
  keepDescriptorsFromChildren();
  // The runtime ignores it, and an ignored signal stays ignored over exec.
  libc().signal(SIGPIPE, null);
  const { credentials } = plan;
  const texts = environmentTexts({
    ...(credentials && environmentOf(credentials)),
    ...plan.env,
    ...(plan.env.LISTEN_PID === OWN_PID && { LISTEN_PID: String(Deno.pid) }),
  });
  if (credentials !== undefined || plan.gainsNothing) gainNothing(credentials);
  enter(credentials, plan.root);
  // After the change of user, which would clear it.
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
 * Re-executes this program with the same arguments, descriptors and pid. The runtime's own descriptors are
 * closed.
 *
 * @param change The change of the environment.
 * @param options `gainsNothing`: whether to set no_new_privs.
 * @returns Never: it succeeds or throws.
 * @throws {SysError} When a step fails.
 */
export function startAgain(
  change: EnvironmentChange,
  options: { readonly gainsNothing: boolean },
): never {
  const argv = ownCommandLine();
  if (options.gainsNothing) gainNothing(undefined);
  // Here, where the process has one thread afterwards: each thread has a session keyring of its own.
  leaveSessionKeyring();
  // Until the new run handles SIGUSR1, the signal must neither end it nor open the inspector.
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

function placeDescriptors(fds: ExecPlan["fds"]): void {
  for (const { from, to } of liftAboveTargets(fds)) {
    unwrap({ syscall: "dup3", subject: to }, () => libc().dup3(from, to, 0));
  }
}
