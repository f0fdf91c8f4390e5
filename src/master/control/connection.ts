/**
 * One client of the control socket: its requests one after the other, and a bounded queue of
 * answers.
 *
 * @module
 */
import { LineReader } from "../../control/line_reader.ts";
import { MAX_REQUEST_BYTES } from "../../control/messages.ts";
import { callLater } from "../../os/clock/exit_later.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { EPOLLIN, EPOLLOUT, type Poller, type Watch } from "../../os/fd/poller.ts";
import { receiveWithFds, sendWithFds } from "../../os/net/fd_passing.ts";

/** The most bytes of answers that wait for a client; one answer may be larger, since nothing follows it. */
export const MAX_UNSENT_BYTES = 1 << 20;

/** From here on a client counts as slow. */
const SLOW_UNSENT_BYTES = MAX_UNSENT_BYTES / 2;

/** How long a connection that was left stays open where the process of a master goes on, as a program around it may. */
const LEFT_MS = 1_000;

/** The buffer of received bytes; one for all connections, since reads are synchronous. */
const ROOM = new Uint8Array(MAX_REQUEST_BYTES);

const ENCODER = new TextEncoder();

/** The events of a connection. */
export interface ConnectionHandlers {
  /**
   * A line has arrived. No further one is delivered before this is fulfilled; it never rejects.
   *
   * @param line The line, without its end.
   */
  onLine(line: string): Promise<void>;
  /** The client has broken the protocol; the connection is closed after the last answer. */
  onBroken(message: string): void;
  /** All answers are sent. */
  onSent(): void;
  /** The connection is closed. Called once. */
  onClose(): void;
}

/** The parts of a connection. */
export interface ConnectionOptions {
  /** A connected unix stream socket, non-blocking, owned by the connection. */
  readonly fd: number;
  readonly poller: Poller;
  /** Calls back in a later turn of the event loop. */
  afterTurn(callback: () => void): void;
}

/** A connected client. */
export class ControlConnection {
  #fd: number;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #watch: Watch;
  readonly #reader = new LineReader(MAX_REQUEST_BYTES);
  readonly #lines: string[] = [];
  #unsent: Uint8Array<ArrayBuffer>[] = [];
  #unsentBytes = 0;
  #isBusy = false;
  /** Whether no more lines are read. */
  #isEnding = false;
  /** Whether it is closed once nothing is under way. */
  #isFinishing = false;

  /**
   * @param options The parts.
   * @param handlers Receives the events; `onClose` also from within a call that closes it.
   * @throws {SysError} When the socket can't be watched; the caller then still owns it.
   */
  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#fd = options.fd;
    this.#options = options;
    this.#handlers = handlers;
    this.#watch = options.poller.watch(options.fd, EPOLLIN, (events) => this.#onEvents(events));
  }

  /** Whether no request is under way and no answer waits. */
  get isIdle(): boolean {
    return !this.#isBusy && this.#unsentBytes === 0 && this.#lines.length === 0;
  }

  /** Whether so much waits for the client that what can be left out should be. */
  get isSlow(): boolean {
    return this.#unsentBytes > SLOW_UNSENT_BYTES;
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /**
   * Sends values, each as one line. A client that does not read, so that too many answers wait, is
   * disconnected.
   */
  send(...values: readonly unknown[]): void {
    if (!this.isOpen) return;
    const bytes = ENCODER.encode(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    this.#flush();
    if (this.#unsent.length > 1 && this.#unsentBytes > MAX_UNSENT_BYTES) this.close();
  }

  /** Closes the connection once its answers are sent. */
  end(): void {
    this.#isEnding = true;
    this.#lines.length = 0;
    if (this.#unsentBytes === 0) this.close();
  }

  /** Closes the connection once no request is under way. */
  finish(): void {
    this.#isFinishing = true;
    if (this.isIdle) this.end();
  }

  /** Closes the connection at once. A second call does nothing. */
  close(): void {
    const fd = this.#abandon();
    if (fd !== undefined) closeFd(fd);
  }

  /** Leaves it to the end of this process to close the connection, and closes it soon if the process goes on. */
  leave(): void {
    const fd = this.#abandon();
    if (fd !== undefined) callLater(LEFT_MS, () => closeFd(fd));
  }

  #abandon(): number | undefined {
    if (!this.isOpen) return undefined;
    const fd = this.#fd;
    this.#watch.stop();
    this.#fd = -1;
    this.#unsent = [];
    this.#unsentBytes = 0;
    this.#handlers.onClose();
    return fd;
  }

  #onEvents(events: number): void {
    if (events & EPOLLOUT) this.#flush();
    else if (events & EPOLLIN && this.isIdle && !this.#isEnding) this.#receive();
    // Nobody is at the other end any more.
    else if (!(events & EPOLLIN)) this.close();
  }

  #receive(): void {
    try {
      const received = receiveWithFds(this.#fd, ROOM, { takesFds: false });
      if (received === undefined) return;
      if (received.length === 0) return this.close();
      this.#lines.push(...this.#reader.take(ROOM.subarray(0, received.length)));
    } catch (error) {
      this.#isEnding = true;
      this.#handlers.onBroken((error as Error).message);
      return this.end();
    }
    this.#next();
  }

  /** Handles the next line, and reads on when there is none. */
  #next(): void {
    const line = this.#lines.shift();
    if (line === undefined) return this.#isFinishing ? this.end() : this.#listen();
    this.#isBusy = true;
    this.#listen();
    this.#handlers.onLine(line).then(() => {
      // Other events get their turn between two requests of a client.
      this.#options.afterTurn(() => {
        this.#isBusy = false;
        if (this.isOpen) this.#next();
      });
    });
  }

  #flush(): void {
    try {
      while (this.#unsent.length > 0) {
        const [bytes] = this.#unsent;
        const taken = sendWithFds(this.#fd, bytes) ?? 0;
        this.#unsentBytes -= taken;
        if (taken < bytes.length) {
          this.#unsent[0] = bytes.subarray(taken);
          break;
        }
        this.#unsent.shift();
      }
    } catch {
      // The client is gone, and with it the need for an answer.
      return this.close();
    }
    if (this.#isEnding && this.#unsentBytes === 0) return this.close();
    if (this.#isFinishing && this.isIdle) return this.end();
    this.#listen();
    if (this.#unsentBytes === 0) this.#handlers.onSent();
  }

  /** Reads only while nothing is under way, so that a client can't fill the memory. */
  #listen(): void {
    if (!this.isOpen) return;
    const reads = !this.#isBusy && !this.#isEnding && this.#unsentBytes === 0;
    this.#watch.modify((reads ? EPOLLIN : 0) | (this.#unsentBytes > 0 ? EPOLLOUT : 0));
  }
}
