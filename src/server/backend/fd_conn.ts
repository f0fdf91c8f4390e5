/**
 * A `Deno.Conn` over a descriptor that is none of the runtime's, with the runtime's errors and closing behaviour.
 *
 * @module
 */
import type { RawConn } from "../../os/adopt/tls.ts";
import { SysError } from "../../os/ffi/errors.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, type Watch } from "../../os/fd/poller.ts";
import { setKeepAlive, setNoDelay } from "../../os/net/connections.ts";
import { closeStream, endOutput, NOT_NOW, receiveNow, sendNow } from "../../os/net/stream.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import { runtimeError } from "./conn_errors.ts";
import { StreamedConn } from "./streamed_conn.ts";
import { Turns } from "./turns.ts";

/** The two ends of a connection. */
export interface ConnEnds {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
}

/** The error of a call of `stream.ts`, of the class that the runtime's connections have it in. */
export function streamError(syscall: string, result: number): Error {
  return runtimeError(new SysError(syscall, -result));
}

/** What a direction does. */
interface Transfer {
  /** A function of `stream.ts`, and its system call. */
  readonly call: (fd: number, bytes: Uint8Array<ArrayBuffer>) => number;
  readonly syscall: string;
  /** The events that tell when it can be repeated. */
  readonly events: number;
}

/** The calls of one direction: each begins when the one before it has ended, so that bytes keep their order. */
class Direction {
  #last: Promise<unknown> | undefined;

  constructor(readonly transfer: Transfer) {}

  /** Calls a function when it is its turn; at once if no call is under way. */
  inOrder<T>(act: () => Promise<T>): Promise<T> {
    const call = this.#last === undefined ? act() : this.#last.then(act, act);
    const ended = () => {
      if (this.#last === call) this.#last = undefined;
    };
    this.#last = call;
    call.then(ended, ended);
    return call;
  }
}

/** A wait for one of some events. */
interface Waiter {
  readonly events: number;
  readonly resolve: () => void;
}

/** See {@linkcode fdConn}. */
class FdConn extends StreamedConn implements RawConn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  #fd: number;
  #watch?: Watch;
  readonly #waiters = new Set<Waiter>();
  readonly #input = new Direction({ call: receiveNow, syscall: "recv", events: EPOLLIN });
  readonly #output = new Direction({ call: sendNow, syscall: "send", events: EPOLLOUT });
  readonly #turns = new Turns();

  constructor(fd: number, { localAddr, remoteAddr }: ConnEnds) {
    super();
    this.#fd = fd;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  get rawFd(): number {
    return this.#fd;
  }

  async read(room: Uint8Array): Promise<number | null> {
    if (room.length === 0) return 0;
    const count = await this.#move(room, this.#input);
    return count > 0 ? count : null;
  }

  write(data: Uint8Array): Promise<number> {
    return this.#move(data, this.#output);
  }

  async #move(bytes: Uint8Array, direction: Direction): Promise<number> {
    this.checkOpen();
    const { call, syscall, events } = direction.transfer;
    return await direction.inOrder(async () => {
      const turn = this.#turns.take();
      if (turn !== undefined) await turn;
      for (;;) {
        this.checkStillOpen();
        const count = call(this.#fd, bytes as Uint8Array<ArrayBuffer>);
        if (count >= 0) return count;
        if (count !== NOT_NOW) throw streamError(syscall, count);
        await this.#ready(events);
      }
    });
  }

  async #ready(events: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add({ events, resolve });
    this.#update();
    await promise;
  }

  #onEvents(events: number): void {
    const all = (events & (EPOLLERR | EPOLLHUP)) !== 0;
    for (const waiter of this.#waiters) {
      if (!all && (waiter.events & events) === 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
    this.#update();
  }

  /** Watches for what is waited for. */
  #update(): void {
    const events = this.#waiters.values().reduce((sum, waiter) => sum | waiter.events, 0);
    if (events === 0) {
      this.#watch?.stop();
      this.#watch = undefined;
    } else if (this.#watch === undefined) {
      this.#watch = serverPoller.watch(this.#fd, events, (events) => this.#onEvents(events));
    } else {
      this.#watch.modify(events);
    }
  }

  async closeWrite(): Promise<void> {
    this.checkOpen();
    await this.#output.inOrder(async () => {
      this.checkStillOpen();
      endOutput(this.#fd);
      await Promise.resolve();
    });
  }

  protected shut(): void {
    this.finish();
  }

  protected finish(): void {
    this.#leave();
    if (this.#fd >= 0) closeStream(this.#fd);
    this.#fd = -1;
  }

  /** Ends all waits. */
  #leave(): void {
    this.#watch?.stop();
    this.#watch = undefined;
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters.clear();
  }

  takeFd(): number {
    const fd = this.#fd;
    this.#leave();
    this.#fd = -1;
    this.close();
    return fd;
  }

  /** Does nothing: the poller keeps the process running in any case. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}
}

/** A TCP connection. */
class FdTcpConn extends FdConn implements Deno.TcpConn {
  declare readonly localAddr: Deno.NetAddr;
  declare readonly remoteAddr: Deno.NetAddr;

  setNoDelay(noDelay = true): void {
    this.checkOpen();
    setNoDelay(this.rawFd, noDelay);
  }

  setKeepAlive(keepAlive = true): void {
    this.checkOpen();
    setKeepAlive(this.rawFd, keepAlive);
  }
}

/** Makes a connection of a connected descriptor, and takes ownership of it. */
export function fdConn(fd: number, ends: ConnEnds): Deno.Conn {
  return ends.localAddr.transport === "tcp" ? new FdTcpConn(fd, ends) : new FdConn(fd, ends);
}
