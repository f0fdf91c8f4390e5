/**
 * One IMAP client (RFC 3501), from the greeting to the goodbye.
 *
 * @module
 */
import { HandshakeError, zerror } from "../../../coroutine_server.ts";
import { utf8Of } from "../net/latin1.ts";
import { Mistakes } from "../net/mistakes.ts";
import { type Credentials, logIn, mayLogIn, readPlain } from "../net/plain_auth.ts";
import { type EndReason, type Wire, WireEnd } from "../net/wire.ts";
import type { MailSystem } from "../system.ts";
import { LiteralTooLargeError, readCommand } from "./command_reader.ts";
import { folderExists } from "./folders.ts";
import { idle } from "./idle.ts";
import { MAILBOX_COMMANDS } from "./mailbox_commands.ts";
import { MESSAGE_COMMANDS } from "./message_commands.ts";
import { ImapSyntaxError, Scanner } from "./scanner.ts";
import { type ImapCommand, type ImapState, sendUntagged } from "./state.ts";

/** The most bytes of literals before the login. */
const FEW_BYTES = 4_096;

const TLS_FIRST = "NO [PRIVACYREQUIRED] STARTTLS first";

const GOODBYES: Readonly<Record<EndReason, string>> = {
  "closed": "",
  "stop": "* BYE the server is restarted\r\n",
  "timeout": "* BYE the server has waited too long\r\n",
  "too long": "* BYE the line is too long\r\n",
};

/** A session. */
export class ImapSession {
  readonly #state: ImapState;
  readonly #mistakes = new Mistakes();
  readonly #commands: Readonly<Record<string, ImapCommand>> = {
    CAPABILITY: (state, scanner) => {
      scanner.end();
      sendUntagged(state, [`CAPABILITY ${this.#capabilities}`]);
      return Promise.resolve("OK done");
    },
    NOOP: async (state, scanner) => {
      scanner.end();
      if (state.selected) sendUntagged(state, await state.selected.refresh(true));
      return "OK done";
    },
    STARTTLS: (_state, scanner) => {
      scanner.end();
      return this.#startTls();
    },
    LOGIN: (_state, scanner) => {
      scanner.space();
      const name = utf8Of(scanner.astring());
      scanner.space();
      const password = utf8Of(scanner.astring());
      scanner.end();
      return this.#logIn({ name, password });
    },
    AUTHENTICATE: (_state, scanner) => this.#authenticate(scanner),
  };

  /**
   * @param wire The connection.
   * @param system The mail system.
   * @param stop Aborted when the server is told to stop.
   */
  constructor(wire: Wire, system: MailSystem, stop: AbortSignal) {
    this.#state = { wire, system, stop, inbox: "", selected: undefined };
  }

  /** Serves the client. */
  async run(): Promise<void> {
    const { wire, system } = this.#state;
    wire.send(`* OK [CAPABILITY ${this.#capabilities}] ${system.host} IMAP\r\n`);
    try {
      while (!this.#mistakes.areTooMany) {
        if (!await this.#serveCommand()) return;
      }
      await wire.goodbye("* BYE too many errors\r\n");
    } catch (error) {
      if (error instanceof WireEnd) {
        if (error.reason !== "closed") await wire.goodbye(GOODBYES[error.reason]);
        // Otherwise the handshake has failed, and the connection is closed.
      } else if (!(error instanceof HandshakeError)) throw error;
    }
  }

  /** Reads a command and obeys it; false when the session is over. */
  async #serveCommand(): Promise<boolean> {
    const { wire, system, stop, inbox } = this.#state;
    const mostBytes = inbox === "" ? FEW_BYTES : system.maxBytes;
    let tag = "*", name = "";
    try {
      const scanner = new Scanner(await readCommand(wire, { mostBytes, stop }));
      tag = scanner.match(/(?:(?![(){%*"\\+])[\x21-\x7e])+/, "a tag");
      scanner.space();
      name = scanner.word();
      if (name === "LOGOUT") {
        scanner.end();
        await wire.goodbye(`* BYE see you\r\n${tag} OK done\r\n`);
        return false;
      }
      const answer = await this.#obey(name, scanner);
      this.#mistakes.countAnswer(!answer.startsWith("OK"));
      wire.send(`${tag} ${answer}\r\n`);
      if (name === "STARTTLS" && answer.startsWith("OK")) await wire.startTls(system.tls);
    } catch (error) {
      await this.#refuse(error, { tag, name });
    }
    return true;
  }

  /** Answers a command that has failed. */
  async #refuse(
    error: unknown,
    { tag, name }: { readonly tag: string; readonly name: string },
  ): Promise<void> {
    const state = this.#state, { wire, selected } = state;
    if (error instanceof WireEnd || error instanceof HandshakeError) throw error;
    this.#mistakes.countAnswer(true);
    if (error instanceof ImapSyntaxError) wire.send(`${tag} BAD ${error.message}\r\n`);
    else if (error instanceof LiteralTooLargeError) {
      wire.send(`${error.tag} NO [TOOBIG] the literal is too large\r\n`);
      if (error.isComing) throw new WireEnd("too long");
    } else if (selected && !await folderExists(selected.path)) {
      // Another session has removed it.
      state.selected = undefined;
      wire.send(`${tag} NO [NONEXISTENT] the selected folder is there no more\r\n`);
    } else {
      zerror(`Cannot obey ${name}:`, error);
      wire.send(`${tag} NO [SERVERBUG] that has failed, the log says why\r\n`);
    }
  }

  async #obey(name: string, scanner: Scanner): Promise<string> {
    const state = this.#state;
    if (Object.hasOwn(this.#commands, name)) return await this.#commands[name](state, scanner);
    if (state.inbox === "") return "BAD unknown command, or not now";
    if (Object.hasOwn(MAILBOX_COMMANDS, name)) return await MAILBOX_COMMANDS[name](state, scanner);
    if (name === "IDLE") {
      scanner.end();
      return await idle(state);
    }
    const isUid = name === "UID";
    if (isUid) scanner.space();
    const command = isUid ? scanner.word() : name, { selected: folder } = state;
    const isKnown = Object.hasOwn(MESSAGE_COMMANDS, command) &&
      (!isUid || ["FETCH", "STORE", "SEARCH", "COPY"].includes(command));
    if (!isKnown || folder === undefined) return "BAD unknown command, or not now";
    return await MESSAGE_COMMANDS[command]({ state, folder, isUid }, scanner);
  }

  get #capabilities(): string {
    const { wire, inbox } = this.#state;
    const login = inbox !== "" ? [] : mayLogIn(wire) ? ["AUTH=PLAIN"] : ["LOGINDISABLED"];
    const tls = wire.isSecure || inbox !== "" ? [] : ["STARTTLS"];
    return ["IMAP4rev1", "LITERAL+", "SASL-IR", "IDLE", ...tls, ...login].join(" ");
  }

  async #startTls(): Promise<string> {
    const { wire, inbox } = this.#state;
    if (wire.isSecure || inbox !== "") return "BAD not now";
    // Nothing may be obeyed that came without TLS, maybe from another one.
    if (!wire.hasInput) return "OK begin";
    await wire.goodbye("* BYE nothing may come behind STARTTLS\r\n");
    throw new WireEnd("closed");
  }

  async #authenticate(scanner: Scanner): Promise<string> {
    scanner.space();
    if (scanner.word() !== "PLAIN") return "NO expected PLAIN";
    const { wire, stop } = this.#state;
    let text: string;
    if (scanner.take(" ")) text = scanner.match(/[A-Za-z0-9+/=]+/, "base64");
    else if (!mayLogIn(wire)) return TLS_FIRST;
    else {
      wire.send("+ \r\n");
      text = await wire.line({ stop });
    }
    scanner.end();
    return text === "*" ? "BAD cancelled" : await this.#logIn(readPlain(text));
  }

  async #logIn(credentials: Credentials | undefined): Promise<string> {
    const state = this.#state, { wire, system } = state;
    if (state.inbox !== "") return "BAD not now";
    if (!mayLogIn(wire)) return TLS_FIRST;
    const user = await logIn(system.accounts, credentials, this.#mistakes);
    if (user === undefined) return "NO [AUTHENTICATIONFAILED] wrong name or password";
    state.inbox = await system.inboxOf(user);
    return `OK [CAPABILITY ${this.#capabilities}] welcome`;
  }
}
