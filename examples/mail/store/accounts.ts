/**
 * The users of the mail system: a file with a line `name:pbkdf2-sha256:ROUNDS:SALT:HASH` for each.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";

const METHOD = "pbkdf2-sha256", ROUNDS = 100_000, HASH_BITS = 256;

/** A name that can be a part of a path and of an address. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const NAME_FORM = 'up to 64 small letters, digits, ".", "_" and "-", a letter or digit first';

interface Account {
  readonly rounds: number;
  readonly salt: Uint8Array<ArrayBuffer>;
  readonly hash: Uint8Array<ArrayBuffer>;
}

/** Compared with when a name is unknown, so that it takes as long. */
const NOBODY: Account = {
  rounds: ROUNDS,
  salt: new Uint8Array(16),
  hash: new Uint8Array(HASH_BITS / 8),
};

/** The users of a file, as it was when it was read. */
export class Accounts {
  readonly #accounts: ReadonlyMap<string, Account>;

  private constructor(accounts: ReadonlyMap<string, Account>) {
    this.#accounts = accounts;
  }

  /**
   * Reads the file.
   *
   * @param path Its path.
   * @throws {SyntaxError} When a line is of another form.
   */
  static async read(path: string): Promise<Accounts> {
    const accounts = new Map<string, Account>();
    for (const [index, line] of (await Deno.readTextFile(path)).split("\n").entries()) {
      if (line === "" || line.startsWith("#")) continue;
      try {
        const [name, account] = readLine(line);
        if (accounts.has(name)) throw new SyntaxError(`a second "${name}", expected one`);
        accounts.set(name, account);
      } catch (cause) {
        const { message } = cause as Error;
        throw new SyntaxError(`Cannot read "${path}" line ${index + 1}: ${message}`, { cause });
      }
    }
    return new Accounts(accounts);
  }

  /** Whether there is a user of this name. */
  has(name: string): boolean {
    return this.#accounts.has(name);
  }

  /** Whether a user has this password. */
  async check(name: string, password: string): Promise<boolean> {
    const account = this.#accounts.get(name), { salt, rounds, hash } = account ?? NOBODY;
    const given = await derive(password, salt, rounds);
    return timingSafeEqual(given, hash) && account !== undefined;
  }
}

/**
 * The name and the account in a line.
 *
 * @throws {SyntaxError} What was found, without a text that could be a password, and what was expected.
 */
function readLine(line: string): [name: string, account: Account] {
  const fields = line.split(":"), [name, method, rounds, salt, hash] = fields;
  if (fields.length !== 5) {
    throw new SyntaxError(
      `${fields.length} fields, expected the 5 of name:${METHOD}:ROUNDS:SALT:HASH`,
    );
  }
  if (!NAME.test(name)) throw new SyntaxError(`name "${name}", expected ${NAME_FORM}`);
  if (method !== METHOD) throw new SyntaxError(`method "${method}", expected "${METHOD}"`);
  if (!/^[1-9][0-9]{0,7}$/.test(rounds)) {
    throw new SyntaxError(`rounds "${rounds}", expected a whole number from 1 to 99999999`);
  }
  const bytes = { salt: bytesIn(salt), hash: bytesIn(hash) };
  if (!bytes.salt?.length) throw new SyntaxError(`salt "${salt}", expected base64`);
  if (bytes.hash?.length !== HASH_BITS / 8) {
    const found = bytes.hash === undefined ? "no base64" : `${bytes.hash.length} bytes`;
    throw new SyntaxError(`a hash of ${found}, expected ${HASH_BITS / 8} bytes in base64`);
  }
  return [name, { rounds: Number(rounds), salt: bytes.salt, hash: bytes.hash }];
}

/** Bytes in base64; undefined when the text is none. */
function bytesIn(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    return undefined;
  }
}

/**
 * The line of a user.
 *
 * @param name The name: small letters, digits, `.`, `_` and `-`.
 * @param password The password.
 * @throws {TypeError} When the name has other characters.
 */
export async function accountLine(name: string, password: string): Promise<string> {
  if (!NAME.test(name)) {
    throw new TypeError(`Cannot add user "${name}": expected ${NAME_FORM}`);
  }
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const hash = await derive(password, salt, ROUNDS);
  return [name, METHOD, ROUNDS, salt.toBase64(), hash.toBase64()].join(":");
}

async function derive(
  password: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(password);
  const key = await crypto.subtle.importKey("raw", bytes, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, HASH_BITS));
}
