/**
 * TCP ports for servers that a test starts: chosen by the system, and nobody else's meanwhile.
 *
 * @module
 */
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { AF_INET } from "../../src/os/ffi/constants.ts";
import { decodeAddress, encodeInetAddress, SOCKADDR_BYTES } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";

const SOCK_STREAM = 1, SOCK_CLOEXEC = 0o2000000, SOL_SOCKET = 1, SO_REUSEADDR = 2;
const LOOPBACK = new Uint8Array([127, 0, 0, 1]);

/**
 * A port on 127.0.0.1 that the system gives to nobody as long as this lives. A socket is bound to
 * it that never listens, and that is no hindrance to a listener with SO_REUSEADDR (socket(7)).
 */
export class ReservedPort implements Disposable {
  /** Its number. */
  readonly port: number;
  readonly #fd: number;

  constructor() {
    this.#fd = unwrap(
      { syscall: "socket" },
      () => libc().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
    );
    const one = new Int32Array([1]);
    unwrap(
      { syscall: "setsockopt" },
      () => libc().setsockopt(this.#fd, SOL_SOCKET, SO_REUSEADDR, one, one.byteLength),
    );
    const any = encodeInetAddress(LOOPBACK, 0);
    unwrap({ syscall: "bind" }, () => libc().bind(this.#fd, any, any.length));
    const bytes = new Uint8Array(SOCKADDR_BYTES), length = new Uint32Array([bytes.length]);
    unwrap({ syscall: "getsockname" }, () => libc().getsockname(this.#fd, bytes, length));
    const address = decodeAddress(bytes.subarray(0, length[0]));
    this.port = address.family === "inet" ? address.port : 0;
  }

  /** Gives it up. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}
