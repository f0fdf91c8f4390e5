/**
 * Maildirs: a folder of messages is a directory with `tmp`, `new` and `cur`, and each message a file.
 * A message has a name that no other one has; its flags stand behind `:2,` in the file name.
 *
 * Files are added without a lock. What renames or removes files, or lists them, does so within
 * `withFolderLock`: a directory that is read while a file in it is renamed may lack that file.
 *
 * @module
 */
import { withFolderLock } from "./folder_lock.ts";

/** The letters of flags in file names, in the order in which they have to stand there. */
export const FLAG_LETTERS = "DFRST";

/** A message in a folder. */
export interface Message {
  /** Its unique name, without flags. It stays the same as long as the message is in this folder. */
  readonly id: string;
  /** Its path, which its flags change. */
  readonly path: string;
  /** The letters of its flags. */
  readonly flags: string;
  /** Whether no client has seen it in the list yet: it is in `new`. */
  readonly isNew: boolean;
  readonly size: number;
}

/**
 * Makes a folder, if it is not there.
 *
 * @param folder Its directory.
 */
export async function makeFolder(folder: string): Promise<void> {
  for (const name of ["tmp", "new", "cur"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true, mode: 0o700 });
  }
}

/** All messages of a folder, sorted by name; the lock has to be held. */
export async function listMessages(folder: string): Promise<Message[]> {
  const found: Message[] = [];
  for (const part of ["new", "cur"]) {
    for await (const { name, isFile } of Deno.readDir(`${folder}/${part}`)) {
      if (!isFile || name.startsWith(".")) continue;
      const [id, info = ""] = name.split(":2,", 2), path = `${folder}/${part}/${name}`;
      const size = sizeIn(id) ?? (await Deno.stat(path)).size;
      found.push({ id, path, flags: sortFlags(info), isNew: part === "new", size });
    }
  }
  return found.sort((a, b) => a.id < b.id ? -1 : 1);
}

/** The size of a message that is a part of its name, as `S=1234`. */
function sizeIn(id: string): number | undefined {
  const size = /,S=([0-9]+)/.exec(id)?.[1];
  return size === undefined ? undefined : Number(size);
}

/** The known letters among some, each once and in their order. */
export function sortFlags(letters: string): string {
  return [...FLAG_LETTERS].filter((letter) => letters.includes(letter)).join("");
}

/**
 * Gives a message other flags, and takes it out of `new`; the lock has to be held.
 *
 * @returns The message as it is then.
 */
export async function setFlags(
  folder: string,
  message: Message,
  flags: string,
): Promise<Message> {
  const path = `${folder}/cur/${message.id}:2,${flags}`;
  if (path !== message.path) await Deno.rename(message.path, path);
  return { ...message, path, flags, isNew: false };
}

/** Removes messages by their names; those that are gone already are no error. */
export async function removeMessages(folder: string, ids: ReadonlySet<string>): Promise<void> {
  await withFolderLock(folder, async () => {
    for (const { id, path } of await listMessages(folder)) if (ids.has(id)) await Deno.remove(path);
  });
}

/**
 * Reads a message, whose flags, and with them its path, may have been changed meanwhile.
 *
 * @returns Its bytes; undefined when it has been removed.
 */
export async function readMessage(
  folder: string,
  message: Message,
): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(message.path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await withFolderLock(folder, async () => {
      const now = (await listMessages(folder)).find(({ id }) => id === message.id);
      return now && await Deno.readFile(now.path);
    });
  }
}
