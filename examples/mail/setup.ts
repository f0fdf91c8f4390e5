/**
 * The files that a mail system needs before its first start: directories, two users, and a certificate
 * that signs itself. What is there stays as it is.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { accountLine } from "./store/accounts.ts";

/** Where the files are. */
export interface Places {
  readonly spool: string;
  readonly users: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** The prefix of the log files. */
  readonly log: string;
}

/** The users of a first start. Everybody knows them: the addresses of the example are local ones. */
export const DEMO_USERS: Readonly<Record<string, string>> = {
  alice: "wonderland",
  bob: "builder",
};

/**
 * Makes what is missing.
 *
 * @param places Where.
 * @param uid The user of the servers, to whom the spool is given; undefined: they run as this user.
 */
export async function prepare(places: Places, uid: number | undefined): Promise<void> {
  for (const path of [places.users, places.certFile, places.keyFile, places.log]) {
    await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  }
  await Deno.mkdir(places.spool, { recursive: true, mode: 0o700 });
  if (uid !== undefined) await giveAway(places.spool, uid);
  if (!existsSync(places.users)) {
    const lines = Object.entries(DEMO_USERS).map(([name, word]) => accountLine(name, word));
    const text = `${(await Promise.all(lines)).join("\n")}\n`;
    await Deno.writeTextFile(places.users, text, { mode: 0o600 });
  }
  if (!existsSync(places.certFile)) await makeCertificate(places);
}

/** Makes a directory and all in it another user's. */
async function giveAway(path: string, uid: number): Promise<void> {
  await Deno.chown(path, uid, null);
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) await giveAway(`${path}/${name}`, uid);
    else await Deno.chown(`${path}/${name}`, uid, null);
  }
}

async function makeCertificate({ certFile, keyFile }: Places): Promise<void> {
  const what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365"];
  const whose = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", "-x509", ...what, ...whose, "-out", certFile, "-keyout", keyFile],
  }).output();
  if (success) return await Deno.chmod(keyFile, 0o600);
  throw new Error(`Cannot make a certificate: ${new TextDecoder().decode(stderr)}`);
}
