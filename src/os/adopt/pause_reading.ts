/**
 * Keeps the runtime from reading a connection for a while, which it has no call for: what arrives
 * meanwhile waits in the kernel.
 *
 * @module
 */
import { AdoptError, findRegistration, type Registration } from "./listener.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc } from "../ffi/libc.ts";
import { EPOLL_CTL_MOD, EPOLLIN, EPOLLPRI, EPOLLRDHUP } from "../fd/poller.ts";
import { socketId } from "../net/traffic.ts";

/**
 * Has the runtime told no more of what arrives on a connection. What it knows of already it reads.
 *
 * @param fd A connection of the runtime. Borrowed.
 * @returns Has it told again, of what has arrived meanwhile too; undefined where the runtime waits in a
 * way that is not known here, or the connection is closed.
 */
export function pauseReading(fd: number): (() => void) | undefined {
  const id = socketId(fd);
  let registration: Registration;
  try {
    registration = findRegistration(fd);
  } catch (error) {
    if (error instanceof AdoptError) return undefined;
    throw error;
  }
  const { events } = registration;
  modify(fd, registration, events & ~(EPOLLIN | EPOLLPRI | EPOLLRDHUP));
  return () => {
    if (socketId(fd) === id) modify(fd, registration, events);
  };
}

function modify(fd: number, { epoll, data }: Registration, events: number): void {
  // The runtime may just have closed it.
  libc().epoll_ctl(epoll, EPOLL_CTL_MOD, fd, encodeEpollEvent(events, data));
}
