/**
 * The commands of IMAP about folders (RFC 3501, 6.3).
 *
 * @module
 */
import { bytesOf, textOf } from "../net/latin1.ts";
import { store, uniqueName } from "../store/delivery.ts";
import { makeFolder } from "../store/maildir.ts";
import { numberMessages } from "../store/uid_list.ts";
import { DELIMITER, folderExists, listNames, pathOf } from "./folders.ts";
import { ALL_FLAGS, lettersOf, readDate, stringOf } from "./format.ts";
import { ImapSyntaxError, type Scanner } from "./scanner.ts";
import { SelectedFolder } from "./selected.ts";
import { type ImapCommand, type ImapState, sendUntagged } from "./state.ts";

const NO_FOLDER = "NO there is no such folder";

/** The commands by their names. */
export const MAILBOX_COMMANDS: Readonly<Record<string, ImapCommand>> = {
  SELECT: (state, scanner) => select(state, scanner, false),
  EXAMINE: (state, scanner) => select(state, scanner, true),
  CREATE: create,
  DELETE: remove,
  LIST: (state, scanner) => list(state, scanner, "LIST"),
  // Every folder is a subscribed one.
  LSUB: (state, scanner) => list(state, scanner, "LSUB"),
  SUBSCRIBE: async (state, scanner) =>
    await readFolder(state, scanner) === undefined ? NO_FOLDER : "OK done",
  UNSUBSCRIBE: async (state, scanner) => {
    await readFolder(state, scanner);
    return "NO every folder is a subscribed one";
  },
  STATUS: status,
  APPEND: append,
};

/** Reads the name of a folder that is there; its directory. */
async function readFolder(state: ImapState, scanner: Scanner): Promise<string | undefined> {
  scanner.space();
  const path = pathOf(state.inbox, scanner.astring());
  return path !== undefined && await folderExists(path) ? path : undefined;
}

async function select(state: ImapState, scanner: Scanner, isReadOnly: boolean): Promise<string> {
  state.selected = undefined;
  const path = await readFolder(state, scanner);
  scanner.end();
  if (path === undefined) return NO_FOLDER;
  const folder = new SelectedFolder(path, isReadOnly);
  await folder.refresh(false);
  const { messages, recentCount, validity, nextUid } = folder;
  const unseen = messages.findIndex(({ flags }) => !flags.includes("S")) + 1;
  sendUntagged(state, [
    `FLAGS (${ALL_FLAGS})`,
    `OK [PERMANENTFLAGS (${isReadOnly ? "" : ALL_FLAGS})] these are kept`,
    `${messages.length} EXISTS`,
    `${recentCount} RECENT`,
    ...unseen > 0 ? [`OK [UNSEEN ${unseen}] the first one`] : [],
    `OK [UIDVALIDITY ${validity}] the UIDs are those of before`,
    `OK [UIDNEXT ${nextUid}] comes next`,
  ]);
  state.selected = folder;
  return `OK [READ-${isReadOnly ? "ONLY" : "WRITE"}] selected`;
}

async function create(state: ImapState, scanner: Scanner): Promise<string> {
  scanner.space();
  const name = scanner.astring();
  scanner.end();
  // A delimiter at the end says that folders below it are to come.
  const path = pathOf(state.inbox, name.endsWith(DELIMITER) ? name.slice(0, -1) : name);
  if (path === undefined) return "NO no folder can have this name";
  if (await folderExists(path)) return "NO [ALREADYEXISTS] the folder is there";
  await makeFolder(path);
  return "OK created";
}

async function remove(state: ImapState, scanner: Scanner): Promise<string> {
  const path = await readFolder(state, scanner);
  scanner.end();
  if (path === undefined) return NO_FOLDER;
  if (path === state.inbox) return "NO INBOX stays";
  if (state.selected?.path === path) state.selected = undefined;
  // The rename takes all of it away at once; nobody can add to a folder that is half removed.
  const removed = `${state.inbox}/tmp/${uniqueName(0)}`;
  await Deno.rename(path, removed);
  await Deno.remove(removed, { recursive: true });
  return "OK removed";
}

async function list(
  state: ImapState,
  scanner: Scanner,
  label: "LIST" | "LSUB",
): Promise<string> {
  scanner.space();
  const reference = scanner.astring();
  scanner.space();
  const pattern = scanner.listMailbox();
  scanner.end();
  // The question for the delimiter.
  if (pattern === "") {
    sendUntagged(state, [`${label} (\\Noselect) "${DELIMITER}" ""`]);
    return "OK listed";
  }
  const names = await listNames(state.inbox, reference + pattern);
  sendUntagged(
    state,
    names.map(({ name, isFolder }) =>
      `${label} (${isFolder ? "" : "\\Noselect"}) "${DELIMITER}" ${stringOf(name)}`
    ),
  );
  return "OK listed";
}

async function status(state: ImapState, scanner: Scanner): Promise<string> {
  scanner.space();
  const name = scanner.astring();
  scanner.space();
  const items = scanner.list(() => scanner.word());
  scanner.end();
  const path = pathOf(state.inbox, name);
  if (path === undefined || !await folderExists(path)) return NO_FOLDER;
  const { messages, nextUid, validity } = await numberMessages(path, { take: false });
  const count = (test: (message: typeof messages[number]) => boolean) =>
    messages.filter(test).length;
  const values: Record<string, number> = {
    MESSAGES: messages.length,
    RECENT: count(({ isNew }) => isNew),
    UIDNEXT: nextUid,
    UIDVALIDITY: validity,
    UNSEEN: count(({ flags }) => !flags.includes("S")),
  };
  const unknown = items.find((item) => !Object.hasOwn(values, item));
  if (unknown !== undefined) throw new ImapSyntaxError(`Cannot tell ${unknown}: unknown`);
  const pairs = items.map((item) => `${item} ${values[item]}`);
  sendUntagged(state, [`STATUS ${stringOf(name)} (${pairs.join(" ")})`]);
  return "OK done";
}

/** A message whose lines all end with CRLF, as in all files. */
function withCrlf(message: Uint8Array): Uint8Array {
  return bytesOf(textOf(message).replaceAll(/(?<!\r)\n/g, "\r\n"));
}

async function append(state: ImapState, scanner: Scanner): Promise<string> {
  scanner.space();
  const name = scanner.astring();
  scanner.space();
  let flags = "", date: Date | undefined;
  if (scanner.isNext("(")) {
    flags = lettersOf(scanner.list(() => scanner.flag()));
    scanner.space();
  }
  if (scanner.isNext('"')) {
    date = readDate(scanner.string());
    if (date === undefined) throw new ImapSyntaxError("Cannot read the date");
    scanner.space();
  }
  const message = scanner.literal();
  scanner.end();
  const path = pathOf(state.inbox, name);
  if (path === undefined || !await folderExists(path)) {
    return `NO [TRYCREATE] ${NO_FOLDER.slice(3)}`;
  }
  const { isSynced } = state.system;
  await store([withCrlf(message)], [path], { flags, date, isSynced });
  if (state.selected?.path === path) sendUntagged(state, await state.selected.refresh(true));
  return "OK appended";
}
