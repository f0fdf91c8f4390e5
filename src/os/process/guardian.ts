/**
 * The guardian: a process beside the master whose one task is that no server outlives a master that
 * was killed, whatever the server does: programs that never ask who their parent is, event loops
 * that are blocked, processes that are stopped.
 *
 * It is a shell that reads a pipe from the master. No setting reaches it, and it must never end a
 * process that the master has not named to it. docs/design/06_no_orphans.md tells why it is there.
 *
 * @module
 */
import type { ChildProcess } from "./child_process.ts";
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";
import { closeFd, O_CLOEXEC, O_RDWR, setNonblocking } from "../fd/descriptor.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { spawnPlaced } from "./posix_spawn.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";
import { pipe } from "../net/socket.ts";
import type { Spawner } from "./spawn.ts";

/** Its `$0`, by which it is found in a list of processes. */
export const GUARDIAN_NAME = "zc-guardian";

const SHELL = "/bin/sh";

/**
 * Reads `+ PID STARTTIME` and `- PID STARTTIME`; the end of the input is the end of the master.
 * The arguments are what a guardian before this one had read.
 *
 * 1.2 s leave servers the second in which they finish what is under way. What follows the last `)`
 * of a stat file begins with its third field, so that the 22nd is the 20th there; a process's name
 * may contain anything, line ends included.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM TSTP USR1 USR2 TTIN TTOU
PATH=/usr/bin:/bin
cd /
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

/** A process, and not another one that has got its pid later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, in the clock ticks of field 22 of proc_pid_stat(5). */
  readonly startTime: string;
}

/**
 * Identifies a process.
 *
 * @param pid Its id.
 * @returns Its identity, or undefined when it is gone or /proc is out of reach.
 */
export function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    // Beside /proc/self, which stays within reach after a change of the root directory.
    const stat = readTextProcSelf(`../${pid}/stat`);
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return { pid, startTime };
  } catch {
    return undefined;
  }
}

/** A running guardian. */
interface Running {
  readonly child: ChildProcess;
  /** The write end of its pipe, owned; nobody else may have it. */
  readonly input: number;
}

/** A guardian that has lived for so long is replaced at once when it ends. */
const STEADY_MS = 1_000;

/** Otherwise the next one waits: this time at first, and twice as long each time, up to {@linkcode STEADY_MS}. */
const RESTART_MS = 10;

/**
 * Kills the processes that are named to it if they outlive this process by more than 1.2 s.
 *
 * @example
 * ```ts ignore
 * const guardian = new Guardian((error) => console.error(error));
 * const spawner = guardedSpawner(systemSpawner, guardian);
 * ```
 */
export class Guardian {
  readonly #report: (error: unknown) => void;
  readonly #listed = new Map<number, ProcessIdentity>();
  readonly #clock: Clock;
  #running?: Running;
  #reported = false;
  #startedAtMs = -Infinity;
  /** How long the next start waits if this one fails, or its process ends soon. */
  #restartMs = 0;
  #restart?: Timer;

  /**
   * Starts nothing yet.
   *
   * @param report Told when the process can't be started, once until it can be again. All works
   * without it, but processes may then outlive this one.
   * @param clock Where time comes from.
   */
  constructor(report: (error: unknown) => void, clock: Clock = systemClock) {
    this.#report = report;
    this.#clock = clock;
  }

  /** The process's id, while it runs. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** Starts the process, unless it runs; from then on it is started again whenever it ends. */
  start(): void {
    if (this.#running !== undefined) return;
    this.#restart?.cancel();
    this.#startedAtMs = this.#clock.nowMs();
    try {
      const running = startProcess([...this.#listed.values()]);
      this.#running = running;
      running.child.exited.then(() => this.#replace(running));
      this.#reported = false;
    } catch (error) {
      if (!this.#reported) this.#report(error);
      this.#reported = true;
      this.#startAgain();
    }
  }

  /** Starts the next process: at once, or after a while where one after the other ends or none can be started. */
  #startAgain(): void {
    const wasSteady = this.#clock.nowMs() - this.#startedAtMs >= STEADY_MS;
    const delayMs = wasSteady ? 0 : this.#restartMs;
    this.#restartMs = Math.min(Math.max(2 * delayMs, RESTART_MS), STEADY_MS);
    if (delayMs === 0) this.start();
    else {
      this.#restart = this.#clock.setTimer(delayMs, () => {
        // Without a process to guard, the next one is early enough.
        if (this.#listed.size > 0) this.start();
      });
    }
  }

  /**
   * Has a process killed if it outlives this one.
   *
   * @param process The process.
   */
  add(process: ProcessIdentity): void {
    this.#listed.set(process.pid, process);
    this.#tell("+", process);
  }

  /**
   * Forgets a process, since it has ended. Harmless the second time.
   *
   * @param process The process.
   */
  remove(process: ProcessIdentity): void {
    if (this.#listed.get(process.pid) !== process) return;
    this.#listed.delete(process.pid);
    if (this.#listed.size === 0) this.#restart?.cancel();
    this.#tell("-", process);
  }

  /**
   * Ends it as the end of this process would: at once if no process is listed, and otherwise when
   * those that are have been killed, which is not waited for. The wait for it does not keep the
   * runtime from ending.
   */
  async close(): Promise<void> {
    this.#restart?.cancel();
    const running = this.#running;
    if (running === undefined) return;
    if (this.#listed.size > 0) {
      this.#running = undefined;
      closeFd(running.input);
    } else {
      this.#discard(running);
      await running.child.exited;
    }
  }

  #tell(sign: "+" | "-", { pid, startTime }: ProcessIdentity): void {
    const running = this.#running;
    if (running === undefined) return;
    const line = new TextEncoder().encode(`${sign} ${pid} ${startTime}\n`);
    try {
      const context = { syscall: "write", subject: GUARDIAN_NAME };
      // All or nothing: it is shorter than PIPE_BUF. What has no room stands for all that follows.
      const written = unwrapOrBlock(
        context,
        () => libc().write(running.input, line, BigInt(line.length)),
      );
      if (written === undefined) this.#replace(running);
    } catch {
      // It was killed, and this process would hear of that in a moment.
      this.#replace(running);
    }
  }

  /** Puts another process in the place of one that has ended or is of no use; it gets the whole list. */
  #replace(running: Running): void {
    if (this.#running !== running) return;
    this.#discard(running);
    this.#startAgain();
  }

  /** Ends the process without a successor. */
  #discard(running: Running): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    // Before the end of its input, which it would take for the end of this process.
    running.child.kill("SIGKILL");
    closeFd(running.input);
  }
}

function startProcess(listed: readonly ProcessIdentity[]): Running {
  const processes = listed.map(({ pid, startTime }) => `${pid}:${startTime}`);
  const [output, input] = pipe();
  let nowhere: number | undefined;
  try {
    setNonblocking(input);
    nowhere = openNowhere();
    const child = spawnPlaced({
      path: SHELL,
      argv: ["sh", "-c", SCRIPT, GUARDIAN_NAME, ...processes],
      // Whoever waits for the end of the master's output must not wait for the guardian.
      fds: [{ from: output, to: 0 }, { from: nowhere, to: 1 }, { from: nowhere, to: 2 }],
    });
    return { child, input };
  } catch (error) {
    closeFd(input);
    throw error;
  } finally {
    closeFd(output);
    if (nowhere !== undefined) closeFd(nowhere);
  }
}

function openNowhere(): number {
  const path = "/dev/null";
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().open(cString(path), O_RDWR | O_CLOEXEC, 0),
  );
}

/**
 * Puts all processes that a spawner starts under the eyes of a guardian, which is started with the
 * first of them.
 *
 * @param spawner Starts the processes.
 * @param guardian Guards them until they have ended.
 */
export function guardedSpawner(spawner: Spawner, guardian: Guardian): Spawner {
  const guarded = (start: () => ChildProcess): ChildProcess => {
    // First, so that the process is alone for no longer than it takes to write a line.
    guardian.start();
    const child = start();
    const identity = identityOf(child.pid);
    if (identity === undefined) return child;
    guardian.add(identity);
    child.exited.then(() => guardian.remove(identity));
    return {
      ...child,
      status() {
        const status = child.status();
        // Whoever is told may be the last whom this process has waited for.
        if (status !== undefined) guardian.remove(identity);
        return status;
      },
    };
  };
  return {
    spawn: (request) => guarded(() => spawner.spawn(request)),
    spawnPlaced: (request) => guarded(() => spawner.spawnPlaced(request)),
  };
}
