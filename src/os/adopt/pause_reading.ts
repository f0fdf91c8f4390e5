/**
 * A pause in the runtime's reading of a connection, for which it has no call: arriving data waits in the
 * kernel.
 *
 * @module
 */
import { AdoptError, findRegistration, type Registration } from "./listener.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc } from "../ffi/libc.ts";
import { EPOLL_CTL_MOD, EPOLLIN, EPOLLPRI, EPOLLRDHUP } from "../fd/poller.ts";
import { socketId } from "../net/traffic.ts";

/**
 * Stops events for arriving data on a connection. The runtime still reads data that it knows of already.
 *
 * @param fd A connection of the runtime. Borrowed.
 * @returns Restarts the events, for data that arrived meanwhile too; undefined if the connection is closed, or
 * this version of the runtime waits in an unknown way.
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
