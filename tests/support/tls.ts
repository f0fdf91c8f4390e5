/**
 * Certificates for `localhost` and 127.0.0.1 that sign themselves: one that is for tests only, known
 * to everybody, valid from 2020 to 2120, and such as are made when they are needed; and a client.
 *
 * @module
 */
import { plainPython } from "./python.ts";
import type { TempDir } from "./temp.ts";
import { within } from "./wait.ts";

/** The certificate, which is also the one that clients have to trust. */
export const TEST_CERT = `-----BEGIN CERTIFICATE-----
MIIBVzCB/qADAgECAhRFkx78LgfnGtYCdEpBZVaxX06hwzAKBggqhkjOPQQDAjAU
MRIwEAYDVQQDDAlsb2NhbGhvc3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEw
MDAwMDBaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABBuUjlHe7tQNBiMLFRp9Npaf8VxILYQ+7YUMpQpHctqjL7E61nJhkeYE
A98ICMssgraj41kcpm0/e7hcYVtrSVWjLDAqMBoGA1UdEQQTMBGCCWxvY2FsaG9z
dIcEfwAAATAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0gAMEUCIQDd4PslJw2M
tR/FtyHDQ1ItTmroCoMf5+uom8EzR3aSuAIgLYxE+6qtCA9y0cw/6CPKdhJoB+w0
VjyOG5G9UadcxOM=
-----END CERTIFICATE-----
`;

/** Its private key. */
export const TEST_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTVOY5HAO7UD8Brxb
VURzYYzjQawKwtcECsGiP6aPR6mhRANCAAQblI5R3u7UDQYjCxUafTaWn/FcSC2E
Pu2FDKUKR3Laoy+xOtZyYZHmBAPfCAjLLIK2o+NZHKZtP3u4XGFba0lV
-----END PRIVATE KEY-----
`;

/** Another certificate of the same key, which was valid in 2020. */
export const EXPIRED_CERT = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUetvLQBQe1nVz7KokzU4e0goObvUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAw
MDAwMFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEG5SOUd7u1A0GIwsVGn02lp/xXEgthD7thQylCkdy2qMvsTrWcmGR5gQD
3wgIyyyCtqPjWRymbT97uFxhW2tJVaNLMEkwDAYDVR0TAQH/BAIwADAaBgNVHREE
EzARgglsb2NhbGhvc3SHBH8AAAEwHQYDVR0OBBYEFJP/OB9iyqEpnBSuIHAgBxyz
vCJnMAoGCCqGSM49BAMCA0gAMEUCIQDGi9un/0oCCYKzbuKwgclm5Vp8EVpy8u8U
t08n4nTYfQIgaJMzyJ7A3mxxrNpGTCnairqJ/cgoPCBm8x12aj8ENJE=
-----END CERTIFICATE-----
`;

/** Files with a certificate and its key. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * Writes {@linkcode TEST_CERT} and {@linkcode TEST_KEY} into a directory.
 *
 * @param dir The directory.
 */
export function testCertificate(dir: TempDir): CertificateFiles {
  return {
    certFile: dir.write("test.crt", TEST_CERT),
    keyFile: dir.write("test.key", TEST_KEY),
  };
}

/**
 * Makes a certificate for `localhost` that nobody else has, by openssl.
 *
 * @param dir Where its files are put.
 * @param name What they are called.
 */
export async function makeCertificate(dir: TempDir, name: string): Promise<CertificateFiles> {
  const files = { certFile: dir.file(`${name}.crt`), keyFile: dir.file(`${name}.key`) };
  // Not the machine's settings, by which it may come out as that of an authority.
  const config = dir.write(
    `${name}.cnf`,
    "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nCN=localhost\n" +
      "[ext]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n",
  );
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const out = ["-out", files.certFile, "-keyout", files.keyFile];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", "-config", config, "-days", "2", ...curve, ...out],
  }).output();
  if (!success) throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
  return files;
}

/**
 * Runs a client in Python, whose library tells an end without close_notify from one with it.
 *
 * @param script Its source. `context` is there, which trusts the certificate; arguments are in `sys.argv`
 * from 2 on.
 * @param args Its arguments.
 * @param trusted The certificate to trust.
 * @returns What it prints.
 */
export async function pythonClient(
  script: string,
  args: readonly (string | number)[],
  trusted: string = TEST_CERT,
): Promise<string> {
  const head =
    "import socket, ssl, sys\ncontext = ssl.create_default_context(cadata=sys.argv[1])\n";
  const [command, ...flags] = plainPython();
  const output = new Deno.Command(command, {
    args: [...flags, "-c", head + script, trusted, ...args.map(String)],
  }).output();
  const { success, stdout, stderr } = await within(output, { what: "the end of a Python client" });
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot finish a Python client: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
}
