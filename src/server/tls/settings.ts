/**
 * The certificate that the settings of a server name.
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { cannot, ConfigError } from "../../config/errors.ts";
import { SERVER_TLS_CERT, SERVER_TLS_KEY } from "../../config/settings.ts";
import type { TlsOptions } from "./files.ts";

/**
 * The options of TLS with the files that the settings `server-tls-cert` and `server-tls-key` name: in the
 * service's file, in a `.gcf`, or on the command line (`-server-tls-cert a.crt`). The master checks these
 * files at its start, at each reload and with `zc check`.
 *
 * Call it in a hook of the server, when the settings have been read. It reads no file: that happens where
 * the options are used.
 *
 * @param options The other options: ALPN, the time limit of a handshake.
 * @returns Options for `serveHttp`, `aioServerGeneralAioRegister`, `coroutineServeTls` and
 * {@linkcode TlsContext}, whose `cert` and `key` are what `createServer` of node:https takes.
 * @throws {ConfigError} When one of the two settings is missing, or both; it names them.
 *
 * @example HTTPS
 * ```ts
 * import { coroutineServerMain, defaultConfig, serveHttp, tlsOfSettings } from "@zc/master";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister: (_service, fd, fdType) =>
 *         serveHttp(fd, fdType, () => new Response("hello\n"), { tls: tlsOfSettings() }),
 *     }),
 *   );
 * }
 *
 * defaultConfig.set("server-tls-cert", "a.crt").set("server-tls-key", "a.key");
 * console.assert(tlsOfSettings({ handshakeSeconds: 5 }).certFile === "a.crt");
 * ```
 */
export function tlsOfSettings(
  options: Omit<TlsOptions, "certFile" | "keyFile"> = {},
): TlsOptions {
  const certFile = readStrictly(defaultConfig, SERVER_TLS_CERT);
  const keyFile = readStrictly(defaultConfig, SERVER_TLS_KEY);
  if (certFile !== undefined && keyFile !== undefined) return { ...options, certFile, keyFile };
  throw new ConfigError([
    ...certFile === undefined
      ? [missing(SERVER_TLS_CERT.name, "the file of the server's certificate")]
      : [],
    ...keyFile === undefined
      ? [missing(SERVER_TLS_KEY.name, "the file of its certificate's private key")]
      : [],
  ]);
}

function missing(name: string, expected: string): { readonly message: string } {
  return { message: cannot("read setting", name, { found: "it is missing", expected }) };
}
