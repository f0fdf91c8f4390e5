/**
 * The UIDs of the messages in a folder (RFC 3501, 2.3.1.1), in the file `uids` of its directory. Its
 * first line has the UIDVALIDITY and the next UID, each further one the UID and the name of a message.
 * A writer holds the lock of the folder and replaces the file by rename.
 *
 * @module
 */
import { dirname } from "node:path";
import { syncDirectory, writeDurably } from "./durable.ts";
import { withFolderLock, withLock } from "./folder_lock.ts";
import { inboxOf, listMessages, type Message, setFlags } from "./maildir.ts";

/** A message with its UID. */
export interface NumberedMessage extends Message {
  readonly uid: number;
  /** Whether it was new when this list was made. */
  readonly isRecent: boolean;
}

/** The messages of a folder in the order of their UIDs. */
export interface NumberedFolder {
  readonly validity: number;
  readonly nextUid: number;
  readonly messages: readonly NumberedMessage[];
}

interface UidList {
  readonly validity: number;
  nextUid: number;
  readonly uids: Map<string, number>;
}

/**
 * Lists a folder, and gives each message that has none a UID.
 *
 * @param folder Its directory.
 * @param take Whether new messages are new no longer, and move to `cur`.
 */
export function numberMessages(
  folder: string,
  { take }: { readonly take: boolean },
): Promise<NumberedFolder> {
  return withFolderLock(folder, async () => {
    const found = await listMessages(folder), known = await readList(folder);
    const list = known ?? await newList(folder);
    const added = found.filter(({ id }) => !list.uids.has(id));
    for (const { id } of added) list.uids.set(id, list.nextUid++);
    if (known === undefined || added.length > 0 || list.uids.size > 2 * found.length) {
      await writeList(folder, list, new Set(found.map(({ id }) => id)));
    }
    const messages: NumberedMessage[] = [];
    for (const message of found) {
      const now = take && message.isNew ? await setFlags(folder, message, message.flags) : message;
      messages.push({ ...now, uid: list.uids.get(message.id)!, isRecent: message.isNew });
    }
    messages.sort((a, b) => a.uid - b.uid);
    return { validity: list.validity, nextUid: list.nextUid, messages };
  });
}

async function readList(folder: string): Promise<UidList | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(`${folder}/uids`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const [head, ...lines] = text.trimEnd().split("\n");
  const [validity, nextUid] = head.split(" ").map(Number);
  if (!(validity > 0 && nextUid > 0)) return undefined;
  const uids = new Map(lines.map((line) => {
    const space = line.indexOf(" ");
    return [line.slice(space + 1), Number(line.slice(0, space))];
  }));
  return { validity, nextUid, uids };
}

/** UIDs are given anew, with another UIDVALIDITY: clients forget those that they know. */
async function newList(folder: string): Promise<UidList> {
  return { validity: await newValidity(inboxOf(folder)), nextUid: 1, uids: new Map() };
}

/** A UIDVALIDITY that no folder of this user has had: the time, or more than the last one. */
function newValidity(inbox: string): Promise<number> {
  const path = `${inbox}/uidvalidity`;
  return withLock(`${path}.lock`, async () => {
    const last = Number(await Deno.readTextFile(path).catch(() => "0"));
    const validity = Math.max(Math.floor(Date.now() / 1000), (last || 0) + 1);
    await replace(path, String(validity));
    return validity;
  });
}

async function writeList(
  folder: string,
  { validity, nextUid, uids }: UidList,
  present: ReadonlySet<string>,
): Promise<void> {
  const kept = [...uids].filter(([id]) => present.has(id)).map(([id, uid]) => `${uid} ${id}`);
  await replace(`${folder}/uids`, [`${validity} ${nextUid}`, ...kept, ""].join("\n"));
}

/** Replaces a file by a new one, which is durable at the end. */
async function replace(path: string, text: string): Promise<void> {
  await writeDurably(`${path}.new`, [new TextEncoder().encode(text)]);
  await Deno.rename(`${path}.new`, path);
  await syncDirectory(dirname(path));
}
