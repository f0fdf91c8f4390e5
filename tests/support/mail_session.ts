/**
 * Sessions of the mail servers within the process of a test, over real sockets.
 *
 * @module
 */
import { aioCreate, defaultAioBase } from "../../aio_server.ts";
import { TlsContext } from "../../coroutine_server.ts";
import { ImapSession } from "../../examples/mail/imap/session.ts";
import { Wire } from "../../examples/mail/net/wire.ts";
import { Pop3Session } from "../../examples/mail/pop3/session.ts";
import { SmtpSession } from "../../examples/mail/smtp/session.ts";
import { accountLine, Accounts } from "../../examples/mail/store/accounts.ts";
import { makeFolder } from "../../examples/mail/store/maildir.ts";
import type { MailSystem } from "../../examples/mail/system.ts";
import { tapLog } from "../../src/log/log.ts";
import { type Client, greeted } from "./client.ts";
import { TempDir } from "./temp.ts";
import { testCertificate } from "./tls.ts";

/** A protocol of the mail system. */
export type Protocol = "smtp" | "imap" | "pop3";

/** The servers, with the user `al` whose password is `pw`. Declare it with `await using`. */
export class MailSessions implements AsyncDisposable {
  /** The directory of the user. */
  readonly inbox: string;
  /** What they have logged. */
  readonly log: string[] = [];
  /** Stops the servers. */
  readonly stop: AbortController = new AbortController();
  readonly #system: MailSystem;
  readonly #protocol: Protocol;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #ended: Promise<void>[] = [];
  readonly #end = new AsyncDisposableStack();

  private constructor(protocol: Protocol, dir: TempDir, system: MailSystem) {
    this.#protocol = protocol;
    this.#system = system;
    this.inbox = dir.file("al");
    this.#end.use(dir);
    tapLog(({ text }) => this.log.push(text));
    this.#end.defer(() => tapLog(undefined));
    this.#end.defer(() => this.allEnded());
    this.#end.use(this.#listener);
    void this.#accept();
  }

  /**
   * Starts a server.
   *
   * @param protocol Its protocol.
   * @param options What is unlike the mail system of the other tests.
   */
  static async open(protocol: Protocol, options: Partial<MailSystem> = {}): Promise<MailSessions> {
    const dir = new TempDir();
    await makeFolder(dir.file("al"));
    return new MailSessions(protocol, dir, {
      host: "test",
      domains: ["localhost"],
      postmaster: "al",
      maxBytes: 10_000_000,
      isSynced: false,
      timeoutMs: 60_000,
      accounts: await Accounts.read(dir.write("users", await accountLine("al", "pw"))),
      tls: new TlsContext(testCertificate(dir)),
      inboxOf: (user) => Promise.resolve(dir.file(user)),
      ...options,
    });
  }

  /** The port. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** A client that has been greeted. */
  async client(): Promise<Client> {
    return this.#end.use(await greeted(this.port));
  }

  /** A client that has logged in, by IMAP or POP3. */
  async loggedIn(): Promise<Client> {
    const client = await this.client();
    const commands = this.#protocol === "imap" ? ["a LOGIN al pw"] : ["USER al", "PASS pw"];
    for (const command of commands) {
      const answer = await client.ask(`${command}\r`);
      if (!/^(a OK|\+OK)/.test(answer)) throw new Error(`Cannot log in: ${answer}`);
    }
    return client;
  }

  /** Waits until no session is left. */
  async allEnded(): Promise<void> {
    await Promise.all(this.#ended);
  }

  async #accept(): Promise<void> {
    const { signal } = this.stop, { timeoutMs } = this.#system;
    for await (const conn of this.#listener) {
      if (this.#protocol === "pop3") {
        const { promise, resolve } = Promise.withResolvers<void>();
        const session = new Pop3Session(aioCreate(conn, defaultAioBase), this.#system, resolve);
        signal.addEventListener("abort", () => session.stop());
        this.#ended.push(promise);
        continue;
      }
      const wire = new Wire(conn, { isSecure: false, timeoutMs });
      const Session = this.#protocol === "smtp" ? SmtpSession : ImapSession;
      this.#ended.push(new Session(wire, this.#system, signal).run().finally(() => close(conn)));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.#end.disposeAsync();
  }
}

/** Closes a connection, which TLS or a time limit may have closed already. */
function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}
