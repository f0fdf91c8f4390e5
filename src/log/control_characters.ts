/**
 * Control characters in bytes of other programs, which may be UTF-8 or not.
 *
 * Terminals obey those of ASCII, and those from U+0080 to U+009F: in UTF-8, and some also as single bytes. Such
 * a byte within a UTF-8 character is harmless, and so is every byte from 0xa0 on. So text in GB 2312 stays as
 * it is; of GBK only the characters with a byte from 0x80 to 0x9f do not.
 *
 * @module
 */
const TAB = 0x09, NEWLINE = 0x0a, RETURN = 0x0d, SPACE = 0x20, DELETE = 0x7f;
/** The first byte of U+0080 to U+009F in UTF-8, and the last of their second bytes. */
const HIGH_CONTROLS = 0xc2, LAST_HIGH_CONTROL = 0x9f;
/** The first bytes of UTF-8 characters of 3 and 4 bytes, and what follows the last of them. */
const THREE_BYTES = 0xe0, FOUR_BYTES = 0xf0, NO_UTF8 = 0xf5;
/** The second bytes that a first byte allows (RFC 3629); 0x80 to 0xbf after any other. */
const SECOND_BYTES: Readonly<Record<number, readonly [first: number, last: number]>> = {
  0xe0: [0xa0, 0xbf],
  0xed: [0x80, 0x9f],
  0xf0: [0x90, 0xbf],
  0xf4: [0x80, 0x8f],
};
const ANY_FURTHER = [0x80, 0xbf] as const;

const encoder = new TextEncoder();

/** Computed once, since a sender may send nothing but control characters. */
const ESCAPES = Array.from({ length: HIGH_CONTROLS + 1 }, (_, byte) => {
  if (byte === NEWLINE) return encoder.encode("\\n");
  if (byte === RETURN) return encoder.encode("\\r");
  return encoder.encode(`\\x${byte.toString(16).padStart(2, "0")}`);
});
const LONGEST_ESCAPE = 4;

/**
 * Makes one line of bytes of unknown encoding: each byte of a control character but the tab becomes an escape
 * sequence, such as `\n` or `\x1b`. All other bytes stay. One line break at the end, which C programs send, is
 * left out.
 *
 * @param bytes The bytes, borrowed.
 * @returns A part of the same array if there is nothing to escape.
 */
export function escapeControls(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const line = bytes.at(-1) === NEWLINE ? bytes.subarray(0, -1) : bytes;
  let at = 0;
  for (let size; at < line.length && (size = sizeAt(line, at, true)) > 0;) at += size;
  if (at === line.length) return line;
  const escaped = new Uint8Array(line.length * LONGEST_ESCAPE);
  escaped.set(line.subarray(0, at));
  let length = at;
  while (at < line.length) {
    const size = sizeAt(line, at, true), end = at + Math.abs(size);
    for (; at < end; at++) {
      if (size > 0) escaped[length++] = line[at];
      else {
        const sequence = ESCAPES[line[at]];
        escaped.set(sequence, length);
        length += sequence.length;
      }
    }
  }
  return escaped.subarray(0, length);
}

/**
 * Makes output of a program harmless for a terminal: each byte of a control character but tab and line break
 * becomes a space, in place.
 *
 * @param bytes A part of the output, which begins with a character.
 * @param isLast Whether nothing follows.
 * @returns The length of the part without an incomplete character at its end, of 3 bytes at most. It must not
 * be written before its rest: the terminal may get something else between them.
 */
export function blankControls(bytes: Uint8Array, isLast = false): number {
  let at = 0;
  while (at < bytes.length) {
    const size = sizeAt(bytes, at, isLast);
    if (size === 0) break;
    if (size < 0 && bytes[at] !== NEWLINE) bytes.fill(SPACE, at, at - size);
    at += Math.abs(size);
  }
  return at;
}

/**
 * The number of bytes of the character at a position, negative for a control character; 0 if more bytes must
 * follow to tell it. A byte that belongs to no UTF-8 character counts alone.
 */
function sizeAt(bytes: Uint8Array, at: number, isLast: boolean): number {
  const byte = bytes[at];
  if (byte <= DELETE) return byte < SPACE && byte !== TAB || byte === DELETE ? -1 : 1;
  const length = utf8Length(byte);
  for (let i = 1; i < length; i++) {
    if (at + i === bytes.length && !isLast) return 0;
    const [first, last] = i === 1 ? SECOND_BYTES[byte] ?? ANY_FURTHER : ANY_FURTHER;
    const further = bytes[at + i];
    if (!(further >= first && further <= last)) return 1;
  }
  if (length === 1) return byte <= LAST_HIGH_CONTROL ? -1 : 1;
  return byte === HIGH_CONTROLS && bytes[at + 1] <= LAST_HIGH_CONTROL ? -2 : length;
}

/** The length that the first byte of a UTF-8 character tells; 1 for any other byte. */
function utf8Length(byte: number): number {
  if (byte < HIGH_CONTROLS || byte >= NO_UTF8) return 1;
  if (byte < THREE_BYTES) return 2;
  return byte < FOUR_BYTES ? 3 : 4;
}
