/**
 * What FETCH answers about one message.
 *
 * @module
 */
import { envelopeOf, structureOf } from "../mime/envelope.ts";
import { headOf, parseMessage, type Part } from "../mime/part.ts";
import { bytesOf, textOf } from "../net/latin1.ts";
import { type Message, readMessage, receivedAt } from "../store/maildir.ts";
import type { NumberedMessage } from "../store/uid_list.ts";
import type { FetchItem, SectionItem } from "./fetch_items.ts";
import { flagList, internalDate } from "./format.ts";

/** What the file of a message says, as far as the items need it. */
export interface Content {
  readonly bytes: Uint8Array;
  readonly part: Part | undefined;
  readonly received: Date;
}

/** A message and its content. */
export interface FetchedMessage extends Content {
  readonly message: NumberedMessage;
}

function needsParts(kind: FetchItem["kind"]): boolean {
  return kind === "ENVELOPE" || kind === "BODY" || kind === "BODYSTRUCTURE";
}

/** Whether the items make a message seen. */
export function makesSeen(items: readonly FetchItem[]): boolean {
  return items.some((item) => item.kind === "section" && !item.isPeek);
}

/**
 * Reads what the items need.
 *
 * @returns The content; undefined when the message has been removed.
 */
export async function readContent(
  items: readonly FetchItem[],
  folder: string,
  message: Message,
): Promise<Content | undefined> {
  const needs = (test: (item: FetchItem) => boolean) => items.some(test);
  const bytes = needs(({ kind }) => needsParts(kind) || kind === "section")
    ? await readMessage(folder, message)
    : new Uint8Array();
  const received = needs(({ kind }) => kind === "INTERNALDATE")
    ? await receivedAt(folder, message)
    : new Date(0);
  if (bytes === undefined || received === undefined) return undefined;
  const hasParts = needs((item) =>
    needsParts(item.kind) || item.kind === "section" && (item.text !== "" || item.path.length > 0)
  );
  return { bytes, received, part: hasParts ? await parseMessage(bytes) : undefined };
}

/** An item with its value. */
export function answerOf(item: FetchItem, fetched: FetchedMessage): string {
  const { message, bytes, part, received } = fetched;
  switch (item.kind) {
    case "FLAGS":
      return `FLAGS ${flagList(message.flags, message.isRecent)}`;
    case "UID":
      return `UID ${message.uid}`;
    case "INTERNALDATE":
      return `INTERNALDATE ${internalDate(received)}`;
    case "RFC822.SIZE":
      return `RFC822.SIZE ${message.size}`;
    case "ENVELOPE":
      return `ENVELOPE ${envelopeOf(part!)}`;
    case "BODY":
    case "BODYSTRUCTURE":
      return `${item.kind} ${structureOf(part!, bytes, item.kind === "BODYSTRUCTURE")}`;
    case "section": {
      const found = sectionOf(item, bytes, part);
      if (found === undefined) return `${item.label} NIL`;
      const [from, count] = item.range ?? [0, found.length];
      const text = textOf(found.subarray(from, from + count));
      return `${item.label} {${text.length}}\r\n${text}`;
    }
  }
}

/** The bytes of a section; undefined when the message has no such part. */
function sectionOf(
  { path, text, fields }: SectionItem,
  bytes: Uint8Array,
  root: Part | undefined,
): Uint8Array | undefined {
  if (root === undefined || path.length === 0 && text === "") return bytes;
  const part = path.reduce<Part | undefined>(
    (at, number, index) => at && childOf(at, number, index === 0),
    root,
  );
  if (part === undefined) return undefined;
  if (text === "MIME") return bytes.subarray(part.start, part.bodyStart);
  if (text === "") return bytes.subarray(part.bodyStart, part.end);
  // Within a part, these are about the message that it has.
  const message = path.length === 0 ? part : part.message;
  if (message === undefined) return undefined;
  if (text === "HEADER") return bytes.subarray(message.start, message.bodyStart);
  if (text === "TEXT") return bytes.subarray(message.bodyStart, message.end);
  const isWanted = text === "HEADER.FIELDS";
  return bytesOf(headOf(bytes, message, (name) => fields.includes(name) === isWanted));
}

/** A part by its number: one of a multipart, or the only one of a message. */
function childOf(part: Part, number: number, isRoot: boolean): Part | undefined {
  const at = isRoot || part.isMultipart ? part : part.message;
  if (at === undefined) return undefined;
  if (at.isMultipart && at.children.length > 0) return at.children[number - 1];
  return number === 1 ? at : undefined;
}
