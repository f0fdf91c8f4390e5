/**
 * Who this process is, and where its root is. All of it needs the privileges of root.
 *
 * glibc changes the credentials of every thread of the process (nptl(7)), so that the runtime's own
 * threads follow.
 *
 * @module
 */
import { type Identity, isOwnGroup, type Owner } from "./identity.ts";
import { cString, libc, unwrap } from "./libc.ts";
import { keepProcSelf, readTextProcSelf } from "./proc_self.ts";

const CAP_CHOWN = 0n, CAP_SETGID = 6n, CAP_SETUID = 7n, CAP_SYS_CHROOT = 18n;

/** Whether this process may change its root directory (capabilities(7)). */
export function mayChangeRoot(): boolean {
  return hasCapability(CAP_SYS_CHROOT);
}

/** Whether this process may become any user, with any groups. */
export function mayChangeUser(): boolean {
  return hasCapability(CAP_SETUID) && hasCapability(CAP_SETGID);
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
 * @throws {SysError} When there is no /proc now.
 */
export async function prepareForAnotherRoot(): Promise<void> {
  keepProcSelf();
  // For the source map of a stack trace the runtime compiles TypeScript on this thread, and when it
  // does so for the first time it reads the bounds of the stack from /proc, or ends the process.
  const { stripTypeScriptTypes } = await import("node:module");
  stripTypeScriptTypes("if (0);");
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
