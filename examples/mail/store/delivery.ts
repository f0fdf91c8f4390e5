/**
 * Puts messages on disk. A message that this has reported as stored survives a crash of the machine:
 * it is written to `tmp`, fsync, renamed to `new`, and fsync of that directory.
 *
 * @module
 */
import { syncDirectory, writeDurably, type WriteOptions } from "./durable.ts";
import { type Message, removeMessages, withMessage } from "./maildir.ts";

let counter = 0;

/** The name of this machine, read early: a server in another root may not be able to later. */
const HOST = Deno.hostname().replaceAll(/[^A-Za-z0-9.-]/g, "_");

/** A name that no other message has, with the size at its end. Names sort by their time. */
export function uniqueName(size: number): string {
  const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const second = Math.floor(micros / 1e6), rest = String(micros % 1e6).padStart(6, "0");
  const random = crypto.getRandomValues(new Uint16Array(1))[0].toString(16);
  return `${second}.M${rest}P${Deno.pid}Q${++counter}R${random}.${HOST},S=${size}`;
}

/** How a message is stored; without `isSynced` it survives its server, and not the machine. */
export interface StoreOptions extends WriteOptions {
  /** The letters of its flags. */
  readonly flags?: string;
}

/** A message in the directory `new` of a folder. */
interface Added {
  readonly folder: string;
  readonly id: string;
  readonly add: () => Promise<unknown>;
}

/**
 * Stores one message in some folders, in all or in none of them.
 *
 * @param content The message in pieces.
 * @param folders The directories of the folders, which are on one file system.
 * @param options Its flags, when it came, and whether to wait for the disk.
 * @returns Its unique name.
 */
export async function store(
  content: readonly Uint8Array[],
  folders: readonly string[],
  { flags = "", isSynced, date }: StoreOptions = {},
): Promise<string> {
  const id = uniqueName(content.reduce((sum, { length }) => sum + length, 0));
  const [first, ...others] = folders.map((folder) => ({
    folder,
    path: newPath(folder, id, flags),
  }));
  const temporary = `${first.folder}/tmp/${id}`;
  try {
    await writeDurably(temporary, content, { isSynced, date });
    await publish([
      ...others.map(({ folder, path }) => ({ folder, id, add: () => Deno.link(temporary, path) })),
      { folder: first.folder, id, add: () => Deno.rename(temporary, first.path) },
    ], isSynced);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  return id;
}

/**
 * Gives messages second names in another folder, with the same content, date and flags: all of them or none.
 *
 * @param from The directory of the folder.
 * @param messages The messages; those that have been removed are left out.
 * @param to The directory of the other folder, on the same file system.
 * @param isSynced Whether to wait for the disk.
 */
export async function storeLinks(
  { from, messages, to, isSynced }: {
    readonly from: string;
    readonly messages: readonly Message[];
    readonly to: string;
    readonly isSynced: boolean;
  },
): Promise<void> {
  const added = messages.map((message) => {
    const id = uniqueName(message.size);
    const link = ({ path, flags }: Message) => Deno.link(path, newPath(to, id, flags));
    return { folder: to, id, add: () => withMessage(from, message, link) };
  });
  await publish(added, isSynced);
}

/** Adds messages to folders, and makes that durable; when it fails, removes those that are there already. */
async function publish(all: readonly Added[], isSynced = true): Promise<void> {
  const done: Added[] = [];
  try {
    for (const one of all) {
      await one.add();
      done.push(one);
    }
    const folders = new Set(isSynced ? done.map(({ folder }) => folder) : []);
    for (const folder of folders) await syncDirectory(`${folder}/new`);
  } catch (error) {
    for (const [folder, added] of Map.groupBy(done, ({ folder }) => folder)) {
      // A session may have renamed the files already. What a failing disk does not remove stays there.
      await removeMessages(folder, new Set(added.map(({ id }) => id))).catch(() => {});
    }
    throw error;
  }
}

/** Flags are allowed in `new` as well: an appended message is \Recent, whatever its flags. */
function newPath(folder: string, id: string, flags: string): string {
  return `${folder}/new/${id}${flags === "" ? "" : `:2,${flags}`}`;
}
