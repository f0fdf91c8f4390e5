/**
 * Who holds the lock of a file (flock(2)).
 *
 * flock(2) asks for no right to write: whoever may read a file can lock it, exclusively too. So a lock
 * alone does not tell that a process may write to the file.
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
/** The access mode in the flags of a descriptor; 0 is for reading alone (open(2), O_ACCMODE). */
const ACCESS_MODE = 3;

/** A process with a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Whether it has the file open for writing. */
  readonly writes: boolean;
}

/**
 * Finds the processes that hold a lock of a file.
 *
 * @param fd The file. Borrowed.
 * @param path Its path, for errors.
 * @returns Those that the kernel shows; none where it shows none.
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
 * The holders that have no descriptor which this process may look at. The list tells who has taken a
 * lock, and not who has it by now; another user's process can't have it from one of this user's.
 *
 * A lock lives as long as the file is open, be it by a mapping or in a message that is not received
 * yet, long after the process that has taken it. So where all who may write to the file can be looked
 * into, and none of them has it, it is not theirs, whoever has taken it.
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
    // Of one that has ended it is not known who it was.
    if (isTheirs && user === undefined) return [];
    return [{ pid: Number(pid), writes: isTheirs && trusted.has(user!) }];
  });
}

/** Whether this process may look at the descriptors of all processes of some users. */
function canLookInto(users: ReadonlySet<number>): boolean {
  return processes().every((pid) => !users.has(userOf(pid) ?? -1) || showsDescriptors(pid));
}
