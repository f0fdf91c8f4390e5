/**
 * Bytes as text in which each character is one byte.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** The bytes of a text; a character beyond U+00FF becomes the byte of its lower half. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** The text of some bytes. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The text of bytes in UTF-8 that came as such text: names and passwords. */
export function utf8Of(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
