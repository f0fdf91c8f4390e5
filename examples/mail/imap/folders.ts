/**
 * The folders of a user: INBOX is the directory itself, and `A.B` the directory `.A.B` in it (Maildir++).
 * Names stay as clients send them, in modified UTF-7.
 *
 * @module
 */
import { foldersIn } from "../store/maildir.ts";

/** What stands between a folder and one below it. */
export const DELIMITER = ".";

/**
 * The directory of a folder.
 *
 * @param inbox The directory of the user.
 * @param name The name.
 * @returns The path; undefined when no folder can have this name.
 */
export function pathOf(inbox: string, name: string): string | undefined {
  if (name.toUpperCase() === "INBOX") return inbox;
  const isName = /^[^/*%\\"]{1,200}$/.test(name) && /^[\x20-\x7e]+$/.test(name);
  return isName && name.split(DELIMITER).every((part) => part !== "")
    ? `${inbox}/.${name}`
    : undefined;
}

/** A name in an answer to LIST. */
export interface ListedName {
  readonly name: string;
  /** Whether it is a folder, or only a level above one. */
  readonly isFolder: boolean;
}

/** The names of all folders. */
async function folderNames(inbox: string): Promise<string[]> {
  const names = await foldersIn(inbox);
  return ["INBOX", ...names.map((name) => name.slice(1)).sort()];
}

/** Whether a folder is there. */
export async function folderExists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(`${path}/cur`)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * The folders whose names meet a pattern, and, where it ends with `%`, the levels that are no folders
 * themselves (RFC 3501, 6.3.8).
 *
 * @param inbox The directory of the user.
 * @param pattern The reference and the name of LIST, in one.
 */
export async function listNames(inbox: string, pattern: string): Promise<ListedName[]> {
  const folders = await folderNames(inbox), known = new Set(folders);
  const levels = pattern.endsWith("%") ? folders.flatMap(levelsAbove) : [];
  const isKnown = (name: string) => known.has(name) || name.toUpperCase() === "INBOX";
  const all = [...folders, ...new Set(levels.filter((name) => !isKnown(name)))];
  return all.filter(nameTest(pattern)).map((name) => ({ name, isFolder: known.has(name) }));
}

/** The levels above a folder: `A` and `A.B` for `A.B.C`. */
function levelsAbove(name: string): string[] {
  const parts = name.split(DELIMITER);
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(DELIMITER));
}

/**
 * A test of names by a pattern of LIST: `*` is anything, and `%` anything within a level. Its time depends
 * on the length of the name, whatever the pattern is.
 *
 * @param pattern The reference and the name of LIST, in one.
 */
export function nameTest(pattern: string): (name: string) => boolean {
  // Wildcards side by side mean what one of them does, and more of them would only take time.
  const short = pattern.replaceAll(/[*%]{2,}/g, (run) => run.includes("*") ? "*" : "%");
  const anyCase = short.toUpperCase(), fewest = short.replaceAll(/[*%]/g, "").length;
  return (name) => name.length >= fewest && meets(name, name === "INBOX" ? anyCase : short);
}

function meets(name: string, pattern: string): boolean {
  // The places in the name at which the part of the pattern so far can have ended.
  let ends = new Set([0]);
  for (const char of pattern) {
    const next = new Set<number>();
    for (const end of ends) {
      if (char !== "*" && char !== "%") {
        if (name[end] === char) next.add(end + 1);
        continue;
      }
      for (let to = end; to <= name.length && !next.has(to); to++) {
        next.add(to);
        if (char === "%" && name[to] === DELIMITER) break;
      }
    }
    if (next.size === 0) return false;
    ends = next;
  }
  return ends.has(name.length);
}
