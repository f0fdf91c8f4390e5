/**
 * Clients as raw sockets, for what the runtime's own can't do: end by a reset.
 *
 * @module
 */
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { AF_INET } from "../../src/os/ffi/constants.ts";
import { encodeInetAddress } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";

const SOCK_STREAM = 1, SOCK_CLOEXEC = 0o2000000, SOL_SOCKET = 1, SO_LINGER = 13;

/**
 * Connects to 127.0.0.1; the kernel takes the connection up before anybody accepts it.
 *
 * @param port Where.
 * @returns Ends the connection by a reset.
 */
export function connectRaw(port: number): { reset(): void } {
  const fd = unwrap(
    { syscall: "socket" },
    () => libc().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
  );
  const address = encodeInetAddress(new Uint8Array([127, 0, 0, 1]), port);
  unwrap({ syscall: "connect" }, () => libc().connect(fd, address, address.length));
  return {
    reset() {
      // Lingering for 0 seconds makes close(2) send a reset (socket(7)).
      const linger = new Int32Array([1, 0]);
      unwrap(
        { syscall: "setsockopt" },
        () => libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.byteLength),
      );
      closeFd(fd);
    },
  };
}
