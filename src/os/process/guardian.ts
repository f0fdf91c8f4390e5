/**
 * The guardian: a process beside the master that kills the servers of a master that was killed. It needs
 * no cooperation of the servers, which may ignore the end of their parent, block their event loop, or be
 * stopped.
 *
 * It is a shell that reads a pipe from the master. It has no settings, and must never end a process that
 * the master has not named to it. docs/design/06_no_orphans.md has the reasons.
 *
 * @module
 */
import type { ChildProcess } from "./child_process.ts";
import type { Clock } from "../clock/clock.ts";
import { closeFd, setNonblocking } from "../fd/descriptor.ts";
import { libc, unwrapOrBlock } from "../ffi/libc.ts";
import { startHelperShell } from "./helper_shell.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";
import { pipe } from "../net/socket.ts";
import { KeptProcess, type Running } from "./kept_process.ts";
import { statFields } from "./processes.ts";
import type { Spawner } from "./spawn.ts";

/** Its `$0`, as shown in process lists. */
export const GUARDIAN_NAME = "zc-guardian";

/**
 * Reads `+ PID STARTTIME` and `- PID STARTTIME`; the end of the input is the end of the master. The
 * arguments are the list of the previous guardian.
 *
 * 1.2 s leave servers the second in which they finish work under way. The text after the last `)` of a
 * stat file begins with the third field, so the 22nd field is the 20th there; a process name may contain
 * any character, line ends included.
 */
const SCRIPT = `
list=' '
for process do list="$list$process "; done
while read -r sign pid start; do
  process=$pid:$start
  case $sign$list in
  +*) list="$list$process " ;;
  -*" $process "*) list="\${list%%" $process "*} \${list#*" $process "}" ;;
  esac
done
[ "$list" = ' ' ] && exit
sleep 1.2 || sleep 1
for process in $list; do
  pid=\${process%:*} stat=
  [ -r "/proc/$pid/stat" ] || continue
  while read -r line; do stat=$line; done <"/proc/$pid/stat"
  set -- \${stat##*)}
  [ "\${20}" = "\${process#*:}" ] && kill -9 "$pid"
done
`;

/** The number of the field with the start time in proc_pid_stat(5). */
const START_TIME = 22;

/** The identification of a process, which a later process with the same pid does not share. */
export interface ProcessId {
  readonly pid: number;
  /** The start time in clock ticks. */
  readonly startTime: string;
}

/** Identifies a process; undefined when it has ended or /proc is out of reach. */
export function processIdOf(pid: number): ProcessId | undefined {
  try {
    // Relative to /proc/self, which stays within reach after a change of the root directory.
    const startTime = statFields(readTextProcSelf(`../${pid}/stat`))[START_TIME];
    return startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

/** A running guardian. */
interface RunningGuardian extends Running {
  /** The write end of its pipe, owned; no other process may have it. */
  readonly input: number;
}

/**
 * Kills the listed processes if they outlive this process by more than 1.2 s.
 *
 * @example
 * ```ts ignore
 * const guardian = new Guardian((error) => console.error(error));
 * const spawner = guardedSpawner(systemSpawner, guardian);
 * ```
 */
export class Guardian {
  readonly #listed = new Map<number, ProcessId>();
  readonly #process: KeptProcess<RunningGuardian>;

  /**
   * @param report Called when the process can't be started, once per series of failures. Without a guardian,
   * servers may outlive this process.
   * @param clock The source of time.
   */
  constructor(report: (error: unknown) => void, clock?: Clock) {
    this.#process = new KeptProcess({
      start: () => startProcess([...this.#listed.values()]),
      // It was killed before, since it would take the end of its input for the end of this process.
      discard: ({ input }) => closeFd(input),
      isNeeded: () => this.#listed.size > 0,
      ...{ report, clock },
    });
  }

  /** The pid, while it runs. */
  get pid(): number | undefined {
    return this.#process.running?.child.pid;
  }

  /** Starts the process, unless it runs, and restarts it from then on whenever it ends. */
  start(): void {
    this.#process.start();
  }

  /** Adds a process to the list. */
  add(process: ProcessId): void {
    this.#listed.set(process.pid, process);
    this.#tell("+", process);
  }

  /** Removes a process that has ended. A second call does nothing. */
  remove(process: ProcessId): void {
    if (this.#listed.get(process.pid) !== process) return;
    this.#listed.delete(process.pid);
    if (this.#listed.size === 0) this.#process.cancelRestart();
    this.#tell("-", process);
  }

  /**
   * Closes the pipe, with the same effect as the end of this process: an empty guardian ends at once, any
   * other after it has killed the listed processes. Waiting for it does not keep the runtime running.
   */
  async close(): Promise<void> {
    this.#process.cancelRestart();
    const { running } = this.#process;
    if (running === undefined) return;
    if (this.#listed.size > 0) {
      this.#process.release(running);
      closeFd(running.input);
    } else {
      this.#process.discard(running);
      await running.child.exited;
    }
  }

  #tell(sign: "+" | "-", { pid, startTime }: ProcessId): void {
    const { running } = this.#process;
    if (running === undefined) return;
    const line = new TextEncoder().encode(`${sign} ${pid} ${startTime}\n`);
    try {
      const context = { syscall: "write", subject: GUARDIAN_NAME };
      // All or nothing, since it is shorter than PIPE_BUF. A full pipe counts as failed from then on.
      const written = unwrapOrBlock(
        context,
        () => libc().write(running.input, line, BigInt(line.length)),
      );
      if (written === undefined) this.#process.replace(running);
    } catch {
      // The guardian was killed, which this process would learn of in a moment. The next one gets the whole list.
      this.#process.replace(running);
    }
  }
}

function startProcess(listed: readonly ProcessId[]): RunningGuardian {
  const [output, input] = pipe();
  try {
    setNonblocking(input);
    const args = listed.map(({ pid, startTime }) => `${pid}:${startTime}`);
    const child = startHelperShell({ name: GUARDIAN_NAME, script: SCRIPT, args, input: output });
    return { child, input };
  } catch (error) {
    closeFd(input);
    throw error;
  } finally {
    closeFd(output);
  }
}

/**
 * Adds all processes that a spawner starts to a guardian, which is started with the first of them, and
 * removes them when they have ended.
 */
export function guardedSpawner(spawner: Spawner, guardian: Guardian): Spawner {
  const guarded = (start: () => ChildProcess): ChildProcess => {
    // First, so that the process is unguarded only for the time of one write.
    guardian.start();
    const child = start();
    const started = processIdOf(child.pid);
    if (started === undefined) return child;
    guardian.add(started);
    child.exited.then(() => guardian.remove(started));
    return {
      ...child,
      status() {
        const status = child.status();
        // The callback may be for the last process that this one waits for.
        if (status !== undefined) guardian.remove(started);
        return status;
      },
    };
  };
  return {
    spawn: (request) => guarded(() => spawner.spawn(request)),
    spawnPlaced: (request) => guarded(() => spawner.spawnPlaced(request)),
  };
}
