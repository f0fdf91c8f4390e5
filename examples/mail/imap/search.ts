/**
 * The keys of SEARCH (RFC 3501, 6.4.4). Texts are searched as they stand in a message; fields of the head
 * are decoded before.
 *
 * @module
 */
import { fieldsOf, parseMessage, type Part, readable } from "../mime/part.ts";
import { textOf, utf8Of } from "../net/latin1.ts";
import { readMessage, receivedAt } from "../store/maildir.ts";
import { readDate, sentDay } from "./format.ts";
import { isInSet, readSet } from "./number_set.ts";
import { ImapSyntaxError, type Scanner } from "./scanner.ts";
import type { Chosen, SelectedFolder } from "./selected.ts";

/** Whether a message is wanted. */
export type SearchTest = (chosen: Chosen) => boolean | Promise<boolean>;

type KeyReader = (scanner: Scanner, folder: SelectedFolder) => SearchTest;

const DAY_MS = 86_400_000;

const hasFlag = (letter: string): KeyReader => () => ({ message }) =>
  message.flags.includes(letter);
const lacksFlag = (letter: string): KeyReader => () => ({ message }) =>
  !message.flags.includes(letter);

const KEYS: Readonly<Record<string, KeyReader>> = {
  ALL: () => () => true,
  ANSWERED: hasFlag("R"),
  DELETED: hasFlag("T"),
  DRAFT: hasFlag("D"),
  FLAGGED: hasFlag("F"),
  SEEN: hasFlag("S"),
  UNANSWERED: lacksFlag("R"),
  UNDELETED: lacksFlag("T"),
  UNDRAFT: lacksFlag("D"),
  UNFLAGGED: lacksFlag("F"),
  UNSEEN: lacksFlag("S"),
  RECENT: () => ({ message }) => message.isRecent,
  OLD: () => ({ message }) => !message.isRecent,
  NEW: () => ({ message }) => message.isRecent && !message.flags.includes("S"),
  KEYWORD: (scanner) => (value(scanner), () => false),
  UNKEYWORD: (scanner) => (value(scanner), () => true),
  LARGER: (scanner) => {
    const size = number(scanner);
    return ({ message }) => message.size > size;
  },
  SMALLER: (scanner) => {
    const size = number(scanner);
    return ({ message }) => message.size < size;
  },
  BEFORE: dateKey(receivedMs, (day, wanted) => day < wanted),
  ON: dateKey(receivedMs, (day, wanted) => day === wanted),
  SINCE: dateKey(receivedMs, (day, wanted) => day >= wanted),
  SENTBEFORE: dateKey(sentMs, (day, wanted) => day < wanted),
  SENTON: dateKey(sentMs, (day, wanted) => day === wanted),
  SENTSINCE: dateKey(sentMs, (day, wanted) => day >= wanted),
  BCC: fieldKey("BCC"),
  CC: fieldKey("CC"),
  FROM: fieldKey("FROM"),
  SUBJECT: fieldKey("SUBJECT"),
  TO: fieldKey("TO"),
  HEADER: (scanner, folder) => {
    const name = value(scanner);
    return headerTest(name, value(scanner), folder);
  },
  BODY: (scanner, folder) => textTest(value(scanner), folder, "body"),
  TEXT: (scanner, folder) => textTest(value(scanner), folder, "all"),
  UID: (scanner, folder) => {
    scanner.space();
    const set = readSet(scanner);
    return ({ message }) => isInSet(set, message.uid, folder.messages.at(-1)?.uid ?? 0);
  },
  NOT: (scanner, folder) => {
    scanner.space();
    const test = readKey(scanner, folder);
    return async (chosen) => !await test(chosen);
  },
  OR: (scanner, folder) => {
    scanner.space();
    const one = readKey(scanner, folder);
    scanner.space();
    const other = readKey(scanner, folder);
    return async (chosen) => await one(chosen) || await other(chosen);
  },
};

/** The charsets of texts in a search. */
export const SEARCH_CHARSETS: readonly string[] = ["US-ASCII", "UTF-8"];

/**
 * Reads all keys of a search up to its end; they all have to be met.
 *
 * @returns The test; undefined when the charset is none of those above.
 */
export function readSearch(scanner: Scanner, folder: SelectedFolder): SearchTest | undefined {
  scanner.space();
  if (scanner.takeWord("CHARSET")) {
    scanner.space();
    if (!SEARCH_CHARSETS.includes(scanner.astring().toUpperCase())) return undefined;
    scanner.space();
  }
  const tests = [readKey(scanner, folder)];
  while (scanner.take(" ")) tests.push(readKey(scanner, folder));
  scanner.end();
  return allOf(tests);
}

function allOf(tests: readonly SearchTest[]): SearchTest {
  return async (chosen) => {
    for (const test of tests) if (!await test(chosen)) return false;
    return true;
  };
}

function readKey(scanner: Scanner, folder: SelectedFolder): SearchTest {
  if (scanner.isNext("(")) return allOf(scanner.list(() => readKey(scanner, folder)));
  if (["*", ..."0123456789"].some((begin) => scanner.isNext(begin))) {
    const set = readSet(scanner);
    return ({ sequence }) => isInSet(set, sequence, folder.messages.length);
  }
  const name = scanner.word();
  if (!Object.hasOwn(KEYS, name)) throw new ImapSyntaxError(`Cannot search by ${name}: unknown`);
  return KEYS[name](scanner, folder);
}

/** A key that is the name of a field. */
function fieldKey(name: string): KeyReader {
  return (scanner, folder) => headerTest(name, value(scanner), folder);
}

function value(scanner: Scanner): string {
  scanner.space();
  return utf8Of(scanner.astring()).toLowerCase();
}

function number(scanner: Scanner): number {
  scanner.space();
  return scanner.number();
}

function dateKey(
  timeOf: (chosen: Chosen, folder: SelectedFolder) => Promise<number>,
  compare: (day: number, wanted: number) => boolean,
): KeyReader {
  return (scanner, folder) => {
    scanner.space();
    const date = readDate(scanner.astring());
    if (date === undefined) throw new ImapSyntaxError("Cannot read the date");
    const wanted = date.getTime() / DAY_MS;
    return async (chosen) => compare(Math.floor(await timeOf(chosen, folder) / DAY_MS), wanted);
  };
}

/** No time meets a key when the message has been removed. */
async function receivedMs({ message }: Chosen, { path }: SelectedFolder): Promise<number> {
  return (await receivedAt(path, message))?.getTime() ?? NaN;
}

/** The day in the head, whatever its zone. */
async function sentMs({ message }: Chosen, folder: SelectedFolder): Promise<number> {
  const read = await readWhole(folder, message);
  const [date = ""] = read === undefined ? [] : fieldsOf(read.part, "date");
  return sentDay(date).getTime();
}

function headerTest(name: string, wanted: string, folder: SelectedFolder): SearchTest {
  return async ({ message }) => {
    const read = await readWhole(folder, message);
    return read !== undefined &&
      fieldsOf(read.part, name.toLowerCase()).some((text) =>
        readable(text).toLowerCase().includes(wanted)
      );
  };
}

function textTest(wanted: string, folder: SelectedFolder, where: "body" | "all"): SearchTest {
  return async ({ message }) => {
    const read = await readWhole(folder, message);
    if (read === undefined) return false;
    const from = where === "body" ? read.part.bodyStart : 0;
    return utf8Of(textOf(read.bytes.subarray(from))).toLowerCase().includes(wanted);
  };
}

async function readWhole(
  { path }: SelectedFolder,
  message: Chosen["message"],
): Promise<{ readonly bytes: Uint8Array; readonly part: Part } | undefined> {
  const bytes = await readMessage(path, message);
  return bytes && { bytes, part: await parseMessage(bytes) };
}
