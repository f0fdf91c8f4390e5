/**
 * Readiness of raw descriptors on the event loop: one epoll instance, which one thread of the runtime waits
 * for, for any number of descriptors (epoll(7)).
 *
 * There is no promise and no timer per descriptor; nothing runs while no descriptor is watched.
 *
 * @module
 */
import { closeFd } from "./descriptor.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../ffi/constants.ts";
import { decodeEpollEvent, encodeEpollEvent, EPOLL_EVENT_BYTES } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";

/** Bits of an epoll event mask (epoll_ctl(2)). */
export const EPOLLIN = 0x1, EPOLLPRI = 0x2, EPOLLOUT = 0x4, EPOLLERR = 0x8, EPOLLHUP = 0x10;
/** No bit: errors and hang-ups are reported even so. */
export const ERRORS_ONLY = 0;
/** The other end has shut down its output. */
export const EPOLLRDHUP = 0x2000;

/** Operations of epoll_ctl(2). */
export const EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3;

const EPOLL_CLOEXEC = 0o2000000;
const EVENTS_PER_WAIT = 64;
const WAIT_FOREVER = -1, WAIT_NOT = 0;

const POLL_NOT = 0;

/** Whether a read or an accept would not block (poll(2)). */
export function isReadable(fd: number): boolean {
  return (readiness(fd, EPOLLIN) & EPOLLIN) !== 0;
}

/** Whether the other end is closed, or a listening socket was shut down. */
export function isHungUp(fd: number): boolean {
  return (readiness(fd, EPOLLRDHUP) & (EPOLLHUP | EPOLLRDHUP)) !== 0;
}

/** The result of poll(2), whose bits are those of epoll; 0 on failure. */
function readiness(fd: number, events: number): number {
  // struct pollfd: int fd, short events, short revents.
  const pollfd = new Uint8Array(8), view = new DataView(pollfd.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, events, true);
  return libc().poll(pollfd, 1n, POLL_NOT) === 1 ? view.getInt16(6, true) : 0;
}

/** A descriptor being watched. */
export interface Watch {
  /**
   * Changes the watched events.
   *
   * @param events A mask of `EPOLLIN` and `EPOLLOUT`; 0 leaves errors and hang-ups only.
   */
  modify(events: number): void;
  /** Ends the watch; must be called before the descriptor is closed. A second call does nothing. */
  stop(): void;
}

/** Watches descriptors, level-triggered. */
export class Poller {
  #epoll = -1;
  #wake = -1;
  #nextToken = 1n;
  readonly #callbacks = new Map<bigint, (events: number) => void>();
  #turn = 0;
  readonly #buffer = new Uint8Array(EPOLL_EVENT_BYTES * EVENTS_PER_WAIT);
  readonly #view = new DataView(this.#buffer.buffer);

  /** @param onError Receives the exceptions of callbacks, so that one watch does not end the others. */
  constructor(readonly onError: (error: unknown) => void) {}

  /** A number that is higher each time events have come; other parts of the program run in between. */
  get turn(): number {
    return this.#turn;
  }

  /**
   * Watches a borrowed descriptor.
   *
   * @param fd The descriptor.
   * @param events The events to watch.
   * @param callback Receives the event mask each time the descriptor is ready.
   * @returns The watch.
   * @throws {SysError} When `fd` can't be watched.
   */
  watch(fd: number, events: number, callback: (events: number) => void): Watch {
    const running = this.#epoll >= 0;
    // A token instead of the descriptor: its number may be reused while an old event is still in the buffer.
    const token = this.#nextToken++;
    try {
      if (!running) this.#open();
      this.#control(EPOLL_CTL_ADD, fd, encodeEpollEvent(events, token));
    } catch (error) {
      // The loop, which closes the instance otherwise, has not begun.
      if (!running) this.#close();
      throw error;
    }
    this.#callbacks.set(token, callback);
    if (!running) this.#run().catch(this.onError);
    return {
      modify: (mask) => {
        if (this.#callbacks.has(token)) {
          this.#control(EPOLL_CTL_MOD, fd, encodeEpollEvent(mask, token));
        }
      },
      stop: () => {
        if (!this.#callbacks.delete(token)) return;
        this.#control(EPOLL_CTL_DEL, fd, encodeEpollEvent(0, 0n));
        // The thread still waits: an event ends its wait, and with it the loop.
        if (this.#callbacks.size === 0) this.#interrupt();
      },
    };
  }

  #open(): void {
    this.#epoll = unwrap({ syscall: "epoll_create1" }, () => libc().epoll_create1(EPOLL_CLOEXEC));
    this.#wake = unwrap(
      { syscall: "eventfd" },
      () => libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    );
    this.#control(EPOLL_CTL_ADD, this.#wake, encodeEpollEvent(EPOLLIN, 0n));
  }

  #close(): void {
    if (this.#wake >= 0) closeFd(this.#wake);
    if (this.#epoll >= 0) closeFd(this.#epoll);
    this.#wake = this.#epoll = -1;
  }

  async #run(): Promise<void> {
    try {
      while (this.#callbacks.size > 0) {
        const count = await libc().epoll_wait_on_thread(
          this.#epoll,
          this.#buffer,
          EVENTS_PER_WAIT,
          WAIT_FOREVER,
        );
        // errno of another thread can't be read: the call is repeated on this thread, which reports the error or
        // the ready descriptors.
        this.#dispatch(count >= 0 ? count : this.#waitHere());
      }
    } finally {
      this.#callbacks.clear();
      this.#close();
    }
  }

  #waitHere(): number {
    return unwrap(
      { syscall: "epoll_wait" },
      () => libc().epoll_wait(this.#epoll, this.#buffer, EVENTS_PER_WAIT, WAIT_NOT),
    );
  }

  #dispatch(count: number): void {
    this.#turn++;
    for (let index = 0; index < count; index++) {
      const { events, data } = decodeEpollEvent(this.#view, index);
      if (data === 0n) {
        libc().read(this.#wake, new Uint8Array(8), 8n);
        continue;
      }
      try {
        this.#callbacks.get(data)?.(events);
      } catch (error) {
        this.onError(error);
      }
    }
  }

  #interrupt(): void {
    libc().write(this.#wake, new Uint8Array(new BigUint64Array([1n]).buffer), 8n);
  }

  #control(operation: number, fd: number, event: Uint8Array<ArrayBuffer>): void {
    unwrap(
      { syscall: "epoll_ctl", subject: fd },
      () => libc().epoll_ctl(this.#epoll, operation, fd, event),
    );
  }
}
