/**
 * Who this process is, and where its root is. All of it needs the privileges of root.
 *
 * glibc changes the credentials of every thread of the process (nptl(7)), so that the runtime's own
 * threads follow.
 *
 * @module
 */
import { type Identity, isOwnGroup, type Owner } from "./identity.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { keepProcSelf, keepProcSelfFiles, readTextProcSelf } from "../ffi/proc_self.ts";

const CAP_CHOWN = 0n,
  CAP_SETGID = 6n,
  CAP_SETUID = 7n,
  CAP_SETPCAP = 8n,
  CAP_SYS_CHROOT = 18n;
const PR_CAPBSET_DROP = 24, PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39;

/** More than there are. */
const CAPABILITIES = 64n;

/** Whether this process may change its root directory (capabilities(7)). */
export function mayChangeRoot(): boolean {
  return hasCapability(CAP_SYS_CHROOT);
}

/** Whether this process may become any user, with any groups. */
export function mayChangeUser(): boolean {
  return hasCapability(CAP_SETUID) && hasCapability(CAP_SETGID);
}

/** Whether this process may take capabilities out of its bounding set. */
export function mayDropCapabilities(): boolean {
  return hasCapability(CAP_SETPCAP);
}

/**
 * Whether this process may give a file of its own to an owner (chown(2)).
 *
 * @param owner The owner.
 */
export function mayGiveTo({ uid, gid }: Owner): boolean {
  return hasCapability(CAP_CHOWN) ||
    (uid === undefined || uid === Deno.uid()) && (gid === undefined || isOwnGroup(gid));
}

function hasCapability(number: bigint): boolean {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)/m.exec(readTextProcSelf("status")) ?? [];
  return (BigInt(`0x${mask ?? 0}`) >> number & 1n) === 1n;
}

/**
 * Prepares this process for a root directory without /proc: keeps what is read there, and makes the
 * runtime read what it needs there. To be called before {@linkcode enter} by whoever goes on as
 * a program of the runtime.
 *
 * @param options `isConfined`: whether the process is to have no way out of the new root, so that it
 * can read of no other process any more.
 * @throws {SysError} When there is no /proc now.
 */
export async function prepareForAnotherRoot(
  { isConfined }: { readonly isConfined: boolean },
): Promise<void> {
  if (isConfined) keepProcSelfFiles();
  else keepProcSelf();
  // For the source map of a stack trace the runtime compiles TypeScript on this thread, and when it
  // does so for the first time it reads the bounds of the stack from /proc, or ends the process.
  const { stripTypeScriptTypes } = await import("node:module");
  stripTypeScriptTypes("if (0);");
}

/**
 * Makes sure that this thread, and every program that it becomes or starts, gains nothing by what it
 * executes: no bit and no capability of a file counts. The kernel changes no other thread, so that who
 * goes on as a program of the runtime has to have been started like that.
 *
 * @param identity Whom the process becomes next; a user loses the bounding set of capabilities as well.
 * @throws {SysError} When the kernel refuses.
 */
export function gainNothing(identity: Identity | undefined): void {
  const set = (option: number, value: bigint) => libc().prctl(option, value, 0n, 0n, 0n);
  unwrap({ syscall: "prctl" }, () => set(PR_SET_NO_NEW_PRIVS, 1n));
  if (!identity?.uid) return;
  // Without the capability for it there is none to lose that counts.
  for (let one = 0n; one < CAPABILITIES && set(PR_CAPBSET_DROP, one) === 0; one++);
}

/** Whether all of this process was started so that it gains nothing by what it executes. */
export function gainsNothing(): boolean {
  return libc().prctl(PR_GET_NO_NEW_PRIVS, 0n, 0n, 0n, 0n) === 1;
}

/**
 * Becomes another user or group, in LIB-ZC's order: the first group, all groups, chroot, chdir to
 * the new root, the user.
 *
 * The death signal of a parent is lost by this (prctl(2)).
 *
 * @param identity Whom to become; undefined for a change of the root alone.
 * @param root The new root directory, if there is to be one.
 * @throws {SysError} When a step is not permitted.
 */
export function enter(identity: Identity | undefined, root: string | undefined): void {
  if (identity !== undefined) {
    const { gid, groups } = identity;
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
  if (identity?.uid !== undefined) {
    const { uid } = identity;
    unwrap({ syscall: "setuid", subject: uid }, () => libc().setuid(uid));
  }
}
