/**
 * The users of the mail system: a file with a line `name:pbkdf2-sha256:ROUNDS:SALT:HASH` for each.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";

const METHOD = "pbkdf2-sha256", ROUNDS = 100_000, HASH_BITS = 256;

/** A name that can be a part of a path and of an address. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

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
    const lines = (await Deno.readTextFile(path)).split("\n");
    return new Accounts(
      new Map(lines.flatMap((line, index) => {
        if (line === "" || line.startsWith("#")) return [];
        const account = readLine(line);
        if (account !== undefined) return [account];
        throw new SyntaxError(
          `Cannot read "${path}": line ${index + 1}, expected name:${METHOD}:ROUNDS:SALT:HASH`,
        );
      })),
    );
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

/** The name and the account in a line; undefined when the line is of another form. */
function readLine(line: string): [name: string, account: Account] | undefined {
  const [name, method, rounds, ...texts] = line.split(":");
  if (!NAME.test(name) || method !== METHOD || !/^[1-9][0-9]{0,7}$/.test(rounds)) return undefined;
  try {
    const [salt, hash, ...more] = texts.map((text) => Uint8Array.fromBase64(text));
    if (hash?.length !== HASH_BITS / 8 || salt.length === 0 || more.length > 0) return undefined;
    return [name, { rounds: Number(rounds), salt, hash }];
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
    throw new TypeError(`Cannot add user "${name}": expected small letters, digits, ".", "_", "-"`);
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
