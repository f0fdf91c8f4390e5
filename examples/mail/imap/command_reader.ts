/**
 * Whole commands of IMAP: lines, and the literals between them (RFC 3501, 4.3, and RFC 7888).
 *
 * @module
 */
import type { Wire } from "../net/wire.ts";

/** A piece of a command: text, or the bytes of a literal. */
export type Piece = string | Uint8Array;

/** The most bytes of a line, and the most literals of a command. */
const LONGEST_LINE = 65_536, MOST_LITERALS = 100;

/** A literal is larger than allowed. */
export class LiteralTooLargeError extends Error {
  override readonly name = "LiteralTooLargeError";

  /**
   * @param tag The tag of its command.
   * @param isComing Whether the client sends it without waiting.
   */
  constructor(readonly tag: string, readonly isComing: boolean) {
    super("Cannot read a literal: it is too large");
  }
}

/**
 * Reads a command.
 *
 * @param wire The connection.
 * @param options The most bytes of all literals together, and when to wait no longer for a command.
 */
export async function readCommand(
  wire: Wire,
  { mostBytes, stop }: { readonly mostBytes: number; readonly stop: AbortSignal },
): Promise<Piece[]> {
  const first = await wire.line({ stop, longest: LONGEST_LINE });
  const pieces: Piece[] = [];
  let bytes = 0;
  for (let line = first;; line = await wire.line({ longest: LONGEST_LINE })) {
    const [mark, count, plus] = /\{([0-9]{1,10})(\+?)\}$/.exec(line) ?? [];
    if (mark === undefined) return [...pieces, line];
    bytes += Number(count);
    if (bytes > mostBytes || pieces.length >= 2 * MOST_LITERALS) {
      throw new LiteralTooLargeError(first.split(" ", 1)[0], plus === "+");
    }
    if (plus === "") wire.send("+ go on\r\n");
    pieces.push(line.slice(0, -mark.length), await wire.exactly(Number(count)));
  }
}
