/**
 * Messages in the form in which POP3 sends them.
 *
 * @module
 */
import { bytesOf, textOf } from "../net/latin1.ts";

/**
 * Doubles the dots at the beginnings of lines, and adds the end.
 *
 * @param message The message; the last line may lack its end.
 */
export function withEnd(message: Uint8Array): Uint8Array {
  const text = textOf(message).replaceAll(/(^|\n)\./g, "$1..");
  return bytesOf(`${text}${text === "" || text.endsWith("\r\n") ? "" : "\r\n"}.\r\n`);
}

/**
 * The head of a message and the first lines of its body.
 *
 * @param message The message.
 * @param lines How many lines.
 */
export function topOf(message: Uint8Array, lines: number): Uint8Array {
  const text = textOf(message), end = text.indexOf("\r\n\r\n");
  if (end < 0) return message;
  let length = end + 4;
  for (let line = 0; line < lines && length < text.length; line++) {
    const next = text.indexOf("\r\n", length);
    length = next < 0 ? text.length : next + 2;
  }
  return message.subarray(0, length);
}
