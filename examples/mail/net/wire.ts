/**
 * A connection of a protocol with lines: lines and counted bytes in, answers out, STARTTLS, and a goodbye
 * that the client gets to read. Each wait for the client has a limit, also the one for a client that
 * reads nothing. Text is Latin-1 in both directions, so that each character is a byte.
 *
 * @module
 */
import { coroutineStartTls, type TlsContext } from "../../../coroutine_server.ts";
import { bytesOf, textOf } from "./latin1.ts";

const NEWLINE = 10, ROOM_BYTES = 16_384;

/** How long a client may take to read the goodbye, and to close its side after it. */
const GOODBYE_MS = 10_000, LINGER_MS = 1_000;

/** Why there is no further line. */
export type EndReason = "closed" | "too long" | "timeout" | "stop";

/** There is no further line. */
export class WireEnd extends Error {
  override readonly name = "WireEnd";

  /** @param reason Why. */
  constructor(readonly reason: EndReason) {
    super(`Cannot read further: ${reason}`);
  }
}

/** How to wait for input. */
export interface WaitOptions {
  /** Aborted when it is no use to wait any longer: the server stops, and nothing is under way. */
  readonly stop?: AbortSignal;
  /** The most that a line may have, its end included. */
  readonly longest?: number;
}

/** A connection with lines. */
export class Wire {
  /** Whether TLS is in use. */
  isSecure: boolean;
  /** How long the client may send nothing, and how long it may read nothing. */
  #timeoutMs: number;
  #conn: Deno.Conn;
  #input = new Uint8Array(0);
  #answers: Uint8Array[] = [];
  /** A read that a stop has interrupted; what it brings is not lost. */
  #reading: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;

  /**
   * @param conn The connection.
   * @param options Whether it is one of TLS, and how long the client may send, or read, nothing.
   */
  constructor(
    conn: Deno.Conn,
    { isSecure, timeoutMs }: { readonly isSecure: boolean; readonly timeoutMs: number },
  ) {
    this.#conn = conn;
    this.isSecure = isSecure;
    this.#timeoutMs = timeoutMs;
  }

  /** The address of the client. */
  get peer(): string {
    const { remoteAddr } = this.#conn;
    return "hostname" in remoteAddr ? remoteAddr.hostname : "local";
  }

  /** Whether the client has sent something that is not used yet. */
  get hasInput(): boolean {
    return this.#input.length > 0;
  }

  /** A line without its end. What was sent to the client goes out before the wait. */
  async line({ stop, longest = 8_192 }: WaitOptions = {}): Promise<string> {
    for (let from = 0;;) {
      const end = this.#input.indexOf(NEWLINE, from);
      if (end >= longest || end < 0 && this.#input.length >= longest) throw new WireEnd("too long");
      if (end >= 0) return textOf(this.#take(end + 1)).replace(/\r?\n$/, "");
      from = this.#input.length;
      this.#append(await this.#wait(stop));
    }
  }

  /** An exact number of bytes. */
  async exactly(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const piece = await this.some(count - filled);
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return bytes;
  }

  /** At least one byte, and at most so many. */
  async some(most: number = Infinity): Promise<Uint8Array> {
    if (this.#input.length === 0) this.#append(await this.#wait());
    return this.#take(Math.min(most, this.#input.length));
  }

  /** Gives bytes back, to be read next. */
  giveBack(bytes: Uint8Array): void {
    this.#input = concat([bytes, this.#input]);
  }

  /** Adds to what goes to the client. It goes out with `flush`, and before each wait for input. */
  send(data: string | Uint8Array): void {
    this.#answers.push(typeof data === "string" ? bytesOf(data) : data);
  }

  /** Sends what there is. */
  async flush(): Promise<void> {
    const bytes = concat(this.#answers);
    this.#answers = [];
    for (let sent = 0; sent < bytes.length;) sent += await this.#write(bytes.subarray(sent));
  }

  /**
   * Waits until the client sends something, or for the abortion of a signal, whichever is first.
   *
   * @param signal The signal.
   * @param since When the client began to be silent, as `performance.now()` has it.
   */
  async inputOr(signal: AbortSignal, since: number): Promise<void> {
    try {
      if (!this.hasInput) this.#append(await this.#wait(signal, since));
    } catch (error) {
      if (!(error instanceof WireEnd && error.reason === "stop")) throw error;
    }
  }

  /** Starts TLS. There must be no input: what comes before TLS may be another one's (CVE-2011-0411). */
  async startTls(tls: TlsContext): Promise<void> {
    await this.flush();
    this.#conn = await coroutineStartTls(this.#conn, { tls, unread: this.#input });
    this.isSecure = true;
  }

  /** Sends the last words, and waits a moment for the client to read them. */
  async goodbye(text: string): Promise<void> {
    this.send(text);
    this.#timeoutMs = Math.min(this.#timeoutMs, GOODBYE_MS);
    try {
      await this.flush();
      await this.#conn.closeWrite();
      // A close with unread input would reset the connection, and could destroy the last words.
      const late = AbortSignal.timeout(LINGER_MS);
      for (;;) {
        this.#input = new Uint8Array(0);
        await this.#wait(late);
      }
    } catch {
      // The client is gone, or it does not close.
    }
  }

  #take(count: number): Uint8Array {
    const taken = this.#input.subarray(0, count);
    this.#input = this.#input.subarray(count);
    return taken;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    this.#input = this.#input.length === 0 ? bytes : concat([this.#input, bytes]);
  }

  async #wait(stop?: AbortSignal, since?: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.flush();
    const now = performance.now(), restMs = this.#timeoutMs - (now - (since ?? now));
    if (stop?.aborted) throw new WireEnd("stop");
    this.#reading ??= this.#read();
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const onStop = () => reject(new WireEnd("stop"));
    const timer = setTimeout(() => reject(new WireEnd("timeout")), restMs);
    stop?.addEventListener("abort", onStop);
    try {
      const bytes = await Promise.race([this.#reading, ended]);
      this.#reading = undefined;
      if (bytes === undefined) throw new WireEnd("closed");
      return bytes;
    } finally {
      clearTimeout(timer);
      stop?.removeEventListener("abort", onStop);
    }
  }

  /** Writes some bytes; a client that takes none of them for too long has its connection closed. */
  async #write(bytes: Uint8Array): Promise<number> {
    const conn = this.#conn, timer = setTimeout(() => conn.close(), this.#timeoutMs);
    try {
      return await conn.write(bytes);
    } catch {
      throw new WireEnd("closed");
    } finally {
      clearTimeout(timer);
    }
  }

  /** What comes next; undefined at the end, and when the connection fails. */
  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const room = new Uint8Array(ROOM_BYTES);
    try {
      const count = await this.#conn.read(room);
      return count === null ? undefined : room.subarray(0, count);
    } catch {
      return undefined;
    }
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let length = 0;
  for (const piece of pieces) {
    all.set(piece, length);
    length += piece.length;
  }
  return all;
}
