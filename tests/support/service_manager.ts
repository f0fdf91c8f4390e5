/**
 * A service manager that only listens: the receiving end of sd_notify(3).
 *
 * @module
 */
import { bindDatagram, DatagramReceiver } from "../../src/os/net/bound_datagram.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { AF_UNIX } from "../../src/os/ffi/constants.ts";
import { encodeUnixAddress } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";
import { eventually } from "./wait.ts";

const SOCK_DGRAM = 2;

/** Longer than any message here. */
const MESSAGE_BYTES = 4_096;

/** Receives what a master tells. Declare it with `using`. */
export class TestServiceManager implements Disposable {
  readonly #fd: number;
  readonly #receiver: DatagramReceiver;

  /** @param address Where it is to listen: a path, or `@` and a name in the abstract namespace. */
  constructor(readonly address: string) {
    this.#fd = address.startsWith("@")
      ? bindAbstract(address.replace("@", "\0"))
      : bindDatagram(address).fd;
    this.#receiver = new DatagramReceiver(this.#fd, { count: 1, bytes: MESSAGE_BYTES });
  }

  /**
   * Waits for the next message.
   *
   * @returns Its assignments.
   */
  async next(): Promise<Record<string, string>> {
    await eventually(() => this.#receiver.receive() === 1, { what: "a message of the master" });
    const text = new TextDecoder().decode(this.#receiver.datagram(0));
    return Object.fromEntries(
      text.split("\n").map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    );
  }

  /**
   * Waits for the next message with an assignment, and passes over others: of a start on a busy machine
   * there may be more.
   *
   * @param name Such as `READY`.
   * @returns Its assignments.
   */
  async until(name: string): Promise<Record<string, string>> {
    for (;;) {
      const message = await this.next();
      if (name in message) return message;
    }
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}

function bindAbstract(name: string): number {
  const fd = unwrap({ syscall: "socket" }, () => libc().socket(AF_UNIX, SOCK_DGRAM, 0));
  const address = encodeUnixAddress(name);
  unwrap({ syscall: "bind", subject: name }, () => libc().bind(fd, address, address.length));
  return fd;
}
