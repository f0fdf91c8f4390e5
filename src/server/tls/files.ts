/**
 * The files of a server's certificate and key: reading and checking.
 *
 * @module
 */
import { cannot, ConfigError } from "../../config/errors.ts";
import type { Certificate } from "../../os/adopt/tls.ts";

/** The files and options of TLS. */
export interface TlsOptions {
  /** The path of the certificate in PEM form, followed by its intermediate certificates. */
  readonly certFile: string;
  /** The path of its private key in PEM form, without a passphrase. */
  readonly keyFile: string;
  /**
   * The protocols on offer, in order of preference (ALPN).
   *
   * @default None. HTTP always has h2 and http/1.1.
   */
  readonly alpnProtocols?: readonly string[];
  /**
   * The time limit of a handshake, in seconds; then the connection is closed.
   *
   * @default {10}
   */
  readonly handshakeSeconds?: number;
}

/**
 * Reads and checks the files.
 *
 * @throws {ConfigError} When a file can't be read or is of another kind, or when certificate and key do
 * not match; it names the file.
 */
export function readCertificate({ certFile, keyFile, alpnProtocols }: TlsOptions): Certificate {
  const cert = readPem(certFile, { label: "CERTIFICATE", what: "a certificate" });
  const key = readPem(keyFile, { label: "PRIVATE KEY", what: "a private key" });
  try {
    checkPair(cert, key);
  } catch (cause) {
    throw unusable({ certFile, keyFile, cause: cause as Error });
  }
  return { cert, key, alpnProtocols };
}

/** Throws if a certificate or its key is invalid. */
function checkPair(cert: string, key: string): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
  } catch (cause) {
    // Creating a listener needs a permission; node:crypto needs none, but 40 ms to load.
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    checkPairByNode(cert, key);
  }
}

/** The part of node:crypto that is used here. */
interface NodeCrypto {
  readonly X509Certificate: new (pem: string) => { checkPrivateKey(key: unknown): boolean };
  createPrivateKey(pem: string): unknown;
}

function checkPairByNode(cert: string, key: string): void {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): NodeCrypto };
  };
  const { X509Certificate, createPrivateKey } = process.getBuiltinModule("node:crypto");
  let certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (cause) {
    throw new Error(`the certificate can't be read: ${(cause as Error).message}`, { cause });
  }
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error("KeyMismatch");
}

function unusable(
  { certFile, keyFile, cause }: { certFile: string; keyFile: string; cause: Error },
): ConfigError {
  const { message } = cause;
  const about = /KeyMismatch/.test(message)
    ? { found: `not the key of "${certFile}"`, expected: "the key that belongs to it" }
    : { found: message, expected: "a private key in PEM form" };
  return /certificate/i.test(message)
    ? problem(
      cannot("use", certFile, { found: message, expected: "a certificate in PEM form" }),
      cause,
    )
    : problem(cannot("use", keyFile, about), cause);
}

function readPem(path: string, { label, what }: { label: string; what: string }): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw notPermitted(path, cause);
    const found = cause instanceof Deno.errors.NotFound ? "no such file" : (cause as Error).message;
    throw problem(cannot("read", path, { found, expected: what }), cause as Error);
  }
  if (new RegExp(`^-----BEGIN (?:(?:RSA|EC) )?${label}-----`, "m").test(text)) return text;
  const other = /^-----BEGIN ([A-Z0-9 ]+)-----/m.exec(text);
  const found = other === null
    ? "no PEM in it"
    : other[1].startsWith("ENCRYPTED")
    ? "it has a passphrase"
    : other[1].toLowerCase();
  throw problem(cannot("use", path, { found, expected: `${what} in PEM form` }));
}

/** The error for a file that exists as far as the program may know. */
function notPermitted(path: string, cause: Error): ConfigError {
  const found = "the permissions of this server do not include it";
  const expected = `server-permissions (or the server's command) with --allow-read=${path}`;
  return problem(cannot("read", path, { found, expected }), cause);
}

function problem(message: string, cause?: Error): ConfigError {
  return new ConfigError([{ message }], { cause });
}
