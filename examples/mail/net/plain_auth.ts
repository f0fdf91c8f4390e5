/**
 * SASL PLAIN (RFC 4616) and the rule about passwords without TLS.
 *
 * @module
 */
import type { Accounts } from "../store/accounts.ts";
import { utf8Of } from "./latin1.ts";
import type { Mistakes } from "./mistakes.ts";

/** The name and the password in an answer of SASL PLAIN. */
export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/**
 * Reads an answer of SASL PLAIN.
 *
 * @param text The answer in base64.
 * @returns Name and password; undefined when it is of another form, or asks to act as another user.
 */
export function readPlain(text: string): Credentials | undefined {
  let decoded: string;
  try {
    decoded = utf8Of(atob(text));
  } catch {
    return undefined;
  }
  const [role, name, password, more] = decoded.split("\0");
  if (!name || password === undefined || more !== undefined) return undefined;
  return role === "" || role === name ? { name, password } : undefined;
}

/**
 * Checks a name and a password, and counts those that are wrong.
 *
 * @returns The name of the user; undefined when they are wrong.
 */
export async function logIn(
  accounts: Accounts,
  credentials: Credentials | undefined,
  mistakes: Mistakes,
): Promise<string | undefined> {
  const { name, password } = credentials ?? { name: "", password: "" };
  if (await accounts.check(name, password)) return name;
  mistakes.countWrongPassword();
  return undefined;
}

/** Whether a client may send a password: over TLS, or within this machine. */
export function mayLogIn(
  { isSecure, peer }: { readonly isSecure: boolean; readonly peer: string },
): boolean {
  return isSecure || peer === "::1" || peer === "local" || peer.startsWith("127.");
}
