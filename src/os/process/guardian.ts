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
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";
import { O_CLOEXEC } from "../ffi/constants.ts";
import { closeFd, O_RDWR, setNonblocking } from "../fd/descriptor.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { spawnPlaced } from "./posix_spawn.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";
import { pipe } from "../net/socket.ts";
import { statFields } from "./processes.ts";
import type { Spawner } from "./spawn.ts";

/** Its `$0`, as shown in process lists. */
export const GUARDIAN_NAME = "zc-guardian";

const SHELL = "/bin/sh";

/**
 * Reads `+ PID STARTTIME` and `- PID STARTTIME`; the end of the input is the end of the master. The
 * arguments are the list of the previous guardian.
 *
 * 1.2 s leave servers the second in which they finish work under way. The text after the last `)` of a
 * stat file begins with the third field, so the 22nd field is the 20th there; a process name may contain
 * any character, line ends included.
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
interface Running {
  readonly child: ChildProcess;
  /** The write end of its pipe, owned; no other process may have it. */
  readonly input: number;
}

/** A guardian that has run for this long is restarted at once when it ends. */
const STEADY_MS = 1_000;

/** The first restart delay otherwise, doubled each time up to {@linkcode STEADY_MS}. */
const RESTART_MS = 10;

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
  readonly #report: (error: unknown) => void;
  readonly #listed = new Map<number, ProcessId>();
  readonly #clock: Clock;
  #running?: Running;
  #reported = false;
  #startedAtMs = -Infinity;
  /** The delay of the next restart if this start fails, or its process ends soon. */
  #restartMs = 0;
  #restart?: Timer;

  /**
   * @param report Called when the process can't be started, once per series of failures. Without a guardian,
   * servers may outlive this process.
   * @param clock The source of time.
   */
  constructor(report: (error: unknown) => void, clock: Clock = systemClock) {
    this.#report = report;
    this.#clock = clock;
  }

  /** The pid, while it runs. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** Starts the process, unless it runs, and restarts it from then on whenever it ends. */
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

  /** Restarts the process: at once, or after a delay if it ends repeatedly or can't be started. */
  #startAgain(): void {
    const wasSteady = this.#clock.nowMs() - this.#startedAtMs >= STEADY_MS;
    const delayMs = wasSteady ? 0 : this.#restartMs;
    this.#restartMs = Math.min(Math.max(2 * delayMs, RESTART_MS), STEADY_MS);
    if (delayMs === 0) this.start();
    else {
      this.#restart = this.#clock.setTimer(delayMs, () => {
        // Without a listed process, it is started with the next one.
        if (this.#listed.size > 0) this.start();
      });
    }
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
    if (this.#listed.size === 0) this.#restart?.cancel();
    this.#tell("-", process);
  }

  /**
   * Closes the pipe, with the same effect as the end of this process: an empty guardian ends at once, any
   * other after it has killed the listed processes. Waiting for it does not keep the runtime running.
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

  #tell(sign: "+" | "-", { pid, startTime }: ProcessId): void {
    const running = this.#running;
    if (running === undefined) return;
    const line = new TextEncoder().encode(`${sign} ${pid} ${startTime}\n`);
    try {
      const context = { syscall: "write", subject: GUARDIAN_NAME };
      // All or nothing, since it is shorter than PIPE_BUF. A full pipe counts as failed from then on.
      const written = unwrapOrBlock(
        context,
        () => libc().write(running.input, line, BigInt(line.length)),
      );
      if (written === undefined) this.#replace(running);
    } catch {
      // The guardian was killed, which this process would learn of in a moment.
      this.#replace(running);
    }
  }

  /** Replaces a process that has ended or failed; the new one gets the whole list. */
  #replace(running: Running): void {
    if (this.#running !== running) return;
    this.#discard(running);
    this.#startAgain();
  }

  /** Ends the process without a replacement. */
  #discard(running: Running): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    // Before the end of its input, which it would take for the end of this process.
    running.child.kill("SIGKILL");
    closeFd(running.input);
  }
}

function startProcess(listed: readonly ProcessId[]): Running {
  const processes = listed.map(({ pid, startTime }) => `${pid}:${startTime}`);
  const [output, input] = pipe();
  let nowhere: number | undefined;
  try {
    setNonblocking(input);
    nowhere = openNowhere();
    const child = spawnPlaced({
      path: SHELL,
      argv: ["sh", "-c", SCRIPT, GUARDIAN_NAME, ...processes],
      // A reader that waits for the end of the master's output must not wait for the guardian.
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
