/**
 * The check of a certificate and its key: their form, whether they belong together, and the certificate's time.
 * No message contains any of a key.
 *
 * @module
 */
import { runtimeFunctions } from "../os/net/runtime_functions.ts";
import { cannot } from "./errors.ts";

/** The paths of a certificate and its key. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What a file in PEM form should contain. */
export interface PemKind {
  /** The end of its label. */
  readonly label: string;
  /** What it is called in messages. */
  readonly name: string;
}

/** The largest file; a long chain has 20 KiB. */
export const MOST_PEM_BYTES = 1 << 20;

/** The kind of a certificate's file. */
export const CERTIFICATE: PemKind = { label: "CERTIFICATE", name: "certificate" };

/** The kind of a key's file. */
export const PRIVATE_KEY: PemKind = { label: "PRIVATE KEY", name: "private key" };

/**
 * Why a text is not of a kind, for a message; undefined if it is.
 *
 * @param text The text.
 * @param kind The kind.
 * @param path Its file.
 */
export function pemFault(text: string, { label, name }: PemKind, path: string): string | undefined {
  if (new RegExp(`^-----BEGIN (?:(?:RSA|EC) )?${label}-----`, "m").test(text)) return undefined;
  const other = /^-----BEGIN ([A-Z0-9 ]{1,40})-----/m.exec(text);
  const found = other === null
    ? "no PEM in it"
    : other[1].startsWith("ENCRYPTED")
    ? "it has a passphrase"
    : other[1].toLowerCase();
  return cannot("use", path, { found, expected: `a ${name} in PEM form` });
}

/** Why a certificate and a key can't be used together. */
export interface PairFault {
  /** The file that is at fault. */
  readonly of: "cert" | "key";
  readonly message: string;
  readonly cause: Error;
}

/**
 * Finds out whether a key belongs to a certificate.
 *
 * @param pem The texts.
 * @param files Their files, for the message.
 * @returns Undefined if it does.
 */
export function pairFault(
  { cert, key }: { readonly cert: string; readonly key: string },
  { certFile, keyFile }: CertificateFiles,
): PairFault | undefined {
  try {
    checkPair(cert, key);
    return undefined;
  } catch (error) {
    const cause = error as Error, { message: found } = cause;
    if (/certificate/i.test(found)) {
      const about = { found, expected: "a certificate in PEM form" };
      return { of: "cert", message: cannot("use", certFile, about), cause };
    }
    const about = /KeyMismatch/.test(found)
      ? { found: `not the key of "${certFile}"`, expected: "the key that belongs to it" }
      : { found, expected: "a private key in PEM form" };
    return { of: "key", message: cannot("use", keyFile, about), cause };
  }
}

function checkPair(cert: string, key: string): void {
  try {
    runtimeFunctions.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
  } catch (cause) {
    // Creating a listener needs a permission and a loopback address; node:crypto needs neither, but 40 ms to load.
    const { NotCapable, AddrNotAvailable } = Deno.errors;
    if (!(cause instanceof NotCapable || cause instanceof AddrNotAvailable)) throw cause;
    checkPairByNode(cert, key);
  }
}

/** The part of node:crypto that is used here. */
interface NodeCrypto {
  readonly X509Certificate: new (pem: string) => {
    readonly validFrom: string;
    readonly validTo: string;
    checkPrivateKey(key: unknown): boolean;
  };
  createPrivateKey(pem: string): unknown;
}

function nodeCrypto(): NodeCrypto {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): NodeCrypto };
  };
  return process.getBuiltinModule("node:crypto");
}

function checkPairByNode(cert: string, key: string): void {
  const { X509Certificate, createPrivateKey } = nodeCrypto();
  let certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (cause) {
    throw new Error(`the certificate can't be read: ${(cause as Error).message}`, { cause });
  }
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error("KeyMismatch");
}

/** From when to when a certificate is valid, in milliseconds since 1970. */
export interface Validity {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The time of the first certificate of a text.
 *
 * @param cert The text, in which {@linkcode pairFault} has found no fault.
 * @returns The time, or why it can't be read: one library reads what another one does not.
 */
export function validityOf(cert: string): Validity | string {
  const { X509Certificate } = nodeCrypto();
  // X509Certificate takes the first block of the text, of whatever kind.
  const [first] = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/.exec(cert) ?? [cert];
  try {
    const { validFrom, validTo } = new X509Certificate(first);
    const startMs = Date.parse(validFrom), endMs = Date.parse(validTo);
    if (!Number.isNaN(startMs + endMs)) return { startMs, endMs };
    return `its dates are "${validFrom}" and "${validTo}"`;
  } catch (error) {
    return `its dates can't be read (${(error as Error).message})`;
  }
}
