import { assertEquals, assertThrows } from "@std/assert";
import { defaultConfig } from "../../../src/config/config.ts";
import { ConfigError } from "../../../src/config/errors.ts";
import { tlsOfSettings } from "../../../src/server/tls/settings.ts";

const NAMES = ["server-tls-cert", "server-tls-key"];

/** Runs an action with these settings. */
function withSettings<T>(values: Readonly<Record<string, string>>, action: () => T): T {
  for (const [key, value] of Object.entries(values)) defaultConfig.set(key, value);
  try {
    return action();
  } finally {
    for (const key of NAMES) defaultConfig.delete(key);
  }
}

Deno.test("tlsOfSettings() gives the files of the settings beside the other options", () => {
  const values = { "server-tls-cert": "a.crt", "server-tls-key": "a.key" };
  const expected = { certFile: "a.crt", keyFile: "a.key" };
  assertEquals(withSettings(values, tlsOfSettings), expected);
  const options = { alpnProtocols: ["imap"], handshakeSeconds: 3 };
  const found = withSettings(values, () => tlsOfSettings(options));
  assertEquals(found, { ...expected, ...options });
});

Deno.test("tlsOfSettings() names each setting that is missing, and what it should be", () => {
  const told = (values: Readonly<Record<string, string>>) =>
    withSettings(values, () => assertThrows(() => tlsOfSettings(), ConfigError).message);
  const cert = 'Cannot read setting "server-tls-cert": it is missing, ' +
    "expected the file of the server's certificate";
  const key = 'Cannot read setting "server-tls-key": it is missing, ' +
    "expected the file of its certificate's private key";
  assertEquals(told({}), `${cert}\n${key}`);
  assertEquals(told({ "server-tls-key": "a.key" }), cert);
  assertEquals(told({ "server-tls-cert": "a.crt", "server-tls-key": "" }), key);
});
