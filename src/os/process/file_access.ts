/**
 * The access of another user to files, as the kernel grants it. No process of that user takes part, which
 * the user's other processes could kill or stop: this thread takes on the user's credentials for files
 * (setfsuid(2)), and for nothing else. docs/design/16_no_way_back.md lists the alternatives.
 *
 * @module
 */
import { AT_FDCWD } from "../ffi/constants.ts";
import { EACCES } from "../ffi/errors.ts";
import { cString, errno, libc } from "../ffi/libc.ts";
import { ifThere, lstatPath, statPath } from "../fs/path.ts";
import { mayChangeUser } from "../user/credentials.ts";
import { type Credentials, ownGroups } from "../user/accounts.ts";

const SYS_SETGROUPS = Deno.build.arch === "x86_64" ? 116n : 159n, SYS_FACCESSAT2 = 439n;

const PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4;

/** Modes of access(2) for each kind, and the flag for the credentials that count when a file is opened. */
const MODES = { r: 4, w: 2, c: 2, x: 1 } as const, F_OK = 0;
const AT_EACCESS = 0x200, AT_SYMLINK_NOFOLLOW = 0x100;

/** The argument of setfsuid(2) that changes nothing. */
const NO_ID = 2 ** 32 - 1;

const STICKY = 0o1000;

/**
 * A kind of access to a path: read; write (`w`: change the file, or replace an entry of the directory; `c`: the
 * same, or create an entry, which differs in a sticky directory); execute and search.
 */
export type Access = keyof typeof MODES;

/**
 * Asks the kernel which access a user has. An owner counts as able to write, since an owner can change
 * the mode, and the owner of a link as able to replace it. In a sticky directory only owners can remove entries.
 *
 * @param credentials The user.
 * @param wanted The kinds of access, with an absolute path each.
 * @returns Whether each is permitted; undefined where the kernel can't be asked: by a process that is not
 * root's, or before Linux 5.8.
 */
export function accessAs(
  credentials: Credentials,
  wanted: readonly (readonly [access: Access, path: string])[],
): readonly boolean[] | undefined {
  const { uid } = credentials;
  if (uid === undefined || !mayChangeUser()) return undefined;
  const answers = withFileCredentials({ ...credentials, uid }, () => {
    // Neither an older kernel nor a filter of system calls denies this one for its path.
    if (faccessat("/", F_OK) !== 0) return undefined;
    return wanted.map(([access, path]) => ({
      error: faccessat(path, MODES[access]),
      isReachable: faccessat(path, F_OK) === 0,
      isEntryReachable: faccessat(path, F_OK, AT_SYMLINK_NOFOLLOW) === 0,
    }));
  });
  return answers?.map(({ error, isReachable, isEntryReachable }, index) => {
    const [access, path] = wanted[index];
    if (access === "r" || access === "x") return error === 0;
    // Meanwhile another process may have removed the file.
    const entry = isEntryReachable ? ifThere(() => lstatPath(path)) : undefined;
    if (entry?.isSymlink && entry.uid === uid) return true;
    const file = isReachable ? ifThere(() => statPath(path)) : undefined;
    if (file === undefined) return false;
    const isOwner = file.uid === uid;
    if (error !== 0) return error === EACCES && isOwner;
    return isOwner || access === "c" || (file.mode! & STICKY) === 0;
  });
}

/** Asks for this thread's credentials; 0 or the number of the error. */
function faccessat(path: string, mode: number, flags = 0): number {
  const text = cString(path);
  const result = libc().faccessat2(SYS_FACCESSAT2, AT_FDCWD, text, mode, AT_EACCESS | flags);
  return result === 0n ? 0 : errno();
}

/**
 * Calls a function while this thread has the credentials of a user for files. All other threads keep
 * theirs, and so do signals and ptrace(2): they look at the other credentials of this thread.
 */
function withFileCredentials<T>(
  { uid, gid, groups }: Credentials & { readonly uid: number },
  ask: () => T,
): T | undefined {
  const { setfsuid, setfsgid, prctl } = libc();
  const own = { uid: setfsuid(NO_ID), gid: setfsgid(NO_ID), groups: ownGroups() };
  // The kernel resets both with any change of credentials.
  const isDumpable = prctl(PR_GET_DUMPABLE, 0n, 0n, 0n, 0n);
  const deathSignal = parentDeathSignal();
  try {
    const hasGroups = setOwnGroups(groups);
    setfsgid(gid);
    setfsuid(uid);
    const isChanged = hasGroups && setfsgid(NO_ID) === gid && setfsuid(NO_ID) === uid;
    return isChanged ? ask() : undefined;
  } finally {
    setfsuid(own.uid);
    setfsgid(own.gid);
    setOwnGroups(own.groups);
    prctl(PR_SET_DUMPABLE, BigInt(isDumpable), 0n, 0n, 0n);
    prctl(PR_SET_PDEATHSIG, BigInt(deathSignal), 0n, 0n, 0n);
  }
}

/** Sets the groups of this thread; setgroups(3) of libc would set those of all threads. */
function setOwnGroups(groups: readonly number[]): boolean {
  const list = new Uint32Array(groups);
  const bytes = new Uint8Array(list.buffer);
  return libc().setgroups_of_thread(SYS_SETGROUPS, BigInt(list.length), bytes) === 0n;
}

function parentDeathSignal(): number {
  // Not a small typed array, which the garbage collector may move.
  const number = new Int32Array(new ArrayBuffer(4));
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(number));
  libc().prctl(PR_GET_PDEATHSIG, address, 0n, 0n, 0n);
  return number[0];
}
