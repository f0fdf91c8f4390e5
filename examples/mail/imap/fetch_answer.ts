/**
 * What FETCH answers about one message.
 *
 * @module
 */
import { envelopeOf, structureOf } from "../mime/envelope.ts";
import { headOf, parseMessage, type Part } from "../mime/part.ts";
import { bytesOf, textOf } from "../net/latin1.ts";
import type { NumberedMessage } from "../store/uid_list.ts";
import type { FetchItem, SectionItem } from "./fetch_items.ts";
import { flagList, internalDate } from "./format.ts";

/** A message, its bytes when an item needs them, and its parts when one needs those. */
export interface FetchedMessage {
  readonly message: NumberedMessage;
  readonly bytes: Uint8Array;
  readonly part: Part | undefined;
}

/** Whether any of the items needs the bytes of the message. */
export function needsBytes(items: readonly FetchItem[]): boolean {
  return items.some(({ kind }) => needsParts(kind) || kind === "section");
}

function needsParts(kind: FetchItem["kind"]): boolean {
  return kind === "ENVELOPE" || kind === "BODY" || kind === "BODYSTRUCTURE";
}

/** Whether the items make a message seen. */
export function makesSeen(items: readonly FetchItem[]): boolean {
  return items.some((item) => item.kind === "section" && !item.isPeek);
}

/** Finds the parts of a message, if an item needs them. */
export async function partsFor(
  items: readonly FetchItem[],
  bytes: Uint8Array,
): Promise<Part | undefined> {
  const isNeeded = items.some((item) =>
    needsParts(item.kind) || item.kind === "section" && (item.text !== "" || item.path.length > 0)
  );
  return isNeeded ? await parseMessage(bytes) : undefined;
}

/** An item with its value. */
export async function answerOf(item: FetchItem, fetched: FetchedMessage): Promise<string> {
  const { message, bytes, part } = fetched;
  switch (item.kind) {
    case "FLAGS":
      return `FLAGS ${flagList(message.flags, message.isRecent)}`;
    case "UID":
      return `UID ${message.uid}`;
    case "INTERNALDATE": {
      const { mtime } = await Deno.stat(message.path);
      return `INTERNALDATE ${internalDate(mtime ?? new Date(0))}`;
    }
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
