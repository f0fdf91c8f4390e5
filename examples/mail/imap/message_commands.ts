/**
 * The commands of IMAP about the messages of the selected folder (RFC 3501, 6.4).
 *
 * @module
 */
import { storeLinks } from "../store/delivery.ts";
import { readMessage, sortFlags } from "../store/maildir.ts";
import { answerOf, makesSeen, needsBytes, partsFor } from "./fetch_answer.ts";
import { type FetchItem, readFetchItems } from "./fetch_items.ts";
import { folderExists, pathOf } from "./folders.ts";
import { flagList, lettersOf } from "./format.ts";
import { isInSet, readSet } from "./number_set.ts";
import { ImapSyntaxError, type Scanner } from "./scanner.ts";
import { readSearch } from "./search.ts";
import type { Chosen, SelectedFolder } from "./selected.ts";
import { type FolderCommand, sendUntagged } from "./state.ts";

/** The commands by their names. */
export const MESSAGE_COMMANDS: Readonly<Record<string, FolderCommand>> = {
  FETCH: fetchMessages,
  STORE: storeFlags,
  SEARCH: search,
  COPY: copy,
  CHECK: (_context, scanner) => {
    scanner.end();
    return Promise.resolve("OK done");
  },
  CLOSE: async ({ state, folder }, scanner) => {
    scanner.end();
    if (!folder.isReadOnly) await folder.removeDeleted();
    state.selected = undefined;
    return "OK closed";
  },
  EXPUNGE: async ({ state, folder }, scanner) => {
    scanner.end();
    if (folder.isReadOnly) return READ_ONLY;
    await folder.removeDeleted();
    sendUntagged(state, await folder.refresh(true));
    return "OK expunged";
  },
};

const READ_ONLY = "NO the folder was opened for reading only";

/** Reads a set, and finds its messages. */
function readChosen(scanner: Scanner, folder: SelectedFolder, isUid: boolean): Chosen[] {
  scanner.space();
  const set = readSet(scanner), { messages } = folder;
  const last = isUid ? messages.at(-1)?.uid ?? 0 : messages.length;
  return messages.map((message, index) => ({ message, sequence: index + 1 }))
    .filter(({ message, sequence }) => isInSet(set, isUid ? message.uid : sequence, last));
}

async function fetchMessages(
  { state, folder, isUid }: Parameters<FolderCommand>[0],
  scanner: Scanner,
): Promise<string> {
  const chosen = readChosen(scanner, folder, isUid);
  scanner.space();
  const asked = readFetchItems(scanner);
  scanner.end();
  const items: FetchItem[] = isUid && !asked.some(({ kind }) => kind === "UID")
    ? [{ kind: "UID" }, ...asked]
    : asked;
  const isSeen = makesSeen(items) && !folder.isReadOnly;
  for (const { sequence } of chosen) {
    let message = folder.messages[sequence - 1], all = items;
    const bytes = needsBytes(items) ? await readMessage(folder.path, message) : new Uint8Array();
    // Another session has removed it; the client will be told.
    if (bytes === undefined) continue;
    if (isSeen && !message.flags.includes("S")) {
      await folder.changeFlags([{ sequence, message }], (flags) => sortFlags(`${flags}S`));
      message = folder.messages[sequence - 1];
      if (!items.some(({ kind }) => kind === "FLAGS")) all = [...items, { kind: "FLAGS" }];
    }
    const part = await partsFor(items, bytes), values: string[] = [];
    try {
      for (const item of all) values.push(await answerOf(item, { message, bytes, part }));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    sendUntagged(state, [`${sequence} FETCH (${values.join(" ")})`]);
    await state.wire.flush();
  }
  return "OK fetched";
}

async function storeFlags(
  { state, folder, isUid }: Parameters<FolderCommand>[0],
  scanner: Scanner,
): Promise<string> {
  const chosen = readChosen(scanner, folder, isUid);
  scanner.space();
  const sign = scanner.match(/[+-]?/, "a sign"), word = scanner.word();
  if (word !== "FLAGS" && word !== "FLAGS.SILENT") throw new ImapSyntaxError("expected FLAGS");
  scanner.space();
  const names = scanner.isNext("(") ? scanner.list(() => scanner.flag()) : readFlags(scanner);
  scanner.end();
  if (folder.isReadOnly) return READ_ONLY;
  const given = lettersOf(names);
  await folder.changeFlags(chosen, (flags) => {
    if (sign === "+") return sortFlags(flags + given);
    if (sign === "-") return [...flags].filter((letter) => !given.includes(letter)).join("");
    return sortFlags(given);
  });
  if (word === "FLAGS.SILENT") return "OK stored";
  sendUntagged(
    state,
    chosen.map(({ sequence }) => {
      const { uid, flags, isRecent } = folder.messages[sequence - 1];
      return `${sequence} FETCH (${isUid ? `UID ${uid} ` : ""}FLAGS ${flagList(flags, isRecent)})`;
    }),
  );
  return "OK stored";
}

/** Flags without parentheses. */
function readFlags(scanner: Scanner): string[] {
  const names = [scanner.flag()];
  while (scanner.take(" ")) names.push(scanner.flag());
  return names;
}

async function search(
  { state, folder, isUid }: Parameters<FolderCommand>[0],
  scanner: Scanner,
): Promise<string> {
  const test = readSearch(scanner, folder), found: number[] = [];
  for (const [index, message] of folder.messages.entries()) {
    if (await test({ message, sequence: index + 1 })) found.push(isUid ? message.uid : index + 1);
  }
  sendUntagged(state, [["SEARCH", ...found].join(" ")]);
  return "OK searched";
}

async function copy(
  { state, folder, isUid }: Parameters<FolderCommand>[0],
  scanner: Scanner,
): Promise<string> {
  const chosen = readChosen(scanner, folder, isUid);
  scanner.space();
  const path = pathOf(state.inbox, scanner.astring());
  scanner.end();
  if (path === undefined || !await folderExists(path)) {
    return "NO [TRYCREATE] there is no such folder";
  }
  await storeLinks({
    from: folder.path,
    messages: chosen.map(({ message }) => message),
    to: path,
    isSynced: state.system.isSynced,
  });
  if (path === folder.path) sendUntagged(state, await folder.refresh(false));
  return "OK copied";
}
