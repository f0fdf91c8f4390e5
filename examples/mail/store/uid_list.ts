/**
 * The UIDs of the messages in a folder (RFC 3501, 2.3.1.1), in the file `uids` of its directory. Its
 * first line has the UIDVALIDITY and the next UID, each further one the UID and the name of a message.
 * Whoever changes it holds the lock of the folder, and renames a new file over the old one.
 *
 * @module
 */
import { withFolderLock } from "./folder_lock.ts";
import { listMessages, type Message, setFlags } from "./maildir.ts";

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
    const found = await listMessages(folder), list = await readList(folder);
    const added = found.filter(({ id }) => !list.uids.has(id));
    for (const { id } of added) list.uids.set(id, list.nextUid++);
    if (added.length > 0 || list.uids.size > 2 * found.length) {
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

async function readList(folder: string): Promise<UidList> {
  let text: string;
  try {
    text = await Deno.readTextFile(`${folder}/uids`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return newList();
    throw error;
  }
  const [head, ...lines] = text.trimEnd().split("\n");
  const [validity, nextUid] = head.split(" ").map(Number);
  // UIDs that can't be read are given anew, with another UIDVALIDITY: clients forget the old ones.
  if (!(validity > 0 && nextUid > 0)) return newList();
  const uids = new Map(lines.map((line) => {
    const space = line.indexOf(" ");
    return [line.slice(space + 1), Number(line.slice(0, space))];
  }));
  return { validity, nextUid, uids };
}

function newList(): UidList {
  return { validity: Math.floor(Date.now() / 1000), nextUid: 1, uids: new Map() };
}

async function writeList(
  folder: string,
  { validity, nextUid, uids }: UidList,
  present: ReadonlySet<string>,
): Promise<void> {
  const kept = [...uids].filter(([id]) => present.has(id)).map(([id, uid]) => `${uid} ${id}`);
  const path = `${folder}/uids`;
  {
    using file = await Deno.open(`${path}.new`, {
      ...{ write: true, create: true, truncate: true, mode: 0o600 },
    });
    const bytes = new TextEncoder().encode([`${validity} ${nextUid}`, ...kept, ""].join("\n"));
    for (let written = 0; written < bytes.length;) {
      written += await file.write(bytes.subarray(written));
    }
    await file.sync();
  }
  await Deno.rename(`${path}.new`, path);
}
