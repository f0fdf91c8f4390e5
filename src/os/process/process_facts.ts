/**
 * What the kernel shows of another process: its user, limits, descriptors and arguments (proc(5)).
 *
 * @module
 */
import { ifThere } from "../fs/path.ts";
import { argumentsOf, readProc } from "./processes.ts";

/** A resource limit; Infinity is none. */
export interface Limit {
  readonly soft: number;
  readonly hard: number;
}

/** A process as the kernel shows it. */
export interface ProcessFacts {
  readonly pid: number;
  /** The real, effective, saved and file system user. */
  readonly uids: readonly number[];
  /** The same for the group. */
  readonly gids: readonly number[];
  /** The supplementary groups. */
  readonly groups: readonly number[];
  /** Whether it runs with no_new_privs. */
  readonly gainsNothing: boolean;
  readonly openFiles: Limit;
  readonly coreFile: Limit;
  readonly data: Limit;
  /** The inode of each descriptor; undefined if they can't be read. */
  readonly inodes: readonly number[] | undefined;
  /** Its root directory, as this process sees it; undefined if it can't be read. */
  readonly root: string | undefined;
  /** Its arguments, the program included. */
  readonly args: readonly string[];
}

/** Describes a process; undefined if it has ended. */
export function processFacts(pid: number): ProcessFacts | undefined {
  const status = readProc(`${pid}/status`), limits = readProc(`${pid}/limits`);
  const numbers = (name: string) =>
    (new RegExp(`^${name}:([\\d\\s]*)$`, "m").exec(status)?.[1].match(/\d+/g) ?? []).map(Number);
  const uids = numbers("Uid");
  if (uids.length === 0) return undefined;
  const limit = (name: string): Limit => {
    const found = new RegExp(`^${name} +(\\S+) +(\\S+)`, "m").exec(limits);
    const value = (text = "unlimited") => text === "unlimited" ? Infinity : Number(text);
    return { soft: value(found?.[1]), hard: value(found?.[2]) };
  };
  return {
    pid,
    uids,
    gids: numbers("Gid"),
    groups: numbers("Groups"),
    gainsNothing: numbers("NoNewPrivs")[0] === 1,
    openFiles: limit("Max open files"),
    coreFile: limit("Max core file size"),
    data: limit("Max data size"),
    inodes: inodesOf(pid),
    root: ifThere(() => Deno.readLinkSync(`/proc/${pid}/root`)),
    args: argumentsOf(pid),
  };
}

function inodesOf(pid: number): number[] | undefined {
  const directory = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = Array.from(Deno.readDirSync(directory), ({ name }) => name);
  } catch {
    return undefined;
  }
  return names.flatMap((name) => {
    try {
      return Deno.statSync(`${directory}/${name}`).ino ?? [];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}
