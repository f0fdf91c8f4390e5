/**
 * One SMTP client (RFC 5321), from the greeting to the goodbye.
 *
 * @module
 */
import { HandshakeError, zerror } from "../../../coroutine_server.ts";
import { Mistakes } from "../net/mistakes.ts";
import { logIn, readPlain } from "../net/plain_auth.ts";
import { type Wire, WireEnd } from "../net/wire.ts";
import type { MailSystem } from "../system.ts";
import { DataReader } from "./data_reader.ts";
import { type Envelope, keepMessage } from "./keep_message.ts";
import { readPath } from "./path.ts";

const MOST_RECIPIENTS = 100, LONGEST_LINE = 2_048;

/** What a command is answered with; "quit" when the session is over. */
type Answer = string | "quit";

/** A session. */
export class SmtpSession {
  readonly #wire: Wire;
  readonly #system: MailSystem;
  readonly #stop: AbortSignal;
  readonly #commands: Readonly<Record<string, (argument: string) => Answer | Promise<Answer>>> = {
    HELO: (name) => this.#greet(name, false),
    EHLO: (name) => this.#greet(name, true),
    STARTTLS: (argument) => this.#startTls(argument),
    AUTH: (argument) => this.#authenticate(argument),
    MAIL: (argument) => this.#begin(argument),
    RCPT: (argument) => this.#addRecipient(argument),
    DATA: () => this.#takeMessage(),
    RSET: () => this.#forget(),
    NOOP: () => "250 2.0.0 ok",
    VRFY: () => "252 2.1.5 send it, and see",
    QUIT: () => "quit",
  };
  /** The name by which the client has greeted; undefined before EHLO. */
  #client: string | undefined;
  #user: string | undefined;
  #envelope: Envelope | undefined;
  readonly #mistakes = new Mistakes();

  /**
   * @param wire The connection.
   * @param system The mail system.
   * @param stop Aborted when the server is told to stop.
   */
  constructor(wire: Wire, system: MailSystem, stop: AbortSignal) {
    this.#wire = wire;
    this.#system = system;
    this.#stop = stop;
  }

  /** Serves the client. */
  async run(): Promise<void> {
    this.#send(`220 ${this.#system.host} ESMTP`);
    try {
      while (!this.#mistakes.areTooMany) {
        // A transaction that has begun may come to its end, though the server is told to stop.
        const stop = this.#envelope === undefined ? this.#stop : undefined;
        const answer = await this.#obey(await this.#wire.line({ stop, longest: LONGEST_LINE }));
        if (answer === "quit") return await this.#wire.goodbye("221 2.0.0 bye\r\n");
        this.#mistakes.countAnswer(/^[45]/.test(answer));
        // STARTTLS has its answer before the handshake.
        if (answer !== "") this.#send(answer);
      }
      await this.#wire.goodbye("421 4.7.0 too many errors\r\n");
    } catch (error) {
      if (error instanceof WireEnd) return await this.#end(error);
      // The handshake has failed, and the connection is closed.
      if (!(error instanceof HandshakeError)) throw error;
    }
  }

  #send(answer: string): void {
    this.#wire.send(`${answer}\r\n`);
  }

  async #end({ reason }: WireEnd): Promise<void> {
    const { host } = this.#system;
    if (reason === "stop") {
      await this.#wire.goodbye(`421 4.3.2 ${host} is restarted, try again\r\n`);
    }
    if (reason === "timeout") await this.#wire.goodbye(`421 4.4.2 ${host} has waited too long\r\n`);
    if (reason === "too long") await this.#wire.goodbye("500 5.5.6 the line is too long\r\n");
  }

  async #obey(line: string): Promise<Answer> {
    const [word] = line.split(/\s/, 1), argument = line.slice(word.length).trim();
    const name = word.toUpperCase();
    if (!Object.hasOwn(this.#commands, name)) return "500 5.5.2 unknown command";
    try {
      return await this.#commands[name](argument);
    } catch (error) {
      if (error instanceof WireEnd || error instanceof HandshakeError) throw error;
      zerror(`Cannot obey ${name}:`, error);
      return "451 4.3.0 that has failed, try again";
    }
  }

  #greet(name: string, isExtended: boolean): Answer {
    if (!/^[\x21-\x7e]+$/.test(name)) return "501 5.5.4 expected a name";
    this.#client = name;
    this.#envelope = undefined;
    const { host, maxBytes } = this.#system, { isSecure } = this.#wire;
    if (!isExtended) return `250 ${host}`;
    const extensions = [
      ...["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", `SIZE ${maxBytes}`],
      ...isSecure ? ["AUTH PLAIN"] : ["STARTTLS"],
    ];
    const lines = [host, ...extensions];
    return lines.map((text, index) => `250${index < lines.length - 1 ? "-" : " "}${text}`)
      .join("\r\n");
  }

  async #startTls(argument: string): Promise<Answer> {
    const wire = this.#wire;
    if (argument !== "") return "501 5.5.4 expected no argument";
    if (wire.isSecure) return "503 5.5.1 TLS is in use";
    // Nothing may be obeyed that came without TLS, maybe from another one.
    if (wire.hasInput) {
      await wire.goodbye("501 5.5.4 nothing may come behind STARTTLS\r\n");
      throw new WireEnd("closed");
    }
    this.#send("220 2.0.0 begin");
    await wire.startTls(this.#system.tls);
    this.#client = this.#envelope = undefined;
    return "";
  }

  async #authenticate(argument: string): Promise<Answer> {
    const [, method, initial] = /^(\S+)(?:\s+(\S+))?$/.exec(argument) ?? [];
    if (!this.#wire.isSecure) return "538 5.7.11 only over TLS";
    if (this.#client === undefined || this.#envelope !== undefined) return "503 5.5.1 not now";
    if (this.#user !== undefined) return "503 5.5.1 that is done";
    if (method?.toUpperCase() !== "PLAIN") return "504 5.5.4 expected PLAIN";
    if (initial === undefined) this.#send("334 ");
    const text = initial ?? await this.#wire.line({ stop: this.#stop });
    if (text === "*") return "501 5.7.0 cancelled";
    this.#user = await logIn(this.#system.accounts, readPlain(text), this.#mistakes);
    return this.#user === undefined ? "535 5.7.8 wrong name or password" : "235 2.7.0 welcome";
  }

  #begin(argument: string): Answer {
    if (this.#client === undefined) return "503 5.5.1 EHLO first";
    if (this.#envelope !== undefined) return "503 5.5.1 a message has begun already";
    const path = readPath(argument, "FROM");
    if (path === undefined) return "501 5.1.7 expected FROM:<address>";
    for (const [name, value] of path.parameters) {
      if (name === "SIZE" && /^[0-9]{1,15}$/.test(value)) {
        if (Number(value) > this.#system.maxBytes) return "552 5.3.4 the message is too large";
      } else if (name === "BODY") {
        if (!/^(7BIT|8BITMIME)$/i.test(value)) return "501 5.5.4 unknown BODY";
      } else if (name !== "AUTH") return "555 5.5.4 unknown parameter";
    }
    this.#envelope = { sender: path.address, recipients: new Map() };
    return "250 2.1.0 ok";
  }

  #addRecipient(argument: string): Answer {
    const envelope = this.#envelope, { domains, accounts, postmaster } = this.#system;
    if (envelope === undefined) return "503 5.5.1 MAIL first";
    const path = readPath(argument, "TO");
    if (path === undefined || path.address === "") return "501 5.1.3 expected TO:<address>";
    if (path.parameters.size > 0) return "555 5.5.4 unknown parameter";
    const name = path.local.toLowerCase();
    const isPostmaster = name === "postmaster";
    if (!domains.includes(path.domain) && !(isPostmaster && path.domain === "")) {
      return this.#user === undefined
        ? "550 5.7.1 mail for other systems is not taken"
        : "550 5.1.2 there is no way to other systems";
    }
    const user = isPostmaster ? postmaster : name;
    if (!accounts.has(user)) return "550 5.1.1 there is no such user";
    if (envelope.recipients.size >= MOST_RECIPIENTS) return "452 4.5.3 too many recipients";
    envelope.recipients.set(user, path.address);
    return "250 2.1.5 ok";
  }

  async #takeMessage(): Promise<Answer> {
    const envelope = this.#envelope, wire = this.#wire;
    if (envelope === undefined) return "503 5.5.1 MAIL first";
    if (envelope.recipients.size === 0) return "554 5.5.1 no valid recipients";
    this.#send("354 end with a line of one dot");
    const reader = new DataReader(this.#system.maxBytes);
    while (!reader.isDone) {
      const bytes = await wire.some();
      const used = reader.feed(bytes);
      if (used < bytes.length) wire.giveBack(bytes.subarray(used));
    }
    this.#envelope = undefined;
    if (reader.isTooLarge) return "552 5.3.4 the message is too large";
    const from = {
      name: this.#client!,
      peer: wire.peer,
      isSecure: wire.isSecure,
      user: this.#user,
    };
    return await keepMessage(this.#system, { envelope, content: reader.content, from });
  }

  #forget(): Answer {
    this.#envelope = undefined;
    return "250 2.0.0 ok";
  }
}
