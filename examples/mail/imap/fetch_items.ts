/**
 * What FETCH may ask for (RFC 3501, 6.4.5).
 *
 * @module
 */
import { ImapSyntaxError, type Scanner } from "./scanner.ts";

/** A part of a message, or of its head. */
export interface SectionItem {
  readonly kind: "section";
  /** Its name in the answer. */
  readonly label: string;
  /** Whether the message is not seen by this. */
  readonly isPeek: boolean;
  /** The numbers of the part; none for the message itself. */
  readonly path: readonly number[];
  readonly text: "" | "HEADER" | "HEADER.FIELDS" | "HEADER.FIELDS.NOT" | "TEXT" | "MIME";
  /** The names of fields in small letters. */
  readonly fields: readonly string[];
  /** The first byte and the number of bytes. */
  readonly range?: readonly [from: number, count: number];
}

const SIMPLE = [
  "FLAGS",
  "UID",
  "INTERNALDATE",
  "RFC822.SIZE",
  "ENVELOPE",
  "BODY",
  "BODYSTRUCTURE",
] as const;

/** One thing that FETCH asks for. */
export type FetchItem = { readonly kind: typeof SIMPLE[number] } | SectionItem;

const FAST: readonly FetchItem[] = [
  { kind: "FLAGS" },
  { kind: "INTERNALDATE" },
  { kind: "RFC822.SIZE" },
];
const ALL: readonly FetchItem[] = [...FAST, { kind: "ENVELOPE" }];

const MACROS: Readonly<Record<string, readonly FetchItem[]>> = {
  FAST,
  ALL,
  FULL: [...ALL, { kind: "BODY" }],
};

/** The names that mean sections. */
const ALIASES: Readonly<Record<string, Pick<SectionItem, "text" | "isPeek">>> = {
  "RFC822": { text: "", isPeek: false },
  "RFC822.HEADER": { text: "HEADER", isPeek: true },
  "RFC822.TEXT": { text: "TEXT", isPeek: false },
};

/** Reads what is asked for. */
export function readFetchItems(scanner: Scanner): FetchItem[] {
  if (scanner.isNext("(")) return scanner.list(() => readItem(scanner));
  for (const [name, items] of Object.entries(MACROS)) {
    if (scanner.takeWord(name)) return [...items];
  }
  return [readItem(scanner)];
}

function readItem(scanner: Scanner): FetchItem {
  const name = scanner.word();
  if ((name === "BODY" || name === "BODY.PEEK") && scanner.take("[")) {
    return readSection(scanner, name === "BODY.PEEK");
  }
  if (Object.hasOwn(ALIASES, name)) {
    return { kind: "section", label: name, path: [], fields: [], ...ALIASES[name] };
  }
  const kind = SIMPLE.find((one) => one === name);
  if (kind === undefined) throw new ImapSyntaxError(`Cannot fetch ${name}: unknown`);
  return { kind };
}

function readSection(scanner: Scanner, isPeek: boolean): SectionItem {
  const spec = scanner.match(/[A-Za-z0-9.]*/, "a section").toUpperCase();
  const [form, numbers = "", text = ""] =
    /^([1-9][0-9]*(?:\.[1-9][0-9]*)*)?\.?(HEADER|HEADER\.FIELDS|HEADER\.FIELDS\.NOT|TEXT|MIME)?$/
      .exec(spec) ?? [];
  const path = numbers.split(".").filter((number) => number !== "").map(Number);
  const isJoined = form === [numbers, text].filter((part) => part !== "").join(".");
  if (!isJoined || text === "MIME" && path.length === 0) {
    throw new ImapSyntaxError(`Cannot fetch section ${spec}: unknown`);
  }
  let fields: string[] = [], label = `BODY[${spec}`;
  if (text.startsWith("HEADER.FIELDS")) {
    scanner.space();
    fields = scanner.list(() => scanner.astring());
    label += ` (${fields.map((name) => `"${name.replaceAll(/["\\]/g, "\\$&")}"`).join(" ")})`;
  }
  scanner.expect("]");
  label += "]";
  let range: [number, number] | undefined;
  if (scanner.take("<")) {
    range = [scanner.number(), 0];
    scanner.expect(".");
    range[1] = scanner.number();
    scanner.expect(">");
    label += `<${range[0]}>`;
  }
  return {
    ...{ kind: "section", label, isPeek, path, text: text as SectionItem["text"] },
    fields: fields.map((name) => name.toLowerCase()),
    ...(range && { range }),
  };
}
