/**
 * A wait for an epoll instance by the runtime's own event loop, for which it has no call.
 *
 * The runtime waits for its descriptors with one epoll instance. The other instance is registered in it with the
 * user data of a connection of the runtime. So its events wake the reader of that connection. The connection itself
 * is one end of a socket pair without events, in which one byte always waits: the reader finds it, and another byte
 * takes its place. A wait costs a third of one by a thread.
 *
 * This depends on the way the runtime registers descriptors, as in `listener.ts`, so every step is checked and the
 * whole is tried once.
 *
 * @module
 */
import { AdoptError, createIfPermitted, findRegistration } from "./listener.ts";
import { discardThrowaway, move, openThrowaway, type Throwaway } from "./throwaway.ts";
import { systemClock, within } from "../clock/clock.ts";
import { EFD_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL } from "../ffi/constants.ts";
import { closeFd, duplicateFd, setNonblocking } from "../fd/descriptor.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  type EpollWait,
} from "../fd/poller.ts";
import { resetConnection } from "../net/connections.ts";
import { runtimeFunctions } from "../net/runtime_functions.ts";
import { socketPair } from "../net/socket.ts";
import { sendNow } from "../net/stream.ts";

/** An event when something changes, and none for what stays (epoll(7)). */
const EPOLLET = 2 ** 31;

/** The time limit of the first wait, whose event is there before it. */
const TRIAL_MS = 1_000;

/**
 * Makes the runtime's event loop wait for an epoll instance.
 *
 * @param epoll The instance. Borrowed until this returns its promise.
 * @returns The wait, which has a duplicate of the instance.
 * @throws {AdoptError} Where that does not work, and without the permission to listen on 127.0.0.1.
 */
export async function openLoopWait(epoll: number): Promise<EpollWait> {
  const own = duplicateFd(epoll);
  let wait: LoopWait;
  try {
    wait = new LoopWait(own, await throwaway());
  } catch (error) {
    closeFd(own);
    throw error;
  }
  try {
    await wait.tryOut();
    return wait;
  } catch (error) {
    wait.close();
    throw error;
  }
}

const NOTHING = encodeEpollEvent(0, 0n);

async function throwaway(): Promise<Throwaway<Deno.TcpConn>> {
  const listener = createIfPermitted(() =>
    runtimeFunctions.listen({ hostname: "127.0.0.1", port: 0 })
  );
  let isOpen = true;
  const close = () => {
    if (isOpen) listener.close();
    isOpen = false;
  };
  try {
    return await openThrowaway(listener, { clock: systemClock, late: close });
  } finally {
    close();
  }
}

class LoopWait implements EpollWait {
  /** The duplicate of the instance. */
  readonly #own: number;
  readonly #conn: Deno.Conn;
  /** The end of the socket pair from which the connection gets its byte. */
  readonly #source: number;
  /** The runtime's instance. */
  readonly #outer: number;
  /** One event, for the reader of the connection. */
  readonly #wanted: Uint8Array<ArrayBuffer>;
  readonly #byte = new Uint8Array(1);
  /** Room for more than the byte: after a full read the runtime would not wait for the next event. */
  readonly #room = new Uint8Array(2);

  /** Takes ownership of both, unless it throws. */
  constructor(own: number, throwaway: Throwaway<Deno.TcpConn>) {
    const { made, target, client } = throwaway;
    const [sink, source] = socketPair();
    try {
      const { epoll, data } = findRegistration(target);
      this.#outer = epoll;
      this.#wanted = encodeEpollEvent(EPOLLIN + EPOLLET, data);
      setNonblocking(sink);
      move(sink, target);
      // The runtime expects a registration when it closes. User data 0 is that of its own wake-ups.
      this.#control(EPOLL_CTL_ADD, target, NOTHING);
      this.#control(EPOLL_CTL_ADD, own, NOTHING);
    } catch (error) {
      discardThrowaway(throwaway);
      closeFd(source);
      throw error;
    } finally {
      closeFd(sink);
    }
    resetConnection(client);
    this.#own = own;
    this.#conn = made;
    this.#source = source;
  }

  /** Waits once for an event that is there. */
  async tryOut(): Promise<void> {
    this.#giveByte();
    const ready = unwrap({ syscall: "eventfd" }, () => libc().eventfd(1, EFD_CLOEXEC));
    try {
      this.#control(EPOLL_CTL_ADD, ready, this.#wanted);
      await within(this.#takeByte(), {
        ms: TRIAL_MS,
        late() {
          throw new AdoptError("Cannot wait by the runtime: an event has not come through");
        },
      });
    } finally {
      this.#control(EPOLL_CTL_DEL, ready, NOTHING);
      closeFd(ready);
    }
    this.#giveByte();
    this.#control(EPOLL_CTL_MOD, this.#own, this.#wanted);
  }

  async ready(left: boolean, isLoaded: boolean): Promise<void> {
    // A change tells of events that are there. Later ones come through by themselves.
    if (left) this.#control(EPOLL_CTL_MOD, this.#own, this.#wanted);
    await this.#takeByte();
    this.#giveByte(isLoaded);
  }

  async #takeByte(): Promise<void> {
    if (await this.#conn.read(this.#room) === 1) return;
    throw new AdoptError("Cannot wait by the runtime: no byte was there");
  }

  /** Puts a byte where one was taken. */
  #giveByte(isLoaded = false): void {
    // What is called very often is compiled for it, which takes 3 MB of memory.
    const count = isLoaded
      ? sendNow(this.#source, this.#byte)
      : libc().send(this.#source, this.#byte, 1n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count === 1) return;
    // Without a byte an event would wake nobody.
    throw new AdoptError("Cannot wait by the runtime: no byte can be sent");
  }

  close(): void {
    // First: the user data is worth nothing once the connection is closed. It fails where the registration is gone.
    libc().epoll_ctl(this.#outer, EPOLL_CTL_DEL, this.#own, NOTHING);
    closeFd(this.#own);
    this.#conn.close();
    closeFd(this.#source);
  }

  #control(operation: number, fd: number, event: Uint8Array<ArrayBuffer>): void {
    unwrap(
      { syscall: "epoll_ctl", subject: fd },
      () => libc().epoll_ctl(this.#outer, operation, fd, event),
    );
  }
}
