/**
 * The messages of a user as one POP3 session sees them (RFC 1939): a list that stays as it is, and marks
 * for those to be removed at the end. One session at a time has it.
 *
 * @module
 */
import { listMessages, type Message, readMessage, removeMessages } from "../store/maildir.ts";
import { withFolderLock } from "../store/folder_lock.ts";

/** A message and its number. */
export interface NumberedMessage {
  readonly number: number;
  readonly message: Message;
}

/** The messages of a user. */
export class Maildrop {
  readonly #folder: string;
  readonly #lock: Deno.FsFile;
  readonly #messages: readonly Message[];
  readonly #marked = new Set<string>();

  private constructor(folder: string, lock: Deno.FsFile, messages: readonly Message[]) {
    this.#folder = folder;
    this.#lock = lock;
    this.#messages = messages;
  }

  /**
   * Opens the maildrop of a user.
   *
   * @param folder The directory.
   * @returns The maildrop; undefined while another session has it, in whichever process.
   */
  static async open(folder: string): Promise<Maildrop | undefined> {
    const lock = await Deno.open(`${folder}/pop3.lock`, { write: true, create: true, mode: 0o600 });
    try {
      if (await lock.tryLock(true)) {
        const messages = await withFolderLock(folder, () => listMessages(folder));
        return new Maildrop(folder, lock, messages);
      }
    } catch (error) {
      lock.close();
      throw error;
    }
    lock.close();
    return undefined;
  }

  /** The messages that are not marked. */
  get all(): NumberedMessage[] {
    return this.#messages.flatMap((message, index) =>
      this.#marked.has(message.id) ? [] : [{ number: index + 1, message }]
    );
  }

  /** A message by its number; undefined if there is none, or if it is marked. */
  at(number: number): NumberedMessage | undefined {
    const message = this.#messages[number - 1];
    return message && !this.#marked.has(message.id) ? { number, message } : undefined;
  }

  /** Reads a message; undefined when another program has removed it. */
  async read({ message }: NumberedMessage): Promise<Uint8Array | undefined> {
    return await readMessage(this.#folder, message);
  }

  /** Marks a message: `removeMarked` removes it. */
  mark({ message }: NumberedMessage): void {
    this.#marked.add(message.id);
  }

  /** Takes away all marks. */
  unmark(): void {
    this.#marked.clear();
  }

  /** Removes the marked messages. */
  async removeMarked(): Promise<void> {
    if (this.#marked.size > 0) await removeMessages(this.#folder, this.#marked);
  }

  /** Lets other sessions have it. */
  close(): void {
    this.#lock.close();
  }
}
