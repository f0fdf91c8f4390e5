/**
 * The processes that hold the lock of a file (flock(2)).
 *
 * flock(2) needs no right to write: every process that may read a file can lock it, even exclusively. So a
 * lock does not prove that its holder may write to the file.
 *
 * @module
 */
import { type FileStatus, fileStatus } from "../ffi/file_status.ts";
import { libc } from "../ffi/libc.ts";
import {
  descriptorInfo,
  openDescriptorsOf,
  processes,
  readProc,
  showsDescriptors,
  userOf,
} from "./processes.ts";

const ROOT = 0;
/** The access mode in the flags of a descriptor; 0 is read-only (open(2), O_ACCMODE). */
const ACCESS_MODE = 3;

/** A process that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Whether it has the file open for writing. */
  readonly writes: boolean;
}

/**
 * Finds the processes that hold a lock of a file, as far as the kernel shows them.
 *
 * @param fd The file. Borrowed.
 * @param path Its path, for errors.
 */
export function lockHolders(fd: number, path: string): LockHolder[] {
  const file = fileStatus(fd, path);
  const holders: LockHolder[] = [];
  for (const descriptor of openDescriptorsOf(file)) {
    const info = descriptorInfo(descriptor);
    if (!/^lock:.*\bFLOCK\b/m.test(info)) continue;
    const flags = parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "", 8);
    holders.push({ pid: descriptor.pid, writes: (flags & ACCESS_MODE) !== 0 });
  }
  return holders.length > 0 ? holders : listedHolders(file);
}

/**
 * Returns the holders whose descriptors this process may not read. The kernel's list names the process that
 * has taken a lock, not its present holder; a process of another user can't get a lock from one of this
 * user.
 *
 * A lock lives as long as the file is open, also in a mapping or an unreceived message, after the end of
 * the process that has taken it. So if the descriptors of all permitted writers are readable and none of
 * them has the lock, none of them holds it, whichever process has taken it.
 */
function listedHolders(
  { device, ino, uid: owner }: Pick<FileStatus, "device" | "ino" | "uid">,
): LockHolder[] {
  const trusted = new Set([ROOT, owner, libc().getuid()]);
  const isTheirs = !canLookInto(trusted);
  return readProc("locks").split("\n").flatMap((line) => {
    const [, kind, , , pid, place = ""] = line.trim().split(/\s+/);
    if (kind !== "FLOCK" || place !== `${device}:${ino}`) return [];
    const user = userOf(Number(pid));
    // The user of a process that has ended is unknown.
    if (isTheirs && user === undefined) return [];
    return [{ pid: Number(pid), writes: isTheirs && trusted.has(user!) }];
  });
}

/** Whether this process may read the descriptors of all processes of these users. */
function canLookInto(users: ReadonlySet<number>): boolean {
  return processes().every((pid) => !users.has(userOf(pid) ?? -1) || showsDescriptors(pid));
}
