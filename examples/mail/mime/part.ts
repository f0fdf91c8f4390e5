/**
 * The parts of a message with their places in it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { textOf } from "../net/latin1.ts";
import { type HeaderLine, mime, type ParsedValue, type SplitNode } from "./packages.ts";

/** How deep messages may be within messages; what is deeper is a part without parts. */
const DEEPEST = 10;

/** A part of a message, or a message: all places count from the beginning of the outermost message. */
export interface Part {
  readonly headers: readonly HeaderLine[];
  /** Where its head begins. */
  readonly start: number;
  /** Where its body begins, after the empty line. */
  readonly bodyStart: number;
  end: number;
  /** The type in small letters, such as `text/plain`. */
  readonly type: string;
  /** Whether the part consists of others. */
  readonly isMultipart: boolean;
  /** The transfer encoding in small letters. */
  readonly encoding: string;
  readonly children: Part[];
  /** The message in a part of the type `message/rfc822`. */
  message?: Part;
}

/**
 * Finds the parts of a message.
 *
 * @param bytes The message.
 */
export async function parseMessage(bytes: Uint8Array): Promise<Part> {
  return await parseAt(bytes, { start: 0, end: bytes.length, depth: 0 });
}

async function parseAt(
  bytes: Uint8Array,
  { start, end, depth }: { readonly start: number; readonly end: number; readonly depth: number },
): Promise<Part> {
  const splitter = new (mime().Splitter)({ ignoreEmbedded: true });
  splitter.end(bytes.subarray(start, end));
  const parts = new Map<SplitNode, Part>();
  let root: Part | undefined, last: Part | undefined, place = start;
  for await (const chunk of splitter) {
    if (chunk.type !== "node") {
      place += chunk.value.length;
      if (chunk.type === "body" && last) last.end = place;
      continue;
    }
    const bodyStart = place + chunk.getHeaders().length;
    last = partOf(chunk, place, bodyStart);
    parts.set(chunk, last);
    if (chunk.parentNode) parts.get(chunk.parentNode)?.children.push(last);
    root ??= last;
    place = bodyStart;
  }
  root ??= { ...EMPTY, start, bodyStart: end, end, headers: [], children: [] };
  root.end = end;
  for (const [node, part] of [...parts].reverse()) {
    if (node.parentNode && part.isMultipart) part.end = endOf(bytes, part, node.parentNode, end);
  }
  for (const part of parts.values()) {
    if (part.type !== "message/rfc822" || depth === DEEPEST) continue;
    if (/^(base64|quoted-printable)$/.test(part.encoding)) continue;
    const inside = { start: part.bodyStart, end: part.end, depth: depth + 1 };
    part.message = await parseAt(bytes, inside);
  }
  return root;
}

const EMPTY = { type: "text/plain", isMultipart: false, encoding: "7bit" };

function partOf(node: SplitNode, start: number, bodyStart: number): Part {
  return {
    headers: node.headers.getList(),
    start,
    bodyStart,
    end: bodyStart,
    type: node.contentType || "text/plain",
    isMultipart: node.multipart !== false && node._boundary !== false,
    encoding: node.encoding || "7bit",
    children: [],
  };
}

/** The end of a multipart in another one: where the next boundary of the outer one begins. */
function endOf(bytes: Uint8Array, part: Part, parent: SplitNode, end: number): number {
  const from = part.children.at(-1)?.end ?? part.bodyStart;
  const boundary = Buffer.concat([Buffer.from("\n--"), parent._boundary || new Uint8Array()]);
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, end).indexOf(boundary, from);
  if (found < 0) return end;
  return bytes[found - 1] === 13 ? found - 1 : found;
}

/** The values of a field, unfolded, in their order. */
export function fieldsOf({ headers }: Pick<Part, "headers">, name: string): string[] {
  return headers.filter(({ key }) => key === name).map(({ line }) =>
    line.slice(line.indexOf(":") + 1).replaceAll(/\r?\n/g, "").trim()
  );
}

/** The first value of a field; undefined where there is none. */
export function fieldOf(part: Pick<Part, "headers">, name: string): string | undefined {
  return fieldsOf(part, name)[0];
}

/** A field with a value and parameters; undefined where there is none. */
export function parsedField(part: Part, name: string): ParsedValue | undefined {
  const text = fieldOf(part, name);
  return text === undefined ? undefined : mime().parseHeaderValue(text);
}

/** A text of a field as people read it. */
export function readable(text: string): string {
  try {
    return mime().decodeWords(text);
  } catch {
    // An encoded word in a charset that is not known.
    return text;
  }
}

/** The fields of a head as they stand in a message, those alone that a test keeps. */
export function headOf(
  bytes: Uint8Array,
  part: Part,
  keep: (name: string) => boolean,
): string {
  const head = textOf(bytes.subarray(part.start, part.bodyStart));
  const fields = head.split(/\r?\n(?![ \t])/).filter((line) => line !== "");
  // A pattern would look for the end of each run of blanks from each blank in it: hours for one message.
  const kept = fields.filter((line) => keep(line.split(":", 1)[0].trimEnd().toLowerCase()));
  return [...kept, "", ""].join("\r\n");
}
