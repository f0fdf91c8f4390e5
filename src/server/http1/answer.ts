/**
 * HTTP/1 responses: head and body of a `Response` as bytes, framed as Deno.serve does.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { RequestHead } from "./head.ts";
import { reasonOf } from "./reasons.ts";
import { isWhole } from "../http/streamed_answers.ts";

/** The header fields of the body's length, which the body itself determines. */
const FRAMING: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

/** Statuses whose responses have no body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

const LAST_CHUNK = latin1("0\r\n\r\n");

/** The options of {@linkcode sendAnswer}. */
export interface AnswerOptions {
  /** The request. */
  readonly head: Pick<RequestHead, "method" | "isHttp11">;
  /** Whether the connection may be used again. */
  readonly keepAlive: boolean;
  /** Aborted when the client has disconnected: the body is not read any more. */
  readonly signal: AbortSignal;
}

/** The body of a response has failed; only the end of the connection can tell its client. */
export class BodyError extends Error {
  /** The error class's name. */
  override readonly name = "BodyError";
}

/** The framing of a response. */
interface Framing {
  readonly hasBody: boolean;
  /** The length of the body, if known. */
  readonly length?: number;
  readonly isChunked: boolean;
}

/**
 * Sends a response as fast as the client reads it.
 *
 * @param conn The connection.
 * @param response The response, whose body is unused.
 * @param options The request and its connection.
 * @returns Whether the connection can be used again.
 * @throws {BodyError} When the body fails; `cause` is its error. The connection must be closed then, so
 * that the client does not take the beginning for the whole.
 * @throws {Error} When the client has disconnected.
 */
export async function sendAnswer(
  conn: Pick<Deno.Conn, "write">,
  response: Response,
  { head, keepAlive, signal }: AnswerOptions,
): Promise<boolean> {
  const whole = isWhole(response) ? await response.bytes() : undefined;
  const framing = framingOf(response, head, whole);
  const { hasBody, length, isChunked } = framing;
  const isLast = !keepAlive || saysClose(response.headers) ||
    (hasBody && length === undefined && !isChunked);
  const bytes = headOf(response, { framing, head, isLast });
  if (whole !== undefined || !hasBody) {
    const parts: Uint8Array[] = [bytes];
    if (hasBody && whole!.length > 0) parts.push(...(isChunked ? chunk(whole!) : [whole!]));
    if (hasBody && isChunked) parts.push(LAST_CHUNK);
    await writeAll(conn, parts.length === 1 ? bytes : Buffer.concat(parts));
    if (whole === undefined) await cancel(response.body);
  } else {
    await writeAll(conn, bytes);
    await sendStream(conn, response.body!, { framing, signal });
  }
  return !isLast;
}

function framingOf(
  { status, headers }: Response,
  { method, isHttp11 }: AnswerOptions["head"],
  whole: Uint8Array | undefined,
): Framing {
  const declared = declaredLength(headers);
  if (method === "HEAD") {
    return { hasBody: false, length: declared ?? whole?.length, isChunked: false };
  }
  if (WITHOUT_BODY.has(status)) return { hasBody: false, isChunked: false };
  const isChunked = isHttp11 && headers.has("transfer-encoding");
  const length = isChunked ? undefined : whole?.length ?? declared;
  return { hasBody: true, length, isChunked: isChunked || (isHttp11 && length === undefined) };
}

/** Returns the length that a handler declares for a stream or for the response to a HEAD. */
function declaredLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  return text !== null && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}

function saysClose(headers: Headers): boolean {
  return /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get("connection") ?? "");
}

function headOf(
  { status, headers }: Response,
  { framing: { hasBody, length, isChunked }, head, isLast }: {
    readonly framing: Framing;
    readonly head: AnswerOptions["head"];
    readonly isLast: boolean;
  },
): Uint8Array<ArrayBuffer> {
  const lines = [`HTTP/1.${head.isHttp11 ? 1 : 0} ${status} ${reasonOf(status)}`];
  for (const [name, value] of headers) {
    if (!FRAMING.has(name)) lines.push(`${name}: ${value}`);
  }
  const mayHaveLength = hasBody || head.method === "HEAD" && !WITHOUT_BODY.has(status);
  if (mayHaveLength && length !== undefined) lines.push(`content-length: ${length}`);
  if (isChunked) lines.push("transfer-encoding: chunked");
  if (!headers.has("date")) lines.push(`date: ${dateOf(Date.now())}`);
  if (!headers.has("connection")) {
    if (isLast && head.isHttp11) lines.push("connection: close");
    if (!isLast && !head.isHttp11) lines.push("connection: keep-alive");
  }
  return latin1(`${lines.join("\r\n")}\r\n\r\n`);
}

let dateSecond = 0, dateText = "";

/** The `date` of a response, formatted once a second. */
function dateOf(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(nowMs).toUTCString();
  }
  return dateText;
}

async function sendStream(
  conn: Pick<Deno.Conn, "write">,
  body: ReadableStream<unknown>,
  { framing: { length, isChunked }, signal }: {
    readonly framing: Framing;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const reader = body.getReader();
  const stop = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", stop);
  try {
    let left = length ?? Infinity;
    while (left > 0) {
      const piece = await nextPiece(reader);
      if (signal.aborted) throw signal.reason;
      if (piece === undefined) break;
      if (piece.length === 0) continue;
      const bytes = piece.length > left ? piece.subarray(0, left) : piece;
      left -= bytes.length;
      await writeAll(conn, isChunked ? Buffer.concat(chunk(bytes)) : bytes);
    }
    if (isChunked) await writeAll(conn, LAST_CHUNK);
    else if (length !== undefined && left > 0) throw new BodyError("a body below its length");
  } finally {
    signal.removeEventListener("abort", stop);
    // Does nothing to a stream that has ended; any other is not read any further.
    stop();
  }
}

async function nextPiece(
  reader: ReadableStreamDefaultReader<unknown>,
): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await reader.read();
    if (done || value instanceof Uint8Array) return value as Uint8Array | undefined;
    throw new TypeError("expected typed ArrayBufferView");
  } catch (cause) {
    throw new BodyError("a body has failed", { cause });
  }
}

function chunk(bytes: Uint8Array): Uint8Array[] {
  return [latin1(`${bytes.length.toString(16)}\r\n`), bytes, latin1("\r\n")];
}

async function cancel(body: ReadableStream | null): Promise<void> {
  try {
    await body?.cancel();
  } catch {
    // An error in its cancellation concerns no client.
  }
}

/** Writes all bytes; throws when the client has disconnected. */
export async function writeAll(conn: Pick<Deno.Conn, "write">, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

/** Converts text to bytes, one for each character. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Buffer.from(text, "latin1");
}
