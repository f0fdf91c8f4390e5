/**
 * Datagram sockets that receive at a path (unix(7)).
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { MSG_DONTWAIT, O_PATH, SHUT_RD, SOCK_NONBLOCK } from "../ffi/constants.ts";
import { libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { ParentDirectory, unlessMissing } from "../fs/parent_directory.ts";
import { isTrusted } from "../fs/trusted_open.ts";
import { setTakesDescriptors } from "./fd_passing.ts";
import { MessageVector, withDatagramSocket } from "./datagram.ts";
import { bindFile } from "./made_file.ts";
import { requireUnserved } from "./open_listener.ts";
import type { SocketFile } from "./socket_file.ts";

/** A socket that receives datagrams. */
export interface BoundDatagram {
  /** The socket. */
  readonly fd: number;
  /** The socket file that was created. */
  readonly socketFile: SocketFile;
}

/**
 * Opens a datagram socket that receives at a path. An old socket there is removed first; one of root or of this
 * process's user only without a receiver. A file of any other kind is left in place and is an error.
 *
 * The socket's mode is 0666, whatever the umask. Its queue takes `net.unix.max_dgram_qlen` datagrams as set
 * at this moment; SO_RCVBUF has no effect.
 *
 * @param path The path.
 * @returns The socket.
 * @throws {SysError} When a system call refuses, `EADDRINUSE` for a receiver, `ELOOP` for a link of another user.
 * @throws {RangeError} When the path is too long.
 * @throws {TypeError} When another file is in the way.
 */
export function bindDatagram(path: string): BoundDatagram {
  using directory = ParentDirectory.openTrusted(path);
  const found = directory.status();
  if (found !== undefined) {
    if (!found.isSocket) {
      throw new TypeError(
        `Cannot bind "${path}": found a file of another kind, expected a free path or an old socket`,
      );
    }
    // Another user could keep this one from starting.
    if (isTrusted(found.uid)) requireNoReceiver(directory);
    directory.remove(found);
  }
  return withDatagramSocket(SOCK_NONBLOCK, (fd) => {
    // As with /dev/log, every user that can reach the path may log: servers run as other users.
    return { fd, socketFile: bindFile(fd, directory, { access: { mode: 0o666 } }) };
  });
}

/**
 * Requires that no process receives at a path: its senders of later would not find it any more.
 *
 * @throws {SysError} `EADDRINUSE` when one does.
 */
function requireNoReceiver(directory: ParentDirectory): void {
  const { path } = directory, file = unlessMissing(() => directory.openEntry(O_PATH));
  if (file === undefined) return;
  try {
    withDatagramSocket(SOCK_NONBLOCK, (probe) => {
      requireUnserved(file, { probe, path });
      closeFd(probe);
    });
  } finally {
    closeFd(file);
  }
}

/** Refuses all further datagrams: their senders get `EPIPE`. Queued ones can still be read. */
export function refuseDatagrams(fd: number): void {
  unwrap({ syscall: "shutdown", subject: fd }, () => libc().shutdown(fd, SHUT_RD));
}

/** Receives datagrams, many in one system call (recvmmsg(2)). */
export class DatagramReceiver {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #data: Uint8Array<ArrayBuffer>;
  readonly #messages: MessageVector;

  /**
   * @param fd A bound datagram socket, borrowed.
   * @param room `count`: the most datagrams of one call; `bytes`: the number of bytes kept of each.
   */
  constructor(fd: number, room: { readonly count: number; readonly bytes: number }) {
    setTakesDescriptors(fd, false);
    this.#fd = fd;
    this.#bytes = room.bytes;
    this.#data = new Uint8Array(room.count * room.bytes);
    this.#messages = new MessageVector(room.count);
    for (let index = 0; index < room.count; index++) {
      this.#messages.place(
        index,
        this.#data.subarray(index * room.bytes, (index + 1) * room.bytes),
      );
    }
  }

  /**
   * Receives the queued datagrams.
   *
   * @returns Their number; 0 for an empty queue.
   * @throws {SysError} When the socket can't be read.
   */
  receive(): number {
    const { headers, count } = this.#messages;
    return unwrapOrBlock(
      { syscall: "recvmmsg", subject: this.#fd },
      () => libc().recvmmsg(this.#fd, headers, count, MSG_DONTWAIT, null),
    ) ?? 0;
  }

  /** Returns one datagram of the last {@linkcode receive}, valid until the next call of `receive`. */
  datagram(index: number): Uint8Array<ArrayBuffer> {
    const start = index * this.#bytes;
    return this.#data.subarray(start, start + this.#messages.lengthOf(index));
  }
}
