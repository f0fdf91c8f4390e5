/**
 * Start of a program with descriptors at given numbers and any `argv[0]` (posix_spawn(3)), which
 * `Deno.Command` does not support. Each program has a session and a session keyring of its own: neither
 * the terminal nor the keys of this process's user are for a program of another user.
 *
 * The runtime does not know of such a process, so it is reaped here.
 *
 * @module
 */
import { closeFd, liftAboveTargets, type PlacedFd } from "../fd/descriptor.ts";
import { type EnvironmentChange, environmentTexts } from "./environment.ts";
import { ENOEXEC, SysError } from "../ffi/errors.ts";
import { withInspectorSignalBlocked } from "./inspector_signal.ts";
import { cString, cStringArray, libc } from "../ffi/libc.ts";
import { processSignals, SIGNALS } from "./signals.ts";
import { withNewSessionKeyring } from "../user/session_keyring.ts";
import { findZombie } from "./waitid.ts";
import { type ChildProcess, type ExitStatus, UNKNOWN_EXIT } from "./child_process.ts";
import { ignoringChildren, type InheritedState } from "./libzc_start.ts";
import { withOpenFiles } from "./limits.ts";
import { ifThere, statPath } from "../fs/path.ts";

/** The program to start. */
export interface PlacedRequest {
  /** The resolved path of the program. */
  readonly path: string;
  /** All arguments, `argv[0]` included. */
  readonly argv: readonly string[];
  /**
   * Descriptors of this process, borrowed, and their numbers in the program. Beside them the program has an
   * empty standard input, and shares 1 and 2 with this process.
   */
  readonly fds: readonly PlacedFd[];
  /**
   * Its working directory.
   *
   * @default {Deno.cwd()}
   */
  readonly directory?: string;
  /** Changes to the environment of this process. */
  readonly env?: EnvironmentChange;
  /** As in `SpawnRequest`. */
  readonly blocksInspectorSignal?: boolean;
  /** Inherited state that differs from this process's. */
  readonly inheritedState?: InheritedState;
}

/** Runs executable files that are no program for the kernel. */
const SHELL = "/bin/sh";

/** Without it each Deno program would look for a newer version on the network. */
export const NO_UPDATE_CHECK = { DENO_NO_UPDATE_CHECK: "1" };

const POSIX_SPAWN_SETSIGDEF = 0x04, POSIX_SPAWN_SETSID = 0x80;
const WNOHANG = 1;

/** More than their sizes in glibc on x86-64 and arm64: 80 and 336 bytes. */
const FILE_ACTIONS_BYTES = 512, ATTRIBUTES_BYTES = 512;

/** A sigset_t with only SIGPIPE: the runtime ignores it, which a child would inherit. */
const SIGPIPE_ONLY = new BigUint64Array(16);
SIGPIPE_ONLY[0] = 1n << BigInt(SIGNALS.indexOf("SIGPIPE") - 1);

/**
 * Starts a program. The open file descriptions of its descriptors stay unchanged, O_NONBLOCK included,
 * since all processes that share a listener have it in common.
 *
 * @param request The program.
 * @returns The running process.
 * @throws {SysError} When it can't be executed, or at the limit of open files or processes.
 */
export function spawnPlaced(request: PlacedRequest): ChildProcess {
  // Before the start: the process may end before this function returns.
  children.watch();
  try {
    const start = () => withNewSessionKeyring(() => spawn(request));
    return children.add(
      request.blocksInspectorSignal ? withInspectorSignalBlocked(start) : start(),
    );
  } finally {
    children.unwatchIfNone();
  }
}

function spawn(request: PlacedRequest): number {
  const isIgnoring = request.inheritedState?.ignoresChildren === true;
  try {
    return spawnWith(isIgnoring ? ignoringChildren(request) : request);
  } catch (error) {
    if (!(error instanceof SysError && error.errno === ENOEXEC)) throw error;
    return spawnWith({ ...request, ...asShellScript(request) });
  }
}

/** Returns the command for a script without an interpreter line: a shell runs it, as in execvp(3). */
export function asShellScript(
  { path, argv }: Pick<PlacedRequest, "path" | "argv">,
): Pick<PlacedRequest, "path" | "argv"> {
  return { path: SHELL, argv: [SHELL, path, ...argv.slice(1)] };
}

function spawnWith(request: PlacedRequest): number {
  const { path, argv, fds, directory, env = {}, inheritedState } = request;
  const actions = new Uint8Array(FILE_ACTIONS_BYTES), attributes = new Uint8Array(ATTRIBUTES_BYTES);
  const pid = new Int32Array(1);
  const lifted = liftAboveTargets(fds);
  try {
    libc().posix_spawn_file_actions_init(actions);
    libc().posix_spawnattr_init(attributes);
    libc().posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    libc().posix_spawnattr_setsigdefault(attributes, SIGPIPE_ONLY);
    const { posix_spawn_file_actions_adddup2: addDup2 } = libc();
    require0(path, libc().posix_spawn_file_actions_addopen(actions, 0, cString("/dev/null"), 0, 0));
    for (const { from, to } of lifted) require0(path, addDup2(actions, from, to));
    // Looked up only here: glibc has this function since 2.29.
    if (directory !== undefined) {
      const text = cString(directory);
      require0(path, libc().posix_spawn_file_actions_addchdir_np(actions, text));
    }
    const argvArray = cStringArray(argv),
      envArray = cStringArray(environmentTexts({ ...NO_UPDATE_CHECK, ...env }));
    const start = () =>
      libc().posix_spawn(pid, cString(path), actions, attributes, argvArray, envArray);
    // No descriptor may be opened here meanwhile: its number could be above the program's limit.
    const code = inheritedState ? withOpenFiles(inheritedState.openFiles, start) : start();
    // The code does not tell whether the program or its directory is missing.
    if (code !== 0 && directory !== undefined && !isDirectory(directory)) {
      throw new SysError("chdir", code, directory);
    }
    require0(path, code);
    return pid[0];
  } finally {
    libc().posix_spawn_file_actions_destroy(actions);
    libc().posix_spawnattr_destroy(attributes);
    for (const { from } of lifted) closeFd(from);
  }
}

function isDirectory(path: string): boolean {
  return ifThere(() => statPath(path).isDirectory) ?? false;
}

/** Throws for an error code: these functions return an errno value rather than setting errno. */
function require0(path: string, code: number): void {
  if (code !== 0) throw new SysError("posix_spawn", code, path);
}

/** The processes that were started here and not reaped yet. */
class Children {
  readonly #running = new Map<number, (status: ExitStatus) => void>();
  #unwatch?: () => void;

  add(pid: number): ChildProcess {
    const { promise: exited, resolve } = Promise.withResolvers<ExitStatus>();
    this.#running.set(pid, resolve);
    return {
      pid,
      exited,
      status: () => findZombie(pid)?.status,
      // Nothing to do: the process is waited for by a signal, which does not keep the runtime running.
      unref: () => {},
      kill: (signal) => {
        // Until it is reaped, no other process can have its pid.
        if (this.#running.has(pid)) killIfPermitted(() => Deno.kill(pid, signal));
      },
    };
  }

  watch(): void {
    this.#unwatch ??= processSignals.on("SIGCHLD", () => this.#reap());
  }

  unwatchIfNone(): void {
    if (this.#running.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  /** One signal can stand for many processes; those of the runtime are not reaped. */
  #reap(): void {
    const status = new Int32Array(1);
    for (const [pid, resolve] of this.#running) {
      const found = libc().waitpid(pid, status, WNOHANG);
      if (found === 0) continue;
      this.#running.delete(pid);
      resolve(found === pid ? decodeStatus(status[0]) : UNKNOWN_EXIT);
    }
    this.unwatchIfNone();
  }
}

const children = new Children();

/**
 * Sends a signal, unless the process may not be signalled any more: a program with the set-user-ID bit
 * can't be stopped.
 */
export function killIfPermitted(send: () => void): void {
  try {
    send();
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
  }
}

/** See wait(2), WIFEXITED and the like. */
function decodeStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0
    ? { code: status >> 8 & 0xff, signal: null }
    : { code: 128 + signal, signal: SIGNALS[signal] ?? `SIG${signal}` };
}
