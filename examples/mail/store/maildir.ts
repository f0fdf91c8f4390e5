/**
 * Maildirs: a folder of messages is a directory with `tmp`, `new` and `cur`, and each message a file.
 * A message has a name that no other one has; its flags stand behind `:2,` in the file name.
 *
 * Files are added without a lock. What renames or removes files, or lists them, does so within
 * `withFolderLock`: a directory that is read while a file in it is renamed may lack that file.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { syncDirectory } from "./durable.ts";
import { withFolderLock } from "./folder_lock.ts";

/** The letters of flags in file names, in the order in which they have to stand there. */
export const FLAG_LETTERS = "DFRST";

/** When a file in `tmp` is the rest of a delivery that has failed (the Maildir format says 36 hours). */
const ABANDONED_MS = 36 * 3_600_000;

/** A message in a folder. */
export interface Message {
  /** Its unique name, without flags. It stays the same as long as the message is in this folder. */
  readonly id: string;
  /** Its path, which its flags change. */
  readonly path: string;
  /** The letters of its flags. */
  readonly flags: string;
  /** Whether the file is in `new`: no IMAP session has listed it. */
  readonly isNew: boolean;
  readonly size: number;
}

/**
 * Makes a folder, if it is not there, and makes its directories durable.
 *
 * @param folder Its directory, whose parent has to be there.
 */
export async function makeFolder(folder: string): Promise<void> {
  for (const name of ["tmp", "new", "cur"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true, mode: 0o700 });
  }
  // Another process may have made them just now, and not have synced them yet.
  for (const path of [folder, dirname(folder)]) await syncDirectory(path);
}

/** The INBOX of the user whose folder this is: the directory itself, or its parent (Maildir++). */
export function inboxOf(folder: string): string {
  return basename(folder).startsWith(".") ? dirname(folder) : folder;
}

/** The names of the directories of a user's folders but INBOX; each begins with a dot. */
export async function foldersIn(inbox: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(inbox)) {
    if (isDirectory && name.startsWith(".")) names.push(name);
  }
  return names;
}

/**
 * Removes what deliveries that were cut off have left in `tmp` of all folders of a user.
 *
 * @param inbox The directory of the user.
 * @param now The time.
 */
export async function removeAbandoned(inbox: string, now: number = Date.now()): Promise<void> {
  const names = await foldersIn(inbox), oldest = now - ABANDONED_MS;
  for (const folder of [inbox, ...names.map((name) => `${inbox}/${name}`)]) {
    // A delivery may end meanwhile, and a folder may be removed.
    await unlessGone(async () => {
      for await (const { name } of Deno.readDir(`${folder}/tmp`)) {
        await unlessGone(() => removeOlder(`${folder}/tmp/${name}`, oldest));
      }
    });
  }
}

async function removeOlder(path: string, oldest: number): Promise<void> {
  // An appended message may be given any mtime.
  const { ctime } = await Deno.lstat(path);
  if (ctime!.getTime() < oldest) await Deno.remove(path, { recursive: true });
}

/** Does something with a file; undefined when the file is not there. */
async function unlessGone<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
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
 * Finds messages as they are now, whose flags, and with them their paths, another session may have changed;
 * the lock has to be held.
 *
 * @returns A function that gives undefined for a message that has been removed. It lists the folder once
 * at most.
 */
export function finder(folder: string): (message: Message) => Promise<Message | undefined> {
  let listed: Map<string, Message> | undefined;
  return async (message) => {
    if (await unlessGone(() => Deno.lstat(message.path))) return message;
    listed ??= new Map((await listMessages(folder)).map((message) => [message.id, message]));
    return listed.get(message.id);
  };
}

/**
 * Calls a function with a message, and again with the message as it is now when another session has changed
 * its flags, and with them its path.
 *
 * @returns What the function returns; undefined when the message has been removed.
 */
export async function withMessage<T>(
  folder: string,
  message: Message,
  act: (message: Message) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act(message);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await withFolderLock(folder, async () => {
      const now = await finder(folder)(message);
      return now && await act(now);
    });
  }
}

/** Reads a message; undefined when it has been removed. */
export async function readMessage(
  folder: string,
  message: Message,
): Promise<Uint8Array | undefined> {
  return await withMessage(folder, message, ({ path }) => Deno.readFile(path));
}

/** When a message came; undefined when it has been removed. */
export async function receivedAt(folder: string, message: Message): Promise<Date | undefined> {
  return await withMessage(folder, message, async ({ path }) => (await Deno.stat(path)).mtime!);
}
