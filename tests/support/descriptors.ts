/**
 * What tests want to know of open descriptors: none left behind, and the flags of each.
 *
 * @module
 */
import { AF_UNIX, O_CLOEXEC, SO_PASSRIGHTS, SOL_SOCKET } from "../../src/os/ffi/constants.ts";
import { closeFd, O_CREAT, O_RDWR, openDescriptors } from "../../src/os/fd/descriptor.ts";
import { cString, libc, unwrap } from "../../src/os/ffi/libc.ts";
import { newSocket } from "../../src/os/net/socket.ts";
import { eventually } from "./wait.ts";

/** A file of one of the runtime's caches, such as `dep_analysis_cache_v2-wal`. */
const CACHE_FILE = /_cache_v\d+(-wal|-shm|-journal)?$/;

/**
 * The open descriptors of this process, each with its target, without what the runtime opens at a time of its
 * own: a thread opens the caches, which are left out, and half a second after the start of a process come the
 * sockets behind signals, which this call has opened already.
 */
export function countedDescriptors(): Map<number, string> {
  const listener = () => {};
  Deno.addSignalListener("SIGWINCH", listener);
  Deno.removeSignalListener("SIGWINCH", listener);
  return new Map([...openDescriptors()].filter(([, target]) => !CACHE_FILE.test(target)));
}

/** Why what needs a kernel that can refuse descriptors on a unix socket is left out; undefined where it can. */
export function whyNoRefusal(): string | undefined {
  const fd = newSocket(AF_UNIX), value = new Int32Array(1);
  const length = new Uint32Array([value.byteLength]);
  const answer = libc().getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, value, length);
  closeFd(fd);
  return answer === 0 ? undefined : "it needs Linux 6.16";
}

/**
 * Runs a piece of a test and fails if more or other descriptors are open after it. Those that the
 * runtime closes a moment later are waited for.
 *
 * @param body What must leave nothing open.
 * @returns What `body` returned.
 */
export async function leavesNothingOpen<T>(body: () => T | Promise<T>): Promise<T> {
  const before = countedDescriptors();
  const result = await body();
  let changes: string[] = [];
  const unchanged = () => (changes = changesSince(before)).length === 0;
  try {
    await eventually(unchanged, { what: "descriptors to be closed", withinMs: 3_000 });
  } catch (cause) {
    throw new Error(`Cannot accept other descriptors than before: ${changes.join(", ")}`, {
      cause,
    });
  }
  return result;
}

function changesSince(before: ReadonlyMap<number, string>): string[] {
  const after = countedDescriptors();
  const more = [...after].filter(([fd, target]) => before.get(fd) !== target);
  const fewer = [...before].filter(([fd]) => !after.has(fd));
  return [
    ...more.map(([fd, target]) => `+${fd} ${target}`),
    ...fewer.map(([fd, target]) => `-${fd} ${target}`),
  ];
}

/**
 * Opens a file as a raw descriptor, close-on-exec, and makes it if it is not there.
 *
 * @param path The file.
 * @returns The descriptor, owned by the caller.
 */
export function openFile(path: string): number {
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().open(cString(path), O_RDWR | O_CREAT | O_CLOEXEC, 0o600),
  );
}

/**
 * What a descriptor of this process refers to, such as a path; undefined if it is not open.
 *
 * @param fd The descriptor.
 */
export function targetOf(fd: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** The flags of an open descriptor. */
export interface DescriptorFlags {
  /** FD_CLOEXEC. */
  readonly closeOnExec: boolean;
  /** O_NONBLOCK, which all who share the open file description have in common. */
  readonly nonblocking: boolean;
}

/**
 * Looks up the flags of a descriptor (proc_pid_fdinfo(5)).
 *
 * @param fd The descriptor.
 * @param pid Whose; default this process.
 */
export function flagsOf(fd: number, pid: number | "self" = "self"): DescriptorFlags {
  const text = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`);
  const flags = parseInt(/^flags:\s*([0-7]+)/m.exec(text)?.[1] ?? "", 8);
  return { closeOnExec: (flags & 0o2000000) !== 0, nonblocking: (flags & 0o4000) !== 0 };
}
