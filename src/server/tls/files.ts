/**
 * The files of a server's certificate and key: reading and checking.
 *
 * @module
 */
import {
  CERTIFICATE,
  MOST_PEM_BYTES,
  pairFault,
  pemFault,
  type PemKind,
  PRIVATE_KEY,
} from "../../config/certificate.ts";
import { cannot, ConfigError } from "../../config/errors.ts";
import type { Certificate } from "../../os/adopt/tls.ts";
import { readRegularFile } from "../../os/fs/regular_file.ts";

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
export function readCertificate(
  { certFile, keyFile }: TlsOptions,
): Pick<Certificate, "cert" | "key"> {
  const cert = readPem(certFile, CERTIFICATE);
  const key = readPem(keyFile, PRIVATE_KEY);
  const fault = pairFault({ cert, key }, { certFile, keyFile });
  if (fault !== undefined) throw problem(fault.message, fault.cause);
  return { cert, key };
}

function readPem(path: string, kind: PemKind): string {
  let text: string;
  try {
    text = new TextDecoder().decode(readRegularFile(path, { most: MOST_PEM_BYTES }));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw notPermitted(path, cause);
    const found = cause instanceof Deno.errors.NotFound ? "no such file" : (cause as Error).message;
    throw problem(cannot("read", path, { found, expected: `a ${kind.name}` }), cause as Error);
  }
  const fault = pemFault(text, kind, path);
  if (fault !== undefined) throw problem(fault);
  return text;
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
