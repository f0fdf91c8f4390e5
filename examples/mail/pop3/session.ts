/**
 * One POP3 client (RFC 1939), in the aio mode: a callback for each line, and one for each answer.
 *
 * @module
 */
import { type Aio, zerror } from "../../../aio_server.ts";
import { textOf, utf8Of } from "../net/latin1.ts";
import { Mistakes } from "../net/mistakes.ts";
import { logIn, mayLogIn } from "../net/plain_auth.ts";
import type { MailSystem } from "../system.ts";
import { Maildrop, type NumberedMessage } from "./maildrop.ts";
import { topOf, withEnd } from "./message_text.ts";

/** The most bytes of a line (RFC 2449, 4), with room for long passwords. */
const LONGEST_LINE = 1_024;
/** How long a client that has logged in may be silent while the server stops. */
const STOPPING_SECONDS = 10;

const RESTART = "-ERR [SYS/TEMP] the server is restarted\r\n";

type Answer = string | Uint8Array;

/** A session. */
export class Pop3Session {
  readonly #aio: Aio;
  readonly #system: MailSystem;
  readonly #onEnd: () => void;
  #name: string | undefined;
  #drop: Maildrop | undefined;
  readonly #mistakes = new Mistakes();
  #isStopping = false;
  /** Whether it waits for a line. */
  #isWaiting = false;

  readonly #before: Readonly<Record<string, (argument: string) => Answer | Promise<Answer>>> = {
    CAPA: () => this.#capabilities(),
    USER: (name) => this.#nameUser(name),
    PASS: (password) => this.#logIn(password),
  };
  readonly #after: Readonly<
    Record<string, (drop: Maildrop, argument: string) => Answer | Promise<Answer>>
  > = {
    CAPA: () => this.#capabilities(),
    NOOP: () => "+OK\r\n",
    STAT: (drop) => `+OK ${countOf(drop.all)}\r\n`,
    LIST: (drop, number) => listing(drop, number, ({ message }) => String(message.size)),
    UIDL: (drop, number) => listing(drop, number, ({ message }) => shortId(message.id)),
    RETR: (drop, number) => withMessage(drop, number, (bytes) => bytes),
    TOP: (drop, argument) => {
      const [, number, lines] = /^(\S+)\s+([0-9]{1,9})$/.exec(argument) ?? [];
      return withMessage(drop, number, (bytes) => topOf(bytes, Number(lines)));
    },
    DELE: (drop, number) => {
      const one = drop.at(Number(number));
      if (one === undefined) return NO_MESSAGE;
      drop.mark(one);
      return "+OK it will be removed at the end\r\n";
    },
    RSET: (drop) => {
      drop.unmark();
      return `+OK ${countOf(drop.all)}\r\n`;
    },
  };

  /**
   * Begins a session.
   *
   * @param aio The connection.
   * @param system The mail system.
   * @param onEnd Called when the session has ended.
   */
  constructor(aio: Aio, system: MailSystem, onEnd: () => void) {
    this.#aio = aio;
    this.#system = system;
    this.#onEnd = onEnd;
    aio.setReadWaitTimeout(system.timeoutMs / 1000);
    aio.setWriteWaitTimeout(system.timeoutMs / 1000);
    this.#answer(`+OK ${system.host} POP3\r\n`);
  }

  /** Ends the session soon: at once without a login, else when the client is done or silent. */
  stop(): void {
    this.#isStopping = true;
    if (!this.#isWaiting) return;
    // The wait for a line begins anew, with the shorter time.
    this.#aio.disable();
    this.#nextLine();
  }

  #nextLine(): void {
    if (this.#mistakes.areTooMany) return this.#sayLast("-ERR too many errors\r\n");
    if (this.#isStopping && this.#drop === undefined) return this.#sayLast(RESTART);
    if (this.#isStopping) this.#aio.setReadWaitTimeout(STOPPING_SECONDS);
    this.#isWaiting = true;
    this.#aio.gets(LONGEST_LINE, () => {
      this.#isWaiting = false;
      const { result, error } = this.#aio;
      if (result > 0) return void this.#obey(textOf(this.#aio.getReadCache(result)));
      // Without a QUIT nothing is removed (RFC 1939, 3).
      if (result === -2 && this.#isStopping) this.#sayLast(RESTART);
      else if (error instanceof RangeError) this.#sayLast("-ERR the line is too long\r\n");
      else this.#end();
    });
  }

  async #obey(line: string): Promise<void> {
    const [, word, argument] = /^(\S*) ?(.*?)\r?\n$/.exec(line) ?? ["", "", ""];
    const name = word.toUpperCase(), drop = this.#drop;
    try {
      if (name === "QUIT") return await this.#quit();
      if (name === "STLS" && argument === "") return this.#startTls();
      if (drop === undefined && Object.hasOwn(this.#before, name)) {
        this.#answer(await this.#before[name](argument));
      } else if (drop !== undefined && Object.hasOwn(this.#after, name)) {
        this.#answer(await this.#after[name](drop, argument.trim()));
      } else this.#answer("-ERR unknown command, or not now\r\n");
    } catch (error) {
      zerror(`Cannot obey ${name}:`, error);
      this.#sayLast("-ERR [SYS/TEMP] that has failed\r\n");
    }
  }

  #answer(answer: Answer): void {
    if (typeof answer === "string") {
      this.#mistakes.countAnswer(answer.startsWith("-ERR"));
      this.#aio.cachePuts(answer);
    } else this.#aio.cacheWriteDirect(answer);
    this.#aio.cacheFlush(() => this.#aio.result < 1 ? this.#end() : this.#nextLine());
  }

  #sayLast(text: string): void {
    this.#aio.cachePuts(text);
    this.#aio.cacheFlush(() => this.#end());
  }

  #end(): void {
    this.#drop?.close();
    this.#aio.close();
    this.#onEnd();
  }

  #capabilities(): Answer {
    const tls = this.#aio.tls === undefined && this.#drop === undefined ? "STLS\r\n" : "";
    return `+OK\r\nUSER\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\n${tls}.\r\n`;
  }

  #nameUser(name: string): Answer {
    const { remoteAddr, tls } = this.#aio;
    const peer = remoteAddr && "hostname" in remoteAddr ? remoteAddr.hostname : "local";
    if (!mayLogIn({ isSecure: tls !== undefined, peer })) return "-ERR STLS first\r\n";
    this.#name = name;
    return "+OK\r\n";
  }

  async #logIn(password: string): Promise<Answer> {
    if (this.#name === undefined) return "-ERR USER first\r\n";
    const credentials = { name: this.#name, password: utf8Of(password) };
    const user = await logIn(this.#system.accounts, credentials, this.#mistakes);
    this.#name = undefined;
    if (user === undefined) return "-ERR [AUTH] wrong name or password\r\n";
    this.#drop = await Maildrop.open(await this.#system.inboxOf(user));
    return this.#drop === undefined
      ? "-ERR [IN-USE] another session has this maildrop\r\n"
      : `+OK ${countOf(this.#drop.all)}\r\n`;
  }

  #startTls(): void {
    const aio = this.#aio;
    if (aio.tls !== undefined || this.#drop !== undefined) return this.#answer("-ERR not now\r\n");
    // Nothing may be obeyed that came without TLS, maybe from another one.
    if (aio.readCacheSize > 0) return this.#sayLast("-ERR nothing may come behind STLS\r\n");
    this.#name = undefined;
    aio.cachePuts("+OK begin\r\n");
    aio.cacheFlush(() => {
      if (aio.result < 1) return this.#end();
      aio.startTls(this.#system.tls, () => aio.result < 1 ? this.#end() : this.#nextLine());
    });
  }

  async #quit(): Promise<void> {
    await this.#drop?.removeMarked();
    this.#sayLast("+OK bye\r\n");
  }
}

const NO_MESSAGE = "-ERR no such message\r\n";

function countOf(all: readonly NumberedMessage[]): string {
  return `${all.length} ${all.reduce((sum, { message }) => sum + message.size, 0)}`;
}

/** The unique part of a name. */
function shortId(id: string): string {
  return id.split(".", 2).join(".");
}

/** The answer to a command about all messages, or about one. */
function listing(
  drop: Maildrop,
  number: string,
  textOf: (one: NumberedMessage) => string,
): Answer {
  const lineOf = (one: NumberedMessage) => `${one.number} ${textOf(one)}\r\n`;
  if (number === "") return `+OK\r\n${drop.all.map(lineOf).join("")}.\r\n`;
  const one = drop.at(Number(number));
  return one === undefined ? NO_MESSAGE : `+OK ${lineOf(one)}`;
}

/** The answer to a command that shows a message. */
async function withMessage(
  drop: Maildrop,
  number: string,
  part: (bytes: Uint8Array) => Uint8Array,
): Promise<Answer> {
  const one = drop.at(Number(number)), bytes = one && await drop.read(one);
  if (bytes === undefined) return NO_MESSAGE;
  const text = withEnd(part(bytes)), head = new TextEncoder().encode("+OK\r\n");
  const answer = new Uint8Array(head.length + text.length);
  answer.set(head);
  answer.set(text, head.length);
  return answer;
}
