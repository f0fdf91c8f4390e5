/**
 * The certificate of the examples, for `localhost`, which signs itself.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a certificate with its key, unless it is there.
 *
 * @param certFile The path of the certificate.
 * @param keyFile The path of the key, which only the own user can read.
 */
export async function makeCertificate(certFile: string, keyFile: string): Promise<void> {
  if (existsSync(certFile)) return;
  for (const path of [certFile, keyFile]) {
    await Deno.mkdir(dirname(path), { recursive: true });
  }
  const what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365"];
  const whose = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", ...what, ...whose, "-out", certFile, "-keyout", keyFile],
  }).output();
  if (success) return await Deno.chmod(keyFile, 0o600);
  throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
}
