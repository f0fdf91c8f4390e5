/**
 * Reading of an inherited named pipe by system calls.
 *
 * @module
 */
import { closeFd, readFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN } from "../../os/fd/poller.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import type { PipeInput } from "./backend.ts";

const READ_BYTES = 64 * 1024;

/** Reads by read(2), and waits by epoll(7): it takes nothing out of the pipe before a read. */
export class SystemPipe implements PipeInput {
  readonly #fd: number;
  readonly #path: string;
  readonly #room = new Uint8Array(READ_BYTES);
  #open = true;

  /**
   * @param fd The descriptor, which the pipe takes ownership of.
   * @param path Its path, for messages.
   * @throws {SysError} When it is not open.
   */
  constructor(fd: number, path: string) {
    setNonblocking(fd);
    this.#fd = fd;
    this.#path = path;
  }

  readNow(room: Uint8Array): number | undefined {
    if (!this.#open) return undefined;
    const length = Math.min(room.length, READ_BYTES);
    const count = readFd(this.#fd, this.#room.subarray(0, length), this.#path);
    if (count !== undefined) room.set(this.#room.subarray(0, count));
    return count;
  }

  wait(callback: () => void): () => void {
    // Level-triggered, hence for one wait only.
    const watch = serverPoller.watch(this.#fd, EPOLLIN, () => {
      watch.stop();
      callback();
    });
    return () => watch.stop();
  }

  close(): void {
    this.#open = false;
    closeFd(this.#fd);
  }
}
