/**
 * The folders of a user: INBOX is the directory itself, and `A.B` the directory `.A.B` in it (Maildir++).
 * Names stay as clients send them, in modified UTF-7.
 *
 * @module
 */

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

/** The names of all folders. */
export async function folderNames(inbox: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(inbox)) {
    if (isDirectory && name.startsWith(".")) names.push(name.slice(1));
  }
  return ["INBOX", ...names.sort()];
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
 * A test of names by a pattern of LIST: `*` is anything, and `%` anything within a level.
 *
 * @param pattern The reference and the name of LIST, in one.
 */
export function nameTest(pattern: string): (name: string) => boolean {
  const source = [...pattern].map((char) =>
    char === "*" ? ".*" : char === "%" ? `[^${DELIMITER}]*` : RegExp.escape(char)
  ).join("");
  const form = new RegExp(`^${source}$`), anyCase = new RegExp(`^${source}$`, "i");
  return (name) => (name === "INBOX" ? anyCase : form).test(name);
}
