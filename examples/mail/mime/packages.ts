/**
 * The npm packages that read messages. They are the parts of which mailparser and imapflow are made, by the
 * same author: mailsplit finds the parts of a message with all of their bytes, libmime reads the values of
 * header fields, and the addressparser of nodemailer the addresses. IMAP needs a message's own bytes and
 * encoded words, which a parser that decodes a message as a whole does not give.
 *
 * Their names are no literals of an import, so that nothing else in this project fetches them. A server in
 * another root has to load them before it changes its root.
 *
 * @module
 */
const MAILSPLIT = "npm:@zone-eu/mailsplit@5.4.30";
const LIBMIME = "npm:libmime@5.6.4";
const ADDRESSPARSER = "npm:nodemailer@10.6.1/lib/addressparser";

/** A field of a head. */
export interface HeaderLine {
  /** The name in small letters. */
  readonly key: string;
  /** The name and the value, with their line ends. */
  readonly line: string;
}

/** A node of mailsplit: the head of a message or of a part. */
export interface SplitNode {
  readonly type: "node";
  readonly parentNode: SplitNode | false;
  readonly headers: { getList(): HeaderLine[] };
  readonly contentType: string | false;
  readonly multipart: string | false;
  readonly encoding: string | false;
  readonly _boundary: Uint8Array | false;
  getHeaders(): Uint8Array;
}

/** What mailsplit finds: a head, or bytes. */
export type SplitChunk = SplitNode | {
  readonly type: "body" | "data";
  readonly value: Uint8Array;
};

/** A stream of mailsplit. */
export interface Splitter extends AsyncIterable<SplitChunk> {
  end(bytes: Uint8Array): void;
}

/** An address, or a group of them. */
export interface ParsedAddress {
  readonly name: string;
  readonly address?: string;
  readonly group?: readonly ParsedAddress[];
}

/** A value with parameters, as Content-Type has it. */
export interface ParsedValue {
  readonly value: string;
  readonly params: Readonly<Record<string, string>>;
}

/** The functions of the packages. */
export interface MimePackages {
  readonly Splitter: new (options: { readonly ignoreEmbedded: boolean }) => Splitter;
  readonly parseHeaderValue: (text: string) => ParsedValue;
  readonly decodeWords: (text: string) => string;
  readonly parseAddresses: (text: string) => ParsedAddress[];
}

let loaded: MimePackages | undefined;

/** Loads the packages, and makes them load what they themselves load late. */
export async function loadMimePackages(): Promise<void> {
  const [{ Splitter }, { default: libmime }, { default: parseAddresses }] = await Promise.all([
    import(MAILSPLIT),
    import(LIBMIME),
    import(ADDRESSPARSER),
  ]);
  loaded = {
    Splitter,
    parseHeaderValue: (text) => libmime.parseHeaderValue(text),
    decodeWords: (text) => libmime.decodeWords(text),
    parseAddresses: (text) => parseAddresses(text),
  };
  for (const charset of ["utf-8", "iso-8859-2", "gb18030", "iso-2022-jp", "big5", "koi8-r"]) {
    loaded.decodeWords(`=?${charset}?Q?a=41?=`);
  }
}

/** The packages, which have to be loaded. */
export function mime(): MimePackages {
  if (loaded === undefined) throw new TypeError("Cannot read a message: loadMimePackages() first");
  return loaded;
}
