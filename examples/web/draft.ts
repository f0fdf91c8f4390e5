/**
 * Messages as clients send them.
 *
 * @module
 */

/** A file that somebody has sent. */
export interface Attachment {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** A message that is to be posted. */
export interface Draft {
  /** Chosen by the client: a message that is sent again, for lack of an answer, is posted once. */
  readonly key: string;
  readonly author: string;
  readonly text: string;
  readonly file?: Attachment;
}

/** What a client has sent is no message; the text is for its user. */
export class DraftError extends Error {}

const LONGEST_AUTHOR = 40, LONGEST_TEXT = 2_000;

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/**
 * Reads JSON that a client has sent.
 *
 * @param json The text.
 * @returns Its fields, not checked yet.
 * @throws {DraftError} When it is no object.
 */
export function fieldsOf(json: string): Readonly<Record<string, unknown>> {
  let given: unknown;
  try {
    given = JSON.parse(json);
  } catch {
    // Refused below.
  }
  if (typeof given === "object" && given !== null) return { ...given };
  throw new DraftError("Cannot read the message, expected a JSON object");
}

/**
 * Makes a message of what a client has sent.
 *
 * @param given Its fields.
 * @param file Its file.
 * @throws {DraftError} When that is no message.
 */
export function draftOf(given: Readonly<Record<string, unknown>>, file?: Attachment): Draft {
  const { key = crypto.randomUUID(), author, text } = given;
  if (!isText(author, LONGEST_AUTHOR)) throw refusal(`a name of ${LONGEST_AUTHOR} letters at most`);
  if (!isText(text, LONGEST_TEXT)) throw refusal(`a text of ${LONGEST_TEXT} letters at most`);
  if (typeof key !== "string" || !UUID.test(key)) throw refusal("a UUID as key");
  return { key, author, text, file };
}

function isText(value: unknown, longest: number): value is string {
  return typeof value === "string" && value.trim() !== "" && value.length <= longest &&
    // PostgreSQL stores everything else.
    !value.includes("\0");
}

function refusal(expected: string): DraftError {
  return new DraftError(`Cannot take the message, expected ${expected}`);
}
