/**
 * What the kernel tells of processes and sockets (proc(5)).
 *
 * @module
 */
import { processIds } from "../../tools/test_processes.ts";
import { eventually } from "./wait.ts";

/** A running process. */
export interface ProcessInfo {
  readonly pid: number;
  /** Its parent's id. */
  readonly parent: number;
  /** Its program and arguments. */
  readonly argv: readonly string[];
}

/**
 * The processes that have a variable in their environment; see `processesWith`. Tests ask again and
 * again, and each look at the environment of a process takes time from that process, too; so each is looked at
 * once, and again when it has become another program. Those that run when this is made have another mark.
 */
export class MarkedProcesses {
  readonly #mark: string;
  #known: ReadonlyMap<number, KnownProcess>;
  readonly #own = commandLineOf(Deno.pid);

  /** @param mark The variable, as `NAME=VALUE`. */
  constructor(mark: string) {
    this.#mark = mark;
    this.#known = new Map(processIds().map((pid) => [pid, { isMarked: false }]));
  }

  /** Those that run now. */
  running(): ProcessInfo[] {
    // The id of one that has ended may be another's next time.
    const known = new Map<number, KnownProcess>(), found: ProcessInfo[] = [];
    for (const pid of processIds()) {
      try {
        const before = this.#known.get(pid);
        const commandLine = before?.isMarked === false ? "" : commandLineOf(pid);
        const now = before?.isMarked === false || before?.commandLine === commandLine
          ? before
          : this.#lookAt(pid, commandLine);
        if (now !== undefined) known.set(pid, now);
        if (!now?.isMarked || commandLine === "") continue;
        found.push({ pid, parent: parentOf(pid), argv: commandLine.split("\0").slice(0, -1) });
      } catch {
        // It has ended meanwhile, or belongs to somebody else.
      }
    }
    this.#known = known;
    return found.sort((a, b) => a.pid - b.pid);
  }

  #lookAt(pid: number, commandLine: string): KnownProcess | undefined {
    const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
    // It has ended, or has become another program meanwhile, which cuts the text short.
    if (!environment.endsWith("\0") || commandLineOf(pid) !== commandLine) return undefined;
    const isMarked = environment.split("\0").includes(this.#mark);
    // A child of this process is about to become its program.
    return isMarked || commandLine !== this.#own ? { isMarked, commandLine } : undefined;
  }
}

/** What is known of a process from an earlier look. */
interface KnownProcess {
  readonly isMarked: boolean;
  /** What it was then; it may have become another program, with another environment, since. */
  readonly commandLine?: string;
}

/** Empty for one that has ended, and waits for its parent. */
function commandLineOf(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]);
}

/**
 * Whether a process is a child of another one, also while it has ended and waits to be reaped.
 *
 * @param pid Which process.
 * @param parent The other one.
 */
export function isChildOf(pid: number, parent: number): boolean {
  try {
    return parentOf(pid) === parent;
  } catch {
    // It has been reaped.
    return false;
  }
}

/**
 * Suspends a process (SIGSTOP), and waits until none of its threads runs any more: a system call that is under way
 * at the signal still comes to its end, such as an accept.
 *
 * @param pid Which process.
 */
export async function suspend(pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  const stands = ({ name }: Deno.DirEntry) => {
    try {
      return /^State:\s*[TXZ]/m.test(Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`));
    } catch {
      // The thread has ended meanwhile.
      return true;
    }
  };
  await eventually(() => [...Deno.readDirSync(`/proc/${pid}/task`)].every(stands), {
    what: `process ${pid} to stand still`,
  });
}

/**
 * What the descriptors of a process refer to.
 *
 * @param pid Whose.
 * @returns Number → target, such as `socket:[4600]` or a path.
 */
export function descriptorsOf(pid: number): Map<number, string> {
  const found = new Map<number, string>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`/proc/${pid}/fd/${name}`));
    } catch {
      // It has been closed meanwhile.
    }
  }
  return found;
}

/**
 * How often each thread of a process has gone to sleep, and so has been woken up.
 *
 * @param pid Whose.
 * @returns Thread → number.
 */
export function wakeUpsOf(pid: number): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
      found.set(name, Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]));
    } catch {
      // The thread has ended meanwhile.
    }
  }
  return found;
}

/**
 * How often a process was woken up since; a thread that has ended since counts no more.
 *
 * @param before The result of {@linkcode wakeUpsOf}.
 * @param pid Whose.
 */
export function wakeUpsSince(before: ReadonlyMap<string, number>, pid: number): number {
  const more = (thread: string, count: number) => count - (before.get(thread) ?? 0);
  return wakeUpsOf(pid).entries().reduce((sum, [thread, count]) => sum + more(thread, count), 0);
}

/** An inet socket of the system. */
export interface TcpSocket {
  /** The port of its own end. */
  readonly localPort: number;
  /** The port of the other end; 0 for one that listens. */
  readonly remotePort: number;
  /** Whether it listens. */
  readonly listens: boolean;
  /** By which a socket is known; 0 for a connection that nobody has accepted. */
  readonly inode: number;
}

/**
 * Where a process listens, on any address of IPv4 and IPv6.
 *
 * @param pid Whose sockets.
 * @returns The inode numbers of its listening sockets, in order.
 */
export function listeningSockets(pid: number): number[] {
  const held = new Set(descriptorsOf(pid).values());
  const listening = [...tcpSockets(), ...tcpSockets("/proc/net/tcp6")].filter(({ listens }) =>
    listens
  )
    .map(({ inode }) => inode);
  return listening.filter((inode) => held.has(`socket:[${inode}]`)).toSorted((a, b) => a - b);
}

/**
 * The ports at the other ends of a process's connections, over IPv4.
 *
 * @param pid Whose. While it is suspended it accepts no more.
 * @param sockets All sockets.
 */
export function remotePortsOf(pid: number, sockets = tcpSockets()): Set<number> {
  const open = new Set(descriptorsOf(pid).values());
  const own = sockets.filter(({ inode, listens }) => !listens && open.has(`socket:[${inode}]`));
  return new Set(own.map(({ remotePort }) => remotePort));
}

/**
 * How long ago a process was started, in milliseconds.
 *
 * @param pid Its id.
 */
export function ageOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const startTicks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  const upSeconds = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  return upSeconds * 1000 - startTicks * (1000 / TICKS_PER_SECOND);
}

/** USER_HZ, which the kernel has fixed (proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100;

const LISTEN = "0A";

/** All sockets of IPv4, or of IPv6 with its own table (proc_pid_net(5)). */
export function tcpSockets(
  table: "/proc/net/tcp" | "/proc/net/tcp6" = "/proc/net/tcp",
): TcpSocket[] {
  const lines = Deno.readTextFileSync(table).trim().split("\n").slice(1);
  return lines.map((line) => {
    const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
    const port = (address: string) => parseInt(address.split(":")[1], 16);
    return {
      localPort: port(local),
      remotePort: port(remote),
      listens: state === LISTEN,
      inode: Number(inode),
    };
  });
}

/**
 * The listening socket of an address.
 *
 * @param target A port of IPv4, or the path of a unix socket.
 * @returns Its inode number, or undefined when nobody listens there.
 */
export function listenerInode(target: number | string): number | undefined {
  if (typeof target === "number") {
    return tcpSockets().find(({ localPort, listens }) => listens && localPort === target)?.inode;
  }
  for (const line of Deno.readTextFileSync("/proc/net/unix").split("\n")) {
    const [, , , flags, , , inode, path] = line.trim().split(/\s+/);
    // __SO_ACCEPTCON: the connections of a listener bear its path too.
    if (path === target && parseInt(flags, 16) & 0x10000) return Number(inode);
  }
}
