/**
 * A line-by-line parser of HTTP/1 request heads (RFC 9112). It accepts and refuses what Deno.serve does,
 * except where that is a risk: a head that is read in another way than by a proxy in front of the server
 * would let one request hide in another.
 *
 * @module
 */
import { trimAscii } from "../../config/cf.ts";

/** The head of a request. A character is a byte, except in the target. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Whether it is HTTP/1.1, and not HTTP/1.0. */
  readonly isHttp11: boolean;
  /** Its header fields in their order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Whether the client wants to use the connection again. */
  readonly keepAlive: boolean;
  /** Whether the client waits for "100 Continue" before it sends the body. */
  readonly expectsContinue: boolean;
  /** The length of its body. */
  readonly body: number | "chunks";
}

/** The input is no HTTP/1 request, and neither is anything after it. */
export class BadRequest extends Error {
  /** The error class's name. */
  override readonly name = "BadRequest";
}

/** The limits of a head. */
export const MOST_HEAD_BYTES = 64 * 1024, MOST_FIELDS = 128;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([^\\x00-\\x20\\x7f]+) HTTP/1\\.([01])$`);
const FIELD = new RegExp(`^(${TOKEN}):([\\t\\x20-\\x7e\\x80-\\xff]*)$`);
const BEGINNING = new RegExp(`^(?:${TOKEN})?(?: |$)`);
const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/./;
const BEYOND_ASCII = /[\x80-\xff]/;

/** The largest unsigned number of 64 bits. */
const MOST_BODY_BYTES = 2n ** 64n - 1n;

/** Reads one head. */
export class HeadReader {
  #line?: { readonly method: string; readonly target: string; readonly isHttp11: boolean };
  readonly #fields: [string, string][] = [];

  /** Whether no byte of it has arrived; empty lines before it do not count. */
  get isEmpty(): boolean {
    return this.#line === undefined;
  }

  /** Throws {@linkcode BadRequest} if an incomplete line can't become part of a head any more. */
  foresee(text: string): void {
    if (this.isEmpty && text !== "\r" && !BEGINNING.test(text)) {
      throw new BadRequest("no method at the beginning");
    }
  }

  /**
   * Reads the next line.
   *
   * @param line The line, without its end.
   * @returns The head, after its last line.
   * @throws {BadRequest} When it is no line of a head.
   */
  take(line: string): RequestHead | undefined {
    if (this.#line === undefined) {
      if (line !== "") this.#line = requestLine(line);
      return undefined;
    }
    if (line === "") return headOf(this.#line, this.#fields);
    const match = FIELD.exec(line);
    if (match === null) throw new BadRequest("no header field");
    if (this.#fields.length === MOST_FIELDS) throw new BadRequest("too many header fields");
    // A pattern would look for the end of each run of blanks from each blank in it: seconds for one head.
    this.#fields.push([match[1], trimAscii(match[2])]);
    return undefined;
  }
}

function requestLine(line: string): { method: string; target: string; isHttp11: boolean } {
  const [, method, bytes, minor] = REQUEST_LINE.exec(line) ?? [];
  if (method === undefined) throw new BadRequest("no request line");
  const target = textOf(bytes);
  if (target === undefined || !isTargetOf(method, target)) throw new BadRequest("no target");
  return { method, target, isHttp11: minor === "1" };
}

/** Whether a target is valid: host and port for CONNECT, `*` for OPTIONS, else a path or an absolute URL. */
function isTargetOf(method: string, target: string): boolean {
  if (method === "CONNECT") return !/^[/*]/.test(target) && !ABSOLUTE.test(target);
  if (target === "*") return method === "OPTIONS";
  return target.startsWith("/") || ABSOLUTE.test(target);
}

/** Decodes bytes, each a character, as UTF-8; undefined when they are no UTF-8. */
export function textOf(bytes: string): string | undefined {
  if (!BEYOND_ASCII.test(bytes)) return bytes;
  try {
    const raw = Uint8Array.from(bytes, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return undefined;
  }
}

function headOf(
  line: { readonly method: string; readonly target: string; readonly isHttp11: boolean },
  fields: readonly (readonly [string, string])[],
): RequestHead {
  const byName = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const key = name.toLowerCase(), values = byName.get(key);
    if (values === undefined) byName.set(key, [value]);
    else values.push(value);
  }
  const all = (name: string) => byName.get(name) ?? [];
  const tokensIn = (name: string) =>
    // A byte such as U+00A0 is a part of its word: who is in front of this server may not trim it.
    all(name).flatMap((value) => value.split(",")).map((token) => trimAscii(token).toLowerCase());
  const connection = tokensIn("connection");
  const isUpgrade = connection.includes("upgrade") && all("upgrade").length > 0;
  const body = bodyOf({
    lengths: all("content-length"),
    codings: all("transfer-encoding").length > 0 ? tokensIn("transfer-encoding") : undefined,
    mayHaveBody: !isUpgrade && line.method !== "CONNECT",
    isHttp11: line.isHttp11,
  });
  if (line.isHttp11 && all("host").length > 1) throw new BadRequest("more than one Host");
  return {
    ...line,
    fields,
    keepAlive: !connection.includes("close") &&
      (line.isHttp11 || connection.includes("keep-alive")),
    expectsContinue: all("expect").at(-1)?.toLowerCase() === "100-continue",
    body,
  };
}

interface BodyFields {
  readonly lengths: readonly string[];
  readonly codings?: readonly string[];
  readonly mayHaveBody: boolean;
  readonly isHttp11: boolean;
}

/** Returns the length of a body (RFC 9112, section 6.3); throws for anything ambiguous. */
function bodyOf({ lengths, codings, mayHaveBody, isHttp11 }: BodyFields): number | "chunks" {
  if (codings !== undefined) {
    if (lengths.length > 0) throw new BadRequest("a length and a transfer coding");
    if (!isHttp11 || !mayHaveBody) throw new BadRequest("a transfer coding where there is none");
    const isRead = codings.indexOf("chunked") === codings.length - 1 &&
      codings.every((coding) => coding !== "" && coding !== "identity");
    if (!isRead) throw new BadRequest("an unknown transfer coding");
    return "chunks";
  }
  if (lengths.length === 0) return 0;
  if (!lengths.every((length) => /^[0-9]+$/.test(length))) throw new BadRequest("no length");
  const [length, ...others] = lengths.map(BigInt);
  if (length > MOST_BODY_BYTES) throw new BadRequest("too great a length");
  if (others.some((other) => other !== length)) throw new BadRequest("two lengths");
  if (!mayHaveBody) throw new BadRequest("a length where there is no body");
  return Number(length);
}
