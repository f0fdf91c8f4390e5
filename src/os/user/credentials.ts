/**
 * Changes of the credentials and the root directory of this process, which need the privileges of root.
 *
 * glibc changes the credentials of every thread of the process (nptl(7)), those of the runtime included.
 *
 * @module
 */
import { type Credentials, isOwnGroup, type Owner } from "./accounts.ts";
import { EPERM, SysError } from "../ffi/errors.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { keepProcSelf, keepProcSelfFiles, readTextProcSelf } from "../ffi/proc_self.ts";

const CAP_CHOWN = 0n,
  CAP_SETGID = 6n,
  CAP_SETUID = 7n,
  CAP_SETPCAP = 8n,
  CAP_SYS_CHROOT = 18n;
const PR_CAPBSET_DROP = 24, PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39;

/** More than the kernel has. */
const CAPABILITIES = 64n;

/** Whether this process may change its root directory (capabilities(7)). */
export function mayChangeRoot(): boolean {
  return hasCapability(CAP_SYS_CHROOT);
}

/**
 * Whether this process may change to any user, with any groups. It has to be root's: the kernel clears
 * the capabilities of a process only when it leaves user 0.
 */
export function mayChangeUser(): boolean {
  return Deno.uid() === 0 && hasCapability(CAP_SETUID) && hasCapability(CAP_SETGID);
}

/** Whether this process may drop capabilities from its bounding set. */
export function mayDropCapabilities(): boolean {
  return hasCapability(CAP_SETPCAP);
}

/** Whether this process may change the owner of its own file to `owner` (chown(2)). */
export function mayGiveTo({ uid, gid }: Owner): boolean {
  return hasCapability(CAP_CHOWN) ||
    (uid === undefined || uid === Deno.uid()) && (gid === undefined || isOwnGroup(gid));
}

function hasCapability(number: bigint): boolean {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)/m.exec(readTextProcSelf("status")) ?? [];
  return (BigInt(`0x${mask ?? 0}`) >> number & 1n) === 1n;
}

/**
 * Prepares this process for a root directory without /proc: caches the entries that are needed, and makes
 * the runtime read the ones that it needs. Must be called before {@linkcode enter} in a process that goes
 * on as a program of the runtime.
 *
 * @param options `isConfined`: whether the process is to have no way out of the new root, so that it can't
 * read the entries of other processes any more.
 * @throws {SysError} When there is no /proc now.
 */
export async function prepareForAnotherRoot(
  { isConfined }: { readonly isConfined: boolean },
): Promise<void> {
  if (isConfined) keepProcSelfFiles();
  else keepProcSelf();
  // The runtime compiles TypeScript on this thread for the source map of a stack trace. The first time it
  // reads the bounds of the stack from /proc, and aborts the process if it can't.
  const { stripTypeScriptTypes } = await import("node:module");
  stripTypeScriptTypes("if (0);");
}

/**
 * Sets no_new_privs on this thread, so that neither set-user-ID bits nor file capabilities count in any
 * program that it executes or starts. The kernel changes no other thread, so a process that goes on as a
 * program of the runtime has to be started with it.
 *
 * @param credentials The credentials that the process changes to next; with a user, the capability bounding
 * set is dropped as well.
 * @throws {SysError} When the kernel refuses.
 */
export function gainNothing(credentials: Credentials | undefined): void {
  const set = (option: number, value: bigint) => libc().prctl(option, value, 0n, 0n, 0n);
  unwrap({ syscall: "prctl" }, () => set(PR_SET_NO_NEW_PRIVS, 1n));
  if (!credentials?.uid) return;
  // Without the capability to drop capabilities, there is none to drop that matters.
  for (let one = 0n; one < CAPABILITIES && set(PR_CAPBSET_DROP, one) === 0; one++);
}

/** Whether this process was started with no_new_privs on all threads. */
export function gainsNothing(): boolean {
  return libc().prctl(PR_GET_NO_NEW_PRIVS, 0n, 0n, 0n, 0n) === 1;
}

/**
 * Changes the credentials in LIB-ZC's order: the first group, all groups, chroot, chdir to the new root,
 * the user.
 *
 * This clears the parent death signal (prctl(2)).
 *
 * @param credentials The new credentials; undefined to change only the root.
 * @param root The new root directory, if any.
 * @throws {SysError} When a step is not permitted.
 */
export function enter(credentials: Credentials | undefined, root: string | undefined): void {
  if (credentials !== undefined) {
    const { gid, groups } = credentials;
    const list = new Uint32Array(groups);
    unwrap({ syscall: "setgid", subject: gid }, () => libc().setgid(gid));
    unwrap(
      { syscall: "setgroups", subject: groups.join() },
      () => libc().setgroups(BigInt(list.length), new Uint8Array(list.buffer)),
    );
  }
  if (root !== undefined) {
    unwrap({ syscall: "chroot", subject: root }, () => libc().chroot(cString(root)));
    unwrap({ syscall: "chdir", subject: "/" }, () => libc().chdir(cString("/")));
  }
  if (credentials?.uid !== undefined) {
    const { uid } = credentials, own = Deno.uid();
    if (own !== 0 && own !== uid) {
      const why = "not permitted to a user other than root, whose capabilities would stay";
      throw new SysError("setuid", EPERM, `${uid}`, why);
    }
    unwrap({ syscall: "setuid", subject: uid }, () => libc().setuid(uid));
  }
}
