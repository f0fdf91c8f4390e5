/**
 * Text with bytes that are not UTF-8: paths, names and values of installations with GBK or another encoding.
 * JavaScript's strings can't hold bytes, but they can hold lone surrogates, which no UTF-8 text has: each
 * such byte is one code unit, U+DC00 + byte. So it survives comparison, splitting, joining and JSON, and
 * reaches the system as the same bytes.
 *
 * @module
 */

const FIRST = 0xdc00, LAST = 0xdcff;
/** With the flag, a surrogate of a pair does not match. */
const LONE = /[\udc00-\udcff]+/gu;
const LINE_END = 0x0a;

const REPLACEMENT = "\ufffd", REPLACEMENT_BEGIN = 0xef;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true }), encoder = new TextEncoder();

/**
 * Decodes bytes line by line: a line in UTF-8 as such, any other byte by byte. Only the ASCII characters that
 * a program looks for have to be right then, and in GB18030 (GBK) a byte below 128 may be the second one of a
 * character, for example a backslash. So characters of GB18030 are kept together, which does not affect
 * other encodings.
 *
 * @param bytes The bytes.
 * @returns The text; {@linkcode encodeText} returns the bytes.
 */
export function decodeBytes(bytes: Uint8Array): string {
  const whole = decodeUtf8(bytes);
  if (whole !== undefined) return whole;
  let text = "";
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(LINE_END, start) + 1 || bytes.length;
    text += decodeLine(bytes.subarray(start, end));
    start = end;
  }
  return text;
}

/**
 * Decodes a line of a text that is not UTF-8 as a whole. A short line in GBK may be valid UTF-8, with two
 * bytes for a character; Chinese in UTF-8 has three.
 */
function decodeLine(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== undefined && (/[\u0800-\u{10ffff}]/u.test(text) || /^[\0-\x7f]*$/.test(text))) {
    return text;
  }
  let escaped = "";
  for (let at = 0; at < bytes.length;) {
    const length = gbLength(bytes, at);
    for (const end = at + length; at < end; at++) {
      const byte = bytes[at];
      escaped += String.fromCharCode(length === 1 && byte < 0x80 ? byte : FIRST + byte);
    }
  }
  return escaped;
}

/** The error of a strict decoder would take fifty times as long, and each line may have one. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  const text = decoder.decode(bytes);
  if (!text.includes(REPLACEMENT)) return text;
  // Without this byte no such character was there before.
  if (!bytes.includes(REPLACEMENT_BEGIN)) return undefined;
  const again = encoder.encode(text), isSame = again.length === bytes.length;
  return isSame && again.every((byte, index) => byte === bytes[index]) ? text : undefined;
}

/** The length of the GB18030 character at an index; 1 if there is none. */
function gbLength(bytes: Uint8Array, at: number): 1 | 2 | 4 {
  const first = bytes[at], second = bytes[at + 1] ?? 0;
  const third = bytes[at + 2] ?? 0, fourth = bytes[at + 3] ?? 0;
  const isLead = (byte: number) => byte >= 0x81 && byte <= 0xfe;
  const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
  if (!isLead(first)) return 1;
  if (second >= 0x40 && second <= 0xfe && second !== 0x7f) return 2;
  return isDigit(second) && isLead(third) && isDigit(fourth) ? 4 : 1;
}

/** Encodes a text: UTF-8, and the bytes that its lone surrogates stand for. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  if (text.isWellFormed()) return encoder.encode(text);
  const bytes: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code >= FIRST && code <= LAST) bytes.push(code - FIRST);
    else bytes.push(...encoder.encode(char));
  }
  return Uint8Array.from(bytes);
}

let gb18030: TextDecoder | undefined;

function ofGb18030(): TextDecoder {
  return gb18030 ??= new TextDecoder("gb18030");
}

/**
 * Returns a text for display: its bytes are decoded as GB18030, a superset of GBK and GB 2312, and invalid
 * ones become U+FFFD.
 */
export function readable(text: string): string {
  if (text.isWellFormed()) return text;
  return text.replace(LONE, (bytes) => ofGb18030().decode(encodeText(bytes))).toWellFormed();
}

/**
 * Returns bytes as a text for display: UTF-8, or else GB18030, with U+FFFD for what is neither. It is the same as
 * {@linkcode readable} after {@linkcode decodeBytes} for one line, and much faster if that is not UTF-8.
 */
export function readableBytes(line: Uint8Array): string {
  return decodeUtf8(line) ?? ofGb18030().decode(line).toWellFormed();
}
