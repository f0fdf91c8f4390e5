/**
 * The transport over a descriptor of this process, without the runtime's sockets: system calls that do not wait, and
 * the poller of the process, which tells when they can be repeated.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT, type Watch, type Watcher } from "../../os/fd/poller.ts";
import { closeStream, NOT_NOW, receiveNow, sendNow } from "../../os/net/stream.ts";
import { type ConnEnds, fdConn, streamError } from "../backend/fd_conn.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import type { AioConn } from "./conn.ts";
import { type AioReader, type AioTransport, type AioWriter, PENDING } from "./transport.ts";

const CLOSED = -1;

/** How much may be written before other connections get their turn. */
const BYTES_PER_TURN = 1024 * 1024;

/** See {@linkcode AioTransport}. */
export class DirectTransport implements AioTransport, Watcher {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly conn: undefined;
  #fd: number;
  #reader!: AioReader;
  #writer!: AioWriter;
  #watch: Watch | undefined = undefined;
  /** The events that are watched. */
  #mask = 0;
  #reading = false;
  #writing = false;
  #written = 0;
  /** Whether all was read, up to the end. */
  #ended = false;

  /**
   * @param fd A connected, non-blocking stream socket, owned by the transport.
   * @param ends Its addresses.
   */
  constructor(fd: number, { localAddr, remoteAddr }: ConnEnds) {
    this.#fd = fd;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  bind(reader: AioReader, writer: AioWriter): void {
    this.#reader = reader;
    this.#writer = writer;
  }

  read(): void {
    this.#reading = true;
    if ((this.#mask & EPOLLIN) === 0) this.#watchFor(this.#mask | EPOLLIN);
  }

  write(): number {
    if (this.#written >= BYTES_PER_TURN) return this.#writeLater();
    const count = sendNow(this.#fd, this.#writer.lendPiece() as Uint8Array<ArrayBuffer>);
    if (count >= 0) {
      this.#written += count;
      return count;
    }
    if (count === NOT_NOW) return this.#writeLater();
    throw streamError("send", count);
  }

  #writeLater(): number {
    this.#writing = true;
    this.#watchFor(this.#mask | EPOLLOUT);
    return PENDING;
  }

  onEvents(events: number): void {
    this.#written = 0;
    // Errors and hang-ups come to whatever is under way.
    const reads = this.#reading && (events & ~EPOLLOUT) !== 0;
    const writes = this.#writing && (events & ~EPOLLIN) !== 0;
    if (reads) this.#receive();
    if (writes && this.#writing) this.#send();
    // What comes next is of no use at the moment, and would come again and again.
    if (!reads && !writes) this.#watchFor(this.#wanted);
  }

  get #wanted(): number {
    return (this.#reading ? EPOLLIN : 0) | (this.#writing ? EPOLLOUT : 0);
  }

  #receive(): void {
    const count = receiveNow(this.#fd, this.#reader.lendRoom());
    if (count === NOT_NOW) return this.#reader.receivedNothing();
    this.#reading = false;
    if (count > 0) return this.#reader.received(count);
    this.#ended = count === 0;
    if (this.#ended) this.#reader.ended();
    else this.#reader.readFailed(streamError("recv", count));
  }

  #send(): void {
    const count = sendNow(this.#fd, this.#writer.lendPiece() as Uint8Array<ArrayBuffer>);
    if (count === NOT_NOW) return;
    this.#writing = false;
    if (count >= 0) {
      this.#written = count;
      this.#writer.written(count);
    } else {
      this.#writer.writeFailed(streamError("send", count));
    }
    if (!this.#writing && this.#fd !== CLOSED) this.#watchFor(this.#mask & ~EPOLLOUT);
  }

  #watchFor(events: number): void {
    if (events === this.#mask && this.#watch !== undefined) return;
    this.#mask = events;
    if (events === 0) this.#stopWatching();
    else if (this.#watch !== undefined) this.#watch.modify(events);
    else this.#watch = serverPoller.watch(this.#fd, events, this);
  }

  #stopWatching(): void {
    this.#watch?.stop();
    this.#forget();
  }

  #forget(): void {
    this.#watch = undefined;
    this.#mask = 0;
    this.#reading = this.#writing = false;
  }

  close(): void {
    const fd = this.#fd;
    if (fd === CLOSED) return;
    this.#fd = CLOSED;
    this.#watch?.stopByClose();
    this.#forget();
    closeStream(fd, this.#ended);
  }

  release(): AioConn {
    const fd = this.#fd;
    this.#stopWatching();
    this.#fd = CLOSED;
    return fdConn(fd, this);
  }
}
