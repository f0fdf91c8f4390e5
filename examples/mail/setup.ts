/**
 * The files that a mail system needs before its first start: directories, two users, and a certificate
 * that signs itself. What is there stays as it is.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { dirname } from "node:path";
import { makeCertificate } from "../certificate.ts";
import { accountLine } from "./store/accounts.ts";

/** Where the files are. */
export interface Paths {
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
 * @param paths Where.
 * @param uid The user of the servers, who gets a new spool; undefined: they run as this user.
 */
export async function prepare(paths: Paths, uid: number | undefined): Promise<void> {
  for (const path of [paths.users, paths.log]) {
    await Deno.mkdir(dirname(path), { recursive: true });
  }
  await makeSpool(paths.spool, uid);
  if (!existsSync(paths.users)) {
    const lines = Object.entries(DEMO_USERS).map(([name, word]) => accountLine(name, word));
    const text = `${(await Promise.all(lines)).join("\n")}\n`;
    await Deno.writeTextFile(paths.users, text, { createNew: true, mode: 0o600 });
  }
  await makeCertificate(paths.certFile, paths.keyFile);
}

/**
 * Makes the spool and gives the directory to the servers' user. Files in it keep their owner: one could be a link that
 * this user has placed.
 */
async function makeSpool(spool: string, uid: number | undefined): Promise<void> {
  await Deno.mkdir(dirname(spool), { recursive: true });
  try {
    await Deno.mkdir(spool, { mode: 0o700 });
    if (uid !== undefined) await Deno.chown(spool, uid, null);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const { uid: owner } = await Deno.stat(spool);
    if (uid === undefined || owner === uid) return;
    throw new Error(`Cannot use "${spool}": it belongs to user ${owner}, expected ${uid}`);
  }
}
