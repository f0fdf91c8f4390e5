/**
 * What the three servers of the mail system have in common: settings, users, certificate, and where the
 * folders are.
 *
 * @module
 */
import { boolean, duration, list, settings, size, string, TlsContext } from "../../serve.ts";
import { defaultConfig, tlsOfSettings, zwarn } from "../../coroutine_server.ts";
import { Accounts } from "./store/accounts.ts";
import { makeFolder, removeAbandoned } from "./store/maildir.ts";

const own = settings({
  mailSpool: string(),
  mailUsers: string(),
  mailDomains: list(string(), ["localhost"]),
  mailPostmaster: string("alice"),
  mailSize: size("10m"),
  mailTimeout: duration(),
  mailSync: boolean(true),
});

/** How often a server looks at what a user's folders need: directories, and no abandoned files. */
const LOOK_MS = 3_600_000;

/** The mail system as a server sees it. */
export interface MailSystem {
  /** The name of this machine, for greetings. */
  readonly host: string;
  /** The domains whose mail it takes. */
  readonly domains: readonly string[];
  /** The user to whom mail for `postmaster` goes. */
  readonly postmaster: string;
  /** The most bytes of a message. */
  readonly maxBytes: number;
  /** Whether the answer 250 waits for fsync, and so do those to APPEND and COPY. */
  readonly isSynced: boolean;
  /** How long a client may send, or read, nothing. */
  readonly timeoutMs: number;
  readonly accounts: Accounts;
  readonly tls: TlsContext;
  /** The directory of a user, which is the folder INBOX. */
  inboxOf(user: string): Promise<string>;
}

/**
 * Reads settings, users and certificate. It is for `beforeService`: in another root, and as another user,
 * a server can't read these files any more.
 */
export async function openMailSystem(): Promise<MailSystem> {
  const root = defaultConfig.getStr("server-chroot");
  if (root !== "" && Deno.realPathSync(root) !== Deno.realPathSync(own.mailSpool)) {
    const expected = `expected mail-spool, "${own.mailSpool}"`;
    throw new Error(`Cannot find the folders: server-chroot is "${root}", ${expected}`);
  }
  const spool = root === "" ? own.mailSpool : "";
  const lastLooks = new Map<string, number>();
  return {
    host: Deno.hostname(),
    domains: own.mailDomains.map((domain) => domain.toLowerCase()),
    postmaster: own.mailPostmaster,
    maxBytes: own.mailSize,
    isSynced: own.mailSync,
    timeoutMs: own.mailTimeout,
    accounts: await Accounts.read(own.mailUsers),
    tls: new TlsContext(tlsOfSettings()),
    inboxOf: async (user) => {
      const folder = `${spool}/${user}`;
      if (Date.now() - (lastLooks.get(user) ?? -Infinity) > LOOK_MS) {
        await makeFolder(folder);
        // A file that can't be removed is no reason to refuse mail.
        await removeAbandoned(folder).catch((error) => zwarn(`Cannot tidy up "${folder}":`, error));
        lastLooks.set(user, Date.now());
      }
      return folder;
    },
  };
}
