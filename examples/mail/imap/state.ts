/**
 * What a session of IMAP knows, and the form of its commands.
 *
 * @module
 */
import type { Wire } from "../net/wire.ts";
import type { MailSystem } from "../system.ts";
import type { Scanner } from "./scanner.ts";
import type { SelectedFolder } from "./selected.ts";

/** What a session knows. */
export interface ImapState {
  readonly wire: Wire;
  readonly system: MailSystem;
  /** Aborted when the server is told to stop. */
  readonly stop: AbortSignal;
  /** The directory of the user; empty before the login. */
  inbox: string;
  /** The selected folder. */
  selected: SelectedFolder | undefined;
}

/**
 * Obeys a command, whose name has been read.
 *
 * @returns The answer behind the tag, such as `OK done`.
 */
export type ImapCommand = (state: ImapState, scanner: Scanner) => Promise<string>;

/** A command in a selected folder; UIDs are in the place of sequence numbers if it is one of UID. */
export type FolderCommand = (
  context: { readonly state: ImapState; readonly folder: SelectedFolder; readonly isUid: boolean },
  scanner: Scanner,
) => Promise<string>;

/** Sends lines that belong to no command alone. */
export function sendUntagged({ wire }: ImapState, lines: readonly string[]): void {
  for (const line of lines) wire.send(`* ${line}\r\n`);
}
