/**
 * A folder as one session sees it: its sequence numbers change only when the client is told.
 *
 * @module
 */
import { withFolderLock } from "../store/folder_lock.ts";
import { finder, listMessages, setFlags, sortFlags } from "../store/maildir.ts";
import { type NumberedMessage, numberMessages } from "../store/uid_list.ts";
import { flagList } from "./format.ts";

/** A message and its sequence number. */
export interface Chosen {
  readonly sequence: number;
  readonly message: NumberedMessage;
}

/** A selected folder. */
export class SelectedFolder {
  readonly path: string;
  readonly isReadOnly: boolean;
  validity = 0;
  nextUid = 1;
  #messages: NumberedMessage[] = [];

  /**
   * @param path The directory.
   * @param isReadOnly Whether it was opened by EXAMINE.
   */
  constructor(path: string, isReadOnly: boolean) {
    this.path = path;
    this.isReadOnly = isReadOnly;
  }

  /** The messages in the order of their sequence numbers. */
  get messages(): readonly NumberedMessage[] {
    return this.#messages;
  }

  /** How many messages no session has seen before this one. */
  get recentCount(): number {
    return this.#messages.filter(({ isRecent }) => isRecent).length;
  }

  /**
   * Looks at the folder again.
   *
   * @param mayExpunge Whether the client may be told of messages that are gone.
   * @returns What the client has to be told, without the `* ` in front.
   */
  async refresh(mayExpunge: boolean): Promise<string[]> {
    const { messages, validity, nextUid } = await numberMessages(this.path, {
      take: !this.isReadOnly,
    });
    this.validity = validity;
    this.nextUid = nextUid;
    const now = new Map(messages.map((message) => [message.uid, message]));
    const lines: string[] = [];
    if (mayExpunge) {
      for (let index = this.#messages.length - 1; index >= 0; index--) {
        if (now.has(this.#messages[index].uid)) continue;
        this.#messages.splice(index, 1);
        lines.push(`${index + 1} EXPUNGE`);
      }
    }
    for (const [index, before] of this.#messages.entries()) {
      const after = now.get(before.uid);
      now.delete(before.uid);
      if (after === undefined) continue;
      const { isRecent } = before;
      this.#messages[index] = { ...after, isRecent };
      if (after.flags === before.flags) continue;
      lines.push(`${index + 1} FETCH (UID ${before.uid} FLAGS ${flagList(after.flags, isRecent)})`);
    }
    if (now.size > 0) {
      this.#messages.push(...now.values());
      lines.push(`${this.#messages.length} EXISTS`, `${this.recentCount} RECENT`);
    }
    return lines;
  }

  /**
   * Changes the flags of messages.
   *
   * @param chosen Which ones.
   * @param change The new letters, made from the old ones.
   */
  async changeFlags(
    chosen: readonly Chosen[],
    change: (letters: string) => string,
  ): Promise<void> {
    await withFolderLock(this.path, async () => {
      const find = finder(this.path);
      for (const { sequence, message } of chosen) {
        const now = await find(message);
        if (now === undefined) continue;
        const { path, flags } = await setFlags(this.path, now, change(now.flags));
        this.#messages[sequence - 1] = { ...message, path, flags, isNew: false };
      }
    });
  }

  /** Gives a message the flag \Seen; whether it did not have it. */
  async markSeen(one: Chosen): Promise<boolean> {
    if (one.message.flags.includes("S")) return false;
    await this.changeFlags([one], (flags) => sortFlags(`${flags}S`));
    return true;
  }

  /** Removes all messages that have the flag \Deleted and that this session has seen. */
  async removeDeleted(): Promise<void> {
    const seen = new Set(this.#messages.map(({ id }) => id));
    await withFolderLock(this.path, async () => {
      for (const { id, flags, path } of await listMessages(this.path)) {
        if (seen.has(id) && flags.includes("T")) await Deno.remove(path);
      }
    });
  }
}
