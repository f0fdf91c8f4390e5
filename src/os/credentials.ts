/**
 * Who this process is, and where its root is. All of it needs the privileges of root.
 *
 * glibc changes the credentials of every thread of the process (nptl(7)), so that the runtime's own
 * threads follow.
 *
 * @module
 */
import { cString, libc, unwrap } from "./libc.ts";
import { keepProcSelf, readTextProcSelf } from "./proc_self.ts";

/** A user of the system. */
export interface User {
  readonly name: string;
  readonly uid: number;
  /** The user's first group. */
  readonly gid: number;
}

const CAP_SYS_CHROOT = 18n;

/** Offsets in `struct passwd`: pw_uid, pw_gid. */
const PW_UID = 16, PW_GID = 20;

/**
 * Looks a user up, wherever the system keeps its users (getpwnam(3)).
 *
 * @param name The user's name.
 * @returns The user, or undefined when there is none of that name.
 */
export function findUser(name: string): User | undefined {
  const entry = libc().getpwnam(cString(name));
  if (entry === null) return undefined;
  const view = new Deno.UnsafePointerView(entry);
  return { name, uid: view.getUint32(PW_UID), gid: view.getUint32(PW_GID) };
}

/** Whether this process may change its root directory (capabilities(7)). */
export function mayChangeRoot(): boolean {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)/m.exec(readTextProcSelf("status")) ?? [];
  return (BigInt(`0x${mask ?? 0}`) >> CAP_SYS_CHROOT & 1n) === 1n;
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
 * Becomes a user, with all of the user's groups, in LIB-ZC's order: setgid, initgroups, chroot,
 * chdir to the new root, setuid.
 *
 * The death signal of a parent is lost by this (prctl(2)).
 *
 * @param user Whom to become; undefined for a change of the root alone.
 * @param root The new root directory, if there is to be one.
 * @throws {SysError} When a step is not permitted.
 */
export function enter(user: User | undefined, root: string | undefined): void {
  if (user !== undefined) {
    const { name, gid } = user;
    unwrap({ syscall: "setgid", subject: gid }, () => libc().setgid(gid));
    unwrap({ syscall: "initgroups", subject: name }, () => libc().initgroups(cString(name), gid));
  }
  if (root !== undefined) {
    unwrap({ syscall: "chroot", subject: root }, () => libc().chroot(cString(root)));
    unwrap({ syscall: "chdir", subject: "/" }, () => libc().chdir(cString("/")));
  }
  if (user !== undefined) {
    unwrap({ syscall: "setuid", subject: user.uid }, () => libc().setuid(user.uid));
  }
}
