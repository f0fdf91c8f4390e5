/**
 * Reading of an inherited named pipe by node:net, for a program that may not make system calls.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { PipeInput } from "./backend.ts";

/**
 * Reads ahead as a stream does: data that was taken out of the pipe is readable after the close, since no other
 * process will see it.
 */
export class NodePipe implements PipeInput {
  readonly #loaded: Promise<Socket>;
  #socket?: Socket;
  /** What was left in the socket when it was closed. */
  #rest: Uint8Array = new Uint8Array();
  #open = true;

  /** @param fd The descriptor, which the pipe takes ownership of. */
  constructor(fd: number) {
    this.#loaded = import("node:net").then(({ Socket }) => {
      const socket = new Socket({ fd, readable: true, writable: false });
      this.#socket = socket;
      if (!this.#open) socket.destroy();
      return socket;
    });
  }

  readNow(room: Uint8Array): number | undefined {
    const data = this.#take(room.length);
    if (data.length === 0) return undefined;
    room.set(data);
    return data.length;
  }

  #take(most: number): Uint8Array {
    if (this.#open && this.#socket !== undefined) {
      // For more than the available length, the socket would return nothing.
      const length = Math.min(most, this.#socket.readableLength);
      return length > 0 ? this.#socket.read(length) : new Uint8Array();
    }
    const data = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(data.length);
    return data;
  }

  wait(callback: () => void): () => void {
    let isOver = false;
    this.#loaded.then((socket) => {
      if (isOver) return;
      socket.once("readable", callback);
    });
    return () => {
      isOver = true;
      this.#socket?.off("readable", callback);
    };
  }

  close(): void {
    if (!this.#open) return;
    this.#rest = this.#take(Infinity);
    this.#open = false;
    this.#socket?.destroy();
  }
}
