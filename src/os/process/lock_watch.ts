/**
 * The lock watch: a process that kills whoever makes this one wait for a lock of the kernel.
 *
 * While the kernel copies what a process writes to a pipe, or gives to setsockopt(2), it holds the lock of the pipe or
 * socket. If the memory of that process is kept from it, a call of another process on the same pipe or socket waits,
 * with O_NONBLOCK as without, and can't be interrupted. A process that waits so can't help itself.
 *
 * It is a shell that looks once a second. docs/design/19_hostile_servers.md has the reasons.
 *
 * @module
 */
import type { ChildProcess } from "./child_process.ts";
import { closeFd, readFd, setNonblocking } from "../fd/descriptor.ts";
import { EPOLLIN, type Poller, type Watch } from "../fd/poller.ts";
import { pipe } from "../net/socket.ts";
import { processIdOf } from "./guardian.ts";
import { startHelperShell } from "./helper_shell.ts";
import { KeptProcess, type Running } from "./kept_process.ts";

/** Its `$0`, as shown in process lists. */
export const LOCK_WATCH_NAME = "zc-lock-watch";

/** How often a process runs within a second that is held up, at most. */
const RUNS_MAX = 20;

/** In the place of a user that is not known. */
const ANY = "any";

/** What it prints if it may not see what this process waits for. */
const BLIND = "blind";

/** How many looks in series kill some processes only; the next one kills all that it may. */
const LOOKS_MAX = 4;

/**
 * The calls that copy options under the lock of a socket: setsockopt(2), getsockopt(2) and io_uring_enter(2), also by
 * the numbers of 32-bit programs, which every program can use. Of these, socketcall(2) is one as well.
 */
const CALLS = {
  x86_64: [54, 55, 426, 366, 365, 102],
  aarch64: [208, 209, 426, 294, 295],
}[Deno.build.arch];

/** The flag of a thread that works for a ring of io_uring(7), in proc_pid_stat(5): PF_IO_WORKER. */
const WORKS_FOR_RING = 0x10;

/**
 * The arguments are the pid, the start time and the user of the watched process, and the users whose processes it may
 * kill; a process of a third user may have been given the pipe or socket by one of them.
 *
 * A look finds that process held up if it is in an uninterruptible wait (D) in a system call whose first argument is
 * the descriptor of a pipe or socket, and has hardly run since the last such look, whichever it waited for then: a
 * process that is only busy with a pipe runs hundreds of times a second. Looks that find it so count up, others down;
 * when it has not run at all since the last look, that one counts twice. At three, and at each such look after that,
 * all processes of these users that have this pipe or socket are killed, and each pid is printed.
 *
 * All threads are looked at: a main thread that has ended has no descriptors, and a thread can have descriptors of its
 * own. The list of them is searched by one program, however many they are, and is quoted, so that no path of an open
 * file can forge a line. If the process is still held up at the next look, by this or another pipe or socket, the
 * holder has no descriptor: another thread has closed it, or it is a file of a ring only. So all processes of the user
 * who owns the pipe are killed; for a socket, all that are in a call that can hold its lock, or have a thread of a ring.
 * Whatever holds it nevertheless after some more looks, all processes of these users in its cgroup are killed.
 *
 * A process that ends waits for the lock of a pipe, too, in its main thread or in another one, and has no descriptors
 * any more that tell which: all processes of these users in its cgroup are killed, as a service manager does that stops
 * it.
 */
const SCRIPT = `
watched=$1 begun=$2 owner=$3
shift 3
users=" $* "
found=0 runs=0 looks=0
if ! { read -r call <"/proc/$watched/syscall"; } 2>/dev/null; then
  echo ${BLIND}
  exec sleep 60
fi
field() {
  value=
  while read -r name first rest; do
    [ "$name" = "$1" ] && value=$first
  done <"/proc/$2/status"
} 2>/dev/null
read_stat() {
  stat=
  while read -r line; do stat=$line; done <"$1/stat"
} 2>/dev/null
has_shared() {
  ls -lQ "/proc/$1/task/"*/fd | grep -qF " -> \\"$shared\\""
} 2>/dev/null
is_hiding() {
  [ $looks -gt 1 ] || return
  if [ $looks -gt ${LOOKS_MAX} ]; then is_beside "$1"; return; fi
  if [ -p "$link" ]; then [ "$2" = "$user" ]; return; fi
  for thread in "/proc/$1/task/"*; do
    call=
    read -r call rest <"$thread/syscall"
    case " ${CALLS.join(" ")} " in *" $call "*) return 0 ;; esac
    read_stat "$thread"
    set -- \${stat##*)}
    [ $((\${7:-0} & ${WORKS_FOR_RING})) = 0 ] || return 0
  done
  return 1
} 2>/dev/null
has_threads() {
  set -- "/proc/$watched/task/"*
  [ $# -gt 1 ]
}
is_beside() {
  own=$(cat "/proc/$watched/cgroup") && group=$(cat "/proc/$1/cgroup") && [ "$own" = "$group" ]
} 2>/dev/null
is_holder() {
  if [ -z "$link" ]; then is_beside "$1"; else has_shared "$1" || is_hiding "$1" "$2"; fi
}
may_kill() {
  [ "$1" != "$owner" ] || return
  case $users in *" ${ANY} "* | *" $1 "*) return 0 ;; esac
  return 1
}
count_down() {
  looks=0
  [ $found -gt 0 ] && found=$((found - 1))
}
while sleep 1; do
  read_stat "/proc/$watched"
  set -- \${stat##*)}
  [ "\${20}" = "$begun" ] || exit
  if [ "$1" != D ] && ! { [ "$1" = Z ] && has_threads; }; then count_down; continue; fi
  if [ -L "/proc/$watched/fd/0" ]; then
    { read -r call fd rest <"/proc/$watched/syscall"; } 2>/dev/null || continue
    case $fd in 0x*) link=/proc/$watched/fd/$((fd)) ;; *) count_down; continue ;; esac
    if [ -p "$link" ] || [ -S "$link" ]; then :; else count_down; continue; fi
    shared=$(readlink "$link") || continue
  else
    link= shared=
  fi
  field voluntary_ctxt_switches: "$watched"
  since=$((value - runs)) runs=$value
  if [ $since -ge ${RUNS_MAX} ]; then found=1 looks=0; continue; fi
  found=$((found + 1))
  [ $since = 0 ] && found=$((found + 1))
  [ $found -ge 3 ] || continue
  found=2 looks=$((looks + 1))
  [ -n "$link" ] && set -- $(ls -lnL "$link") && user=$3
  for process in /proc/[0-9]*; do
    pid=\${process#/proc/}
    field Uid: "$pid"
    [ -n "$value" ] && may_kill "$value" || continue
    is_holder "$pid" "$value" && kill -9 "$pid" && [ -n "$link" ] && echo "$pid"
  done
done
`;

/** What a lock watch needs. */
export interface LockWatchOptions {
  readonly poller: Poller;
  /** Called for each process that it has killed. */
  onKilled(pid: number): void;
  /** Called when it can't be started, or may not see what this process waits for. */
  onMissing(error: unknown): void;
}

/** A running watch. */
interface RunningWatch extends Running {
  /** The read end of its output, owned. */
  readonly output: number;
  readonly watch: Watch;
}

/** Watches over this process. */
export class LockWatch {
  readonly #options: LockWatchOptions;
  readonly #process: KeptProcess<RunningWatch>;
  /** The users whose processes it may kill. */
  readonly #users = new Set<number | typeof ANY>();
  #isBlind = false;
  /** The last line of its output, of which the rest has not come. */
  #begunLine = "";

  constructor(options: LockWatchOptions) {
    this.#options = options;
    this.#process = new KeptProcess({
      start: () => this.#begin(),
      discard({ output, watch }) {
        watch.stop();
        closeFd(output);
      },
      isNeeded: () => true,
      report: options.onMissing,
    });
  }

  /**
   * Starts it, unless it runs with this user.
   *
   * @param user A user whose processes it may kill; undefined if the user is not known.
   */
  start(user: number | undefined): void {
    if (this.#isBlind) return;
    const { size } = this.#users, { running } = this.#process;
    this.#users.add(user ?? ANY);
    if (running !== undefined && this.#users.size > size) this.#process.replace(running);
    else this.#process.start();
  }

  /** Ends it, at the end of this process. */
  close(): void {
    this.#process.cancelRestart();
    const { running } = this.#process;
    if (running !== undefined) this.#process.discard(running);
  }

  #begin(): RunningWatch {
    const [output, input] = pipe();
    this.#begunLine = "";
    let watch: Watch | undefined;
    try {
      setNonblocking(output);
      watch = this.#options.poller.watch(output, EPOLLIN, () => this.#read(output));
      return { child: startShell(input, this.#users), output, watch };
    } catch (error) {
      watch?.stop();
      closeFd(output);
      throw error;
    } finally {
      closeFd(input);
    }
  }

  #read(output: number): void {
    const room = new Uint8Array(4_096), count = readFd(output, room);
    const { running } = this.#process;
    if (count === undefined || running?.output !== output) return;
    // It has ended.
    if (count === 0) return this.#process.replace(running);
    const text = this.#begunLine + new TextDecoder().decode(room.subarray(0, count));
    const lines = text.split("\n");
    this.#begunLine = lines.pop()!;
    for (const line of lines) {
      if (line !== BLIND) this.#options.onKilled(Number(line));
      else {
        this.#isBlind = true;
        this.close();
        this.#options.onMissing(
          new Error("Cannot read /proc/self/syscall, expected CAP_SYS_PTRACE or no restriction"),
        );
      }
    }
  }
}

function startShell(output: number, users: ReadonlySet<number | string>): ChildProcess {
  const own = processIdOf(Deno.pid);
  if (own === undefined) throw new Error("Cannot read /proc/self/stat, expected a mounted /proc");
  const args = [own.pid, own.startTime, Deno.uid(), ...users].map(String);
  return startHelperShell({ name: LOCK_WATCH_NAME, script: SCRIPT, args, output });
}
