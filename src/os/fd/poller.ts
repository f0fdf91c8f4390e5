/**
 * Readiness of raw descriptors on the event loop: one epoll instance for any number of descriptors (epoll(7)).
 *
 * One thread of the runtime waits for it, or an object in its place ({@linkcode Poller.waitBy}). There is no promise
 * and no timer per descriptor; nothing runs while no descriptor is watched.
 *
 * @module
 */
import { closeFd } from "./descriptor.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../ffi/constants.ts";
import { EpollEvents } from "../ffi/layout.ts";
import { fastLibc, libc, unwrap } from "../ffi/libc.ts";

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

/** Under load: how often the instance is asked again before other parts of the program get their turn, and for how long. */
const ROUNDS = 50, ROUNDS_MS = 5;
/** Under load: how long to look for the next event before a wait, which takes as long; and the looks in between. */
const LOOK_MS = 0.03, LOOKS = 16;
/** The most waits without looks before them, after looks that were in vain. */
const MOST_RESTRAINT = 63;

const WAIT_FOREVER = -1, WAIT_NOT = 0;

/** The generation of the poller's own descriptor, and the last one of others. */
const NO_GENERATION = 0, LAST_GENERATION = 2 ** 32 - 1;

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
  /** The same for a descriptor that is closed at once, and that nothing else has open, no other process either. */
  stopByClose(): void;
}

/** What receives the events of a descriptor. */
export interface Watcher {
  /** @param events The event mask. */
  onEvents(events: number): void;
}

/** Waits for events of an epoll instance in place of a thread. */
export interface EpollWait {
  /**
   * Waits.
   *
   * @param left Whether there may be events already; otherwise the instance was asked and had none.
   * @param isLoaded Whether it is called very often.
   * @returns Fulfilled when there may be events.
   */
  ready(left: boolean, isLoaded: boolean): Promise<void>;
  /** Ends it. Must not throw. */
  close(): void;
}

/** Opens an {@linkcode EpollWait} for a borrowed epoll instance; undefined where it can't. Must not reject. */
export type OpenEpollWait = (epoll: number) => Promise<EpollWait | undefined>;

/** Watches descriptors, level-triggered. */
export class Poller {
  #epoll = -1;
  #wake = -1;
  #generation = NO_GENERATION;
  /** How often the instance was opened. */
  #openings = 0;
  /** By descriptor. */
  readonly #watches: (FdWatch | undefined)[] = [];
  #count = 0;
  #turn = 0;
  readonly #events = new EpollEvents(EVENTS_PER_WAIT);
  readonly #change = new EpollEvents(1);
  #isWaiting = false;
  /** The waits since the last looks, and how many there are to be. */
  #waits = 0;
  #restraint = 0;
  #openWait?: OpenEpollWait;
  /** Fulfilled when the last call of it has ended. */
  #changing: Promise<void> = Promise.resolve();
  #wait?: EpollWait;
  /** Whether no event was left after the last ones. */
  #isDone = false;

  /** Whether there are, or were, connections: it asks for further events then before it waits again. */
  isLoaded = false;

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
   * @param watcher Receives the event mask each time the descriptor is ready.
   * @returns The watch.
   * @throws {SysError} When `fd` can't be watched.
   */
  watch(fd: number, events: number, watcher: Watcher | ((events: number) => void)): Watch {
    const running = this.#epoll >= 0;
    // The number of a descriptor may be reused while an old event is still in the buffer.
    this.#generation = (this.#generation % LAST_GENERATION) + 1;
    const watch = new FdWatch(this, {
      fd,
      generation: this.#generation,
      watcher: typeof watcher === "function" ? { onEvents: watcher } : watcher,
    });
    try {
      if (!running) this.#open();
      this.#control(EPOLL_CTL_ADD, watch, events);
    } catch (error) {
      // The loop, which closes the instance otherwise, has not begun.
      if (!running) this.#close();
      throw error;
    }
    this.#watches[fd] = watch;
    this.#count++;
    if (!running) {
      this.#run().catch(this.onError);
      if (this.#openWait !== undefined) this.#changing = this.#changeWait();
    }
    return watch;
  }

  /**
   * Has an object wait in place of the thread, whose answer takes longer. Later calls change nothing.
   *
   * @param openWait Opens it.
   * @returns Fulfilled when it is open.
   */
  async waitBy(openWait: OpenEpollWait): Promise<void> {
    if (this.#openWait === undefined) {
      this.#openWait = openWait;
      if (this.#epoll >= 0) this.#changing = this.#changeWait();
    }
    await this.#changing;
  }

  /** Changes the events of a watch; does nothing once it is stopped. Called by the watch. */
  modify(watch: FdWatch, events: number): void {
    if (this.#watches[watch.fd] === watch) this.#control(EPOLL_CTL_MOD, watch, events);
  }

  /** Ends a watch, once; `closed`: whether the descriptor is being closed. Called by the watch. */
  stop(watch: FdWatch, closed: boolean): void {
    if (this.#watches[watch.fd] !== watch) return;
    this.#watches[watch.fd] = undefined;
    // The kernel does it with the close.
    if (!closed) this.#control(EPOLL_CTL_DEL, watch, 0);
    // If it still waits, an event ends the wait, and with it the loop.
    if (--this.#count === 0) this.#interrupt();
  }

  #open(): void {
    this.#openings++;
    this.#epoll = unwrap({ syscall: "epoll_create1" }, () => libc().epoll_create1(EPOLL_CLOEXEC));
    this.#wake = unwrap(
      { syscall: "eventfd" },
      () => libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    );
    this.#control(EPOLL_CTL_ADD, { fd: this.#wake, generation: NO_GENERATION }, EPOLLIN);
  }

  #close(): void {
    this.#wait?.close();
    this.#wait = undefined;
    if (this.#wake >= 0) closeFd(this.#wake);
    if (this.#epoll >= 0) closeFd(this.#epoll);
    this.#wake = this.#epoll = -1;
  }

  /** Opens what waits in place of the thread. */
  async #changeWait(): Promise<void> {
    const openings = this.#openings;
    const wait = await this.#openWait!(this.#epoll);
    if (wait === undefined) return;
    // The instance may have been closed meanwhile.
    if (this.#epoll < 0 || this.#openings !== openings) return wait.close();
    this.#wait = wait;
    this.#interrupt();
  }

  async #run(): Promise<void> {
    try {
      while (this.#count > 0) {
        this.#isWaiting = true;
        const count = await this.#next();
        this.#isWaiting = false;
        this.#isDone = false;
        this.#dispatch(count);
        if (this.isLoaded) await this.#carryOn();
      }
    } finally {
      this.#watches.length = this.#count = 0;
      this.#isWaiting = false;
      this.#close();
    }
  }

  /** Waits for events, and returns how many there are. */
  async #next(): Promise<number> {
    const wait = this.#wait;
    try {
      if (wait !== undefined) {
        await wait.ready(!this.#isDone, this.isLoaded);
        return this.#ask();
      }
    } catch (error) {
      // The thread takes its place.
      this.#wait = undefined;
      this.onError(error);
      wait!.close();
    }
    const count = await libc().epoll_wait_on_thread(
      this.#epoll,
      this.#events.room,
      EVENTS_PER_WAIT,
      WAIT_FOREVER,
    );
    // errno of another thread can't be read: the call is repeated on this thread, which reports the error or
    // the ready descriptors.
    return count >= 0 ? count : this.#ask();
  }

  /** Handles further events as long as there are any: a wait costs more than a look. */
  async #carryOn(): Promise<void> {
    const untilMs = performance.now() + ROUNDS_MS;
    for (let round = 0; round < ROUNDS && this.#count > 0; round++) {
      // The reactions to promises come before further events.
      await undefined;
      const count = this.#ask() || this.#lookLonger();
      this.#isDone = count === 0;
      if (this.#isDone) return;
      this.#dispatch(count);
      if (performance.now() >= untilMs) return;
    }
  }

  /**
   * Looks for the next event for a moment: an answer to what was just sent comes sooner than a wait would end. Where
   * that is in vain, it is done less and less often.
   */
  #lookLonger(): number {
    if (this.#waits++ < this.#restraint) return 0;
    this.#waits = 0;
    const untilMs = performance.now() + LOOK_MS;
    do {
      for (let look = 0; look < LOOKS; look++) {
        const count = this.#ask();
        if (count === 0) continue;
        this.#restraint >>= 1;
        return count;
      }
    } while (performance.now() < untilMs);
    this.#restraint = Math.min(2 * this.#restraint + 1, MOST_RESTRAINT);
    return 0;
  }

  /** Asks for events without waiting. */
  #ask(): number {
    const { room } = this.#events;
    const call = () => libc().epoll_wait(this.#epoll, room, EVENTS_PER_WAIT, WAIT_NOT);
    if (!this.isLoaded) return unwrap({ syscall: "epoll_wait" }, call);
    const count = fastLibc().epoll_wait(this.#epoll, room, EVENTS_PER_WAIT, WAIT_NOT);
    return count >= 0 ? count : unwrap({ syscall: "epoll_wait" }, call);
  }

  #dispatch(count: number): void {
    this.#turn++;
    const events = this.#events;
    for (let index = 0; index < count; index++) {
      const fd = events.low(index);
      const watch = this.#watches[fd];
      if (watch === undefined || watch.generation !== events.high(index)) {
        if (fd === this.#wake) libc().read(fd, new Uint8Array(8), 8n);
        continue;
      }
      try {
        watch.watcher.onEvents(events.mask(index));
      } catch (error) {
        this.onError(error);
      }
    }
  }

  #interrupt(): void {
    if (this.#isWaiting) {
      libc().write(this.#wake, new Uint8Array(new BigUint64Array([1n]).buffer), 8n);
    }
  }

  #control(
    operation: number,
    { fd, generation }: Pick<FdWatch, "fd" | "generation">,
    events: number,
  ): void {
    unwrap(
      { syscall: "epoll_ctl", subject: fd },
      () => libc().epoll_ctl(this.#epoll, operation, fd, this.#change.set(events, fd, generation)),
    );
  }
}

/** See {@linkcode Poller.watch}. */
class FdWatch implements Watch {
  readonly fd: number;
  readonly generation: number;
  readonly watcher: Watcher;
  readonly #poller: Poller;

  constructor(
    poller: Poller,
    { fd, generation, watcher }: Pick<FdWatch, "fd" | "generation" | "watcher">,
  ) {
    this.#poller = poller;
    this.fd = fd;
    this.generation = generation;
    this.watcher = watcher;
  }

  modify(events: number): void {
    this.#poller.modify(this, events);
  }

  stop(): void {
    this.#poller.stop(this, false);
  }

  stopByClose(): void {
    this.#poller.stop(this, true);
  }
}
