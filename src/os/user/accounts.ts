/**
 * Users and groups of the system, from any of its databases (getpwnam(3), getgrnam(3)).
 *
 * @module
 */
import { cString, libc } from "../ffi/libc.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";

/** A user of the system. */
export interface User {
  readonly name: string;
  readonly uid: number;
  /** The user's first group. */
  readonly gid: number;
  /** The user's home directory, which may not exist. */
  readonly home: string;
}

/** The credentials of a process: user, group and supplementary groups. */
export interface Credentials {
  /** The user; undefined where only the groups change. */
  readonly uid?: number;
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
  /** The name of the user, if the number has one. */
  readonly name?: string;
  /** See {@linkcode User.home}. */
  readonly home?: string;
}

/** A user and a group to look up, each as a name or a number. At least one of the two. */
export interface Names {
  readonly user?: string;
  /**
   * The first group.
   *
   * @default The user's own.
   */
  readonly group?: string;
}

/** The owner of a file; an undefined part stays unchanged. */
export interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

/** There is no such user or group. */
export class UnknownAccountError extends TypeError {
  override readonly name = "UnknownAccountError";

  /**
   * @param which The invalid part of the {@linkcode Names}.
   * @param found The FOUND part of a message.
   */
  constructor(readonly which: keyof Names, readonly found: string) {
    super(found);
  }
}

/** Offsets in `struct passwd`: pw_name, pw_uid, pw_gid, pw_dir; and in `struct group`: gr_gid. */
const PW_NAME = 0, PW_UID = 16, PW_GID = 20, PW_DIR = 32, GR_GID = 16;

/** One less than the number that stands for "unchanged" in setuid(2) and chown(2). */
const LARGEST_ID = 2 ** 32 - 2;

/** NGROUPS_MAX of Linux. */
const MOST_GROUPS = 65_536;

/** Looks up a user by name; undefined if there is none. */
export function findUser(name: string): User | undefined {
  return readUser(libc().getpwnam(cString(name)));
}

/** Looks up the home directory of a user by number; undefined if there is no such user. */
export function homeOf(uid: number): string | undefined {
  return readUser(libc().getpwuid(uid))?.home;
}

/**
 * Resolves names to credentials. A user gets all groups that the system lists for the user; a group without
 * a user is the only one.
 *
 * @throws {UnknownAccountError} When there is no such user or group.
 */
export function credentialsOf({ user: userName, group }: Names): Credentials {
  if (userName === undefined) {
    const gid = groupNumber(group!);
    return { gid, groups: [gid] };
  }
  const number = idNumber(userName);
  const user = findUser(userName) ??
    (number === undefined ? undefined : readUser(libc().getpwuid(number)));
  if (user !== undefined) {
    const gid = group === undefined ? user.gid : groupNumber(group);
    const { uid, name, home } = user;
    return { uid, gid, groups: groupsOf(name, gid), name, home };
  }
  if (number === undefined) throw new UnknownAccountError("user", "no such user");
  if (group === undefined) {
    throw new UnknownAccountError("user", "a number that is no user's, and no server-group");
  }
  const gid = groupNumber(group);
  return { uid: number, gid, groups: [gid] };
}

/**
 * Resolves names to the owner of a file. A user without a group leaves the group unchanged.
 *
 * @throws {UnknownAccountError} When there is no such user or group.
 */
export function ownerOf({ user, group }: Names): Owner {
  return {
    ...(user !== undefined && { uid: userNumber(user) }),
    ...(group !== undefined && { gid: groupNumber(group) }),
  };
}

/** Whether this process has these credentials already, with these groups and no others. */
export function hasCredentials({ uid, gid, groups }: Credentials): boolean {
  const numbers = ownNumbers();
  const others = new Set([...numbers("Groups"), gid]);
  return (uid === undefined || numbers("Uid").every((own) => own === uid)) &&
    numbers("Gid").every((own) => own === gid) &&
    others.symmetricDifference(new Set([...groups, gid])).size === 0;
}

/** Whether this process has a group, as its first one or as a supplementary one. */
export function isOwnGroup(gid: number): boolean {
  const numbers = ownNumbers();
  return numbers("Gid").includes(gid) || numbers("Groups").includes(gid);
}

/** The supplementary groups of this process. */
export function ownGroups(): number[] {
  return ownNumbers()("Groups");
}

/** The credentials of this process, by the names of proc_pid_status(5). */
function ownNumbers(): (name: "Uid" | "Gid" | "Groups") => number[] {
  const status = readTextProcSelf("status");
  return (name) => {
    const [line = ""] = new RegExp(`^${name}:[\\d\\s]*$`, "m").exec(status) ?? [];
    return (line.match(/\d+/g) ?? []).map(Number);
  };
}

function userNumber(name: string): number {
  const uid = findUser(name)?.uid ?? idNumber(name);
  if (uid === undefined) throw new UnknownAccountError("user", "no such user");
  return uid;
}

function groupNumber(name: string): number {
  const entry = libc().getgrnam(cString(name));
  const gid = entry === null ? idNumber(name) : new Deno.UnsafePointerView(entry).getUint32(GR_GID);
  if (gid === undefined) throw new UnknownAccountError("group", "no such group");
  return gid;
}

function idNumber(text: string): number | undefined {
  return /^[0-9]{1,10}$/.test(text) && Number(text) <= LARGEST_ID ? Number(text) : undefined;
}

function readUser(entry: Deno.PointerValue): User | undefined {
  if (entry === null) return undefined;
  const view = new Deno.UnsafePointerView(entry);
  const text = (offset: number) => Deno.UnsafePointerView.getCString(view.getPointer(offset)!);
  const name = text(PW_NAME), home = text(PW_DIR);
  return { name, uid: view.getUint32(PW_UID), gid: view.getUint32(PW_GID), home };
}

function groupsOf(name: string, first: number): number[] {
  const list = new Uint32Array(MOST_GROUPS), count = new Int32Array([list.length]);
  libc().getgrouplist(cString(name), first, new Uint8Array(list.buffer), count);
  return [...list.subarray(0, count[0])];
}
