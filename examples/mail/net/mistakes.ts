/**
 * What a client does wrong, counted, so that one that does nothing else is sent away.
 *
 * @module
 */
const MOST_ERRORS = 20, MOST_WRONG_PASSWORDS = 3;

/** The mistakes of one client. */
export class Mistakes {
  #errors = 0;
  #wrongPasswords = 0;

  /** Whether the client is to be sent away: too many errors in a row, or too many wrong passwords. */
  get areTooMany(): boolean {
    return this.#errors >= MOST_ERRORS || this.#wrongPasswords >= MOST_WRONG_PASSWORDS;
  }

  /** Counts the answer to a command; a command that succeeds forgives the errors before it. */
  countAnswer(isError: boolean): void {
    this.#errors = isError ? this.#errors + 1 : 0;
  }

  /** Counts a wrong password, which nothing forgives. */
  countWrongPassword(): void {
    this.#wrongPasswords++;
  }
}
