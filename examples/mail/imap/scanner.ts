/**
 * The grammar of IMAP commands (RFC 3501, 9), bottom part: atoms, strings, numbers, lists.
 *
 * @module
 */
import { textOf } from "../net/latin1.ts";
import type { Piece } from "./command_reader.ts";

/** A command is of another form; its text goes to the client. */
export class ImapSyntaxError extends Error {
  override readonly name = "ImapSyntaxError";
}

/** Reads a command from its beginning to its end. */
export class Scanner {
  readonly #pieces: readonly Piece[];
  #index = 0;
  #place = 0;

  /** @param pieces The command. */
  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Fails unless the command has ended. */
  end(): void {
    if (this.#index < this.#pieces.length - 1 || this.#rest !== "") this.#fail("the end");
  }

  /** Whether a text comes next. */
  isNext(text: string): boolean {
    return this.#rest.startsWith(text);
  }

  /** Takes a text, if it comes next. */
  take(text: string): boolean {
    const found = this.isNext(text);
    if (found) this.#place += text.length;
    return found;
  }

  /** Takes a word of the language, if it comes next, in whichever case. */
  takeWord(word: string): boolean {
    const [found] = /^[A-Za-z0-9.-]+/.exec(this.#rest) ?? [];
    return found?.toUpperCase() === word && this.take(found);
  }

  /** Takes a text, which has to come next. */
  expect(text: string): void {
    if (!this.take(text)) this.#fail(JSON.stringify(text));
  }

  /** Takes a space. */
  space(): void {
    this.expect(" ");
  }

  /** What matches at this place. */
  match(pattern: RegExp, what: string): string {
    const [found] = new RegExp(`^(?:${pattern.source})`, pattern.flags).exec(this.#rest) ?? [];
    if (found === undefined) this.#fail(what);
    this.#place += found.length;
    return found;
  }

  /** An atom. */
  atom(): string {
    return this.match(/(?:(?![(){%*"\\\]])[\x21-\x7e])+/, "an atom");
  }

  /** A word of the language, in capitals. */
  word(): string {
    return this.match(/[A-Za-z0-9.-]+/, "a word").toUpperCase();
  }

  /** A number. */
  number(): number {
    return Number(this.match(/[0-9]{1,15}/, "a number"));
  }

  /** An atom or a string. */
  astring(): string {
    return this.#isString
      ? this.string()
      : this.match(/(?:(?![(){%*"\\])[\x21-\x7e])+/, "a string");
  }

  /** The name of a folder with the wildcards of LIST. */
  listMailbox(): string {
    return this.#isString ? this.string() : this.match(/(?:(?![(){"\\])[\x21-\x7e])+/, "a name");
  }

  /** A quoted string or a literal. */
  string(): string {
    if (!this.isNext('"')) return textOf(this.literal());
    const quoted = this.match(/"(?:[^"\\\r\n]|\\["\\])*"/, "a string");
    return quoted.slice(1, -1).replaceAll(/\\(.)/g, "$1");
  }

  /** The bytes of a literal. */
  literal(): Uint8Array {
    const next = this.#pieces[this.#index + 1];
    if (this.#rest !== "" || !(next instanceof Uint8Array)) this.#fail("a literal");
    this.#index += 2;
    this.#place = 0;
    return next;
  }

  /** One or more values in parentheses, or none. */
  list<T>(read: () => T): T[] {
    this.expect("(");
    const values: T[] = [];
    while (!this.take(")")) {
      if (values.length > 0) this.space();
      values.push(read());
    }
    return values;
  }

  /** The name of a flag. */
  flag(): string {
    return this.match(/\\?(?:(?![(){%*"\\\]])[\x21-\x7e])+/, "a flag");
  }

  get #rest(): string {
    const piece = this.#pieces[this.#index];
    return typeof piece === "string" ? piece.slice(this.#place) : "";
  }

  get #isString(): boolean {
    return this.isNext('"') || this.#rest === "" && this.#index < this.#pieces.length - 1;
  }

  #fail(expected: string): never {
    const found = this.#rest === "" ? "the end" : JSON.stringify(this.#rest.slice(0, 20));
    throw new ImapSyntaxError(`Cannot read the command at ${found}: expected ${expected}`);
  }
}
