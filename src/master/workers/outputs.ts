/**
 * The standard outputs of servers without FFI: two pipes, which the master reads and copies to its
 * own outputs.
 *
 * Such a server can't tell whether an output has room, and would block while it writes. These pipes
 * are non-blocking at both ends; a shared output must not be set so.
 *
 * @module
 */
import { type OutputName, writeOutput } from "../../log/outputs.ts";
import { setNonblocking } from "../../os/fd/descriptor.ts";
import { libc, unwrapOrBlock } from "../../os/ffi/libc.ts";
import { EPOLLIN, type Poller } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";

/** A descriptor of this process, and its number in a server. */
interface Placed {
  readonly from: number;
  readonly to: number;
}

const READ_BYTES = 65_536;
/** How often a pipe is read before other events are handled. */
const READS_PER_WAKE = 16;

const OUTPUTS: readonly (readonly [OutputName, number])[] = [["stdout", 1], ["stderr", 2]];

/** Opened for the first such server, and kept open until this process ends. */
let pipes: { readonly outputs: readonly Placed[]; readonly pumps: readonly Pump[] } | undefined;

/**
 * The descriptors that such a server gets instead of this process's outputs.
 *
 * @param poller Watches the pipes.
 * @returns The descriptors. Borrowed.
 * @throws {SysError} At the limit of open files.
 */
export function serverOutputs(poller: Poller): readonly Placed[] {
  if (pipes === undefined) {
    const opened = OUTPUTS.map(([name, to]) => {
      const [read, write] = pipe();
      setNonblocking(read);
      setNonblocking(write);
      return { pump: new Pump(name, read), output: { from: write, to } };
    });
    for (const { pump } of opened) pump.start(poller);
    pipes = {
      outputs: opened.map(({ output }) => output),
      pumps: opened.map(({ pump }) => pump),
    };
  }
  return pipes.outputs;
}

/** Copies the last output of the servers, when this process ends. */
export function takeLastOutput(): void {
  for (const pump of pipes?.pumps ?? []) while (pump.passOn());
}

/** One of the two pipes. */
class Pump {
  readonly #name: OutputName;
  readonly #fd: number;
  readonly #room = new Uint8Array(READ_BYTES);

  constructor(name: OutputName, fd: number) {
    this.#name = name;
    this.#fd = fd;
  }

  start(poller: Poller): void {
    poller.watch(this.#fd, EPOLLIN, () => {
      for (let read = 0; read < READS_PER_WAKE && this.passOn(); read++);
    });
  }

  /** Returns whether there was any output. */
  passOn(): boolean {
    const count = unwrapOrBlock(
      { syscall: "read", subject: `the ${this.#name} of servers` },
      () => libc().read(this.#fd, this.#room, BigInt(READ_BYTES)),
    );
    if (count === undefined) return false;
    writeOutput(this.#name, this.#room.subarray(0, count));
    return true;
  }
}
