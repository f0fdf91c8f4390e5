/**
 * The commands of IMAP about the messages of the selected folder (RFC 3501, 6.4).
 *
 * @module
 */
import { storeLinks } from "../store/delivery.ts";
import { sortFlags } from "../store/maildir.ts";
import { answerOf, makesSeen, readContent } from "./fetch_answer.ts";
import { type FetchItem, readFetchItems } from "./fetch_items.ts";
import { folderExists, pathOf } from "./folders.ts";
import { flagList, lettersOf } from "./format.ts";
import { isInSet, readSet } from "./number_set.ts";
import { ImapSyntaxError, type Scanner } from "./scanner.ts";
import { readSearch, SEARCH_CHARSETS } from "./search.ts";
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
  for (const { sequence, message } of chosen) {
    const content = await readContent(items, folder.path, message);
    // Another session has removed it; the client will be told.
    if (content === undefined) continue;
    const isChanged = isSeen && await folder.markSeen({ sequence, message });
    const hasFlags = !isChanged || items.some(({ kind }) => kind === "FLAGS");
    const all: FetchItem[] = hasFlags ? items : [...items, { kind: "FLAGS" }];
    const fetched = { message: folder.messages[sequence - 1], ...content };
    const values = all.map((item) => answerOf(item, fetched));
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
  if (test === undefined) return `NO [BADCHARSET (${SEARCH_CHARSETS.join(" ")})] unknown charset`;
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
