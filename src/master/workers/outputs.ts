/**
 * The standard outputs of servers without FFI: two pipes, which the master reads and passes on to its
 * own outputs.
 *
 * Such a server can't find out whether an output has room, and one that waits answers nobody. These
 * pipes are non-blocking at both ends, which an output that is shared with others must not be.
 *
 * @module
 */
import { type OutputName, writeOutput } from "../../log/outputs.ts";
import { setNonblocking } from "../../os/fd/descriptor.ts";
import { libc, unwrapOrBlock } from "../../os/ffi/libc.ts";
import { EPOLLIN, type Poller } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";

/** A descriptor of this process, and what it is in a server. */
interface Placed {
  readonly from: number;
  readonly to: number;
}

const READ_BYTES = 65_536;
/** So often a pipe is read before others get their turn. */
const READS_PER_WAKE = 16;

const OUTPUTS: readonly (readonly [OutputName, number])[] = [["stdout", 1], ["stderr", 2]];

/** Opened with the first such server, for the rest of the life of this process. */
let pipes: { readonly outputs: readonly Placed[]; readonly pumps: readonly Pump[] } | undefined;

/**
 * What such a server gets in place of this process's outputs.
 *
 * @param poller Watches the pipes.
 * @returns The descriptors, which stay this process's.
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

/** Passes on what servers have written last: for the end of this process. */
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

  /** Returns whether there was anything. */
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
