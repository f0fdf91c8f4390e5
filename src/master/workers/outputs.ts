/**
 * The standard outputs of servers that must not have this process's own: pipes, which the master reads and
 * copies to its own outputs.
 *
 * - A server without FFI can't tell whether an output has room, and would block while it writes. Its pipes
 *   are non-blocking at both ends; a shared output must not be set so.
 * - A terminal belongs to a user, who types there what a server of another user must not read. Such a server
 *   has a pipe in the place of each output that is a terminal.
 *
 * @module
 */
import { blankControls } from "../../log/lines.ts";
import { type OutputName, writeOutput } from "../../log/outputs.ts";
import { setNonblocking } from "../../os/fd/descriptor.ts";
import { fileStatus } from "../../os/ffi/file_status.ts";
import { libc, unwrapOrBlock } from "../../os/ffi/libc.ts";
import { EPOLLIN, type Poller } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";
import type { StartRights } from "./start.ts";

/** A descriptor of this process, and its number in a server. */
interface Placed {
  readonly from: number;
  readonly to: number;
}

const READ_BYTES = 65_536;
/** How often a pipe is read before other events are handled. */
const READS_PER_WAKE = 16;

const OUTPUTS = { stdout: 1, stderr: 2 } as const;
const NAMES: readonly OutputName[] = ["stdout", "stderr"];

/** Each is opened for the first server that needs it, and kept open until this process ends. */
const pipes = new Map<string, { readonly output: Placed; readonly pump: Pump }>();

/**
 * The descriptors that a server without FFI gets instead of this process's outputs.
 *
 * @param poller Watches the pipes.
 * @returns The descriptors. Borrowed.
 * @throws {SysError} At the limit of open files.
 */
export function pipedOutputs(poller: Poller): readonly Placed[] {
  return NAMES.map((name) => outputPipe(name, { poller, blocks: false }));
}

/**
 * The descriptors that any other server gets instead of this process's outputs that are terminals.
 *
 * @param poller Watches the pipes.
 * @param rights The rights that it is started with.
 * @returns The descriptors; none for a server that may open the terminal anyway. Borrowed.
 * @throws {SysError} At the limit of open files.
 */
export function insteadOfTerminals(poller: Poller, rights: StartRights): readonly Placed[] {
  return NAMES.filter((name) => Deno[name].isTerminal() && !mayOpen(name, rights))
    // A program of another kind expects an output that blocks.
    .map((name) => outputPipe(name, { poller, blocks: true }));
}

/** Whether a server may open the terminal of an output: it stays root, or the terminal belongs to its user. */
function mayOpen(name: OutputName, { credentials, gainsNothing = false }: StartRights): boolean {
  if (credentials !== undefined || gainsNothing) return false;
  const own = Deno.uid();
  return own === 0 || own === fileStatus(OUTPUTS[name], name).uid;
}

function outputPipe(
  name: OutputName,
  { poller, blocks }: { readonly poller: Poller; readonly blocks: boolean },
): Placed {
  const key = `${name} ${blocks}`;
  let opened = pipes.get(key);
  if (opened === undefined) {
    const [read, write] = pipe();
    setNonblocking(read);
    if (!blocks) setNonblocking(write);
    opened = { pump: new Pump(name, read), output: { from: write, to: OUTPUTS[name] } };
    opened.pump.start(poller);
    pipes.set(key, opened);
  }
  return opened.output;
}

/** Copies the last output of the servers, when this process ends. */
export function takeLastOutput(): void {
  for (const { pump } of pipes.values()) while (pump.passOn());
}

/** One of the pipes. */
class Pump {
  readonly #name: OutputName;
  readonly #fd: number;
  readonly #room = new Uint8Array(READ_BYTES);
  /** The last byte of the output before. */
  #before = 0;

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
    const data = this.#room.subarray(0, count);
    // A terminal may answer a control sequence as if the answer were typed.
    if (Deno[this.#name].isTerminal()) this.#before = blankControls(data, this.#before);
    writeOutput(this.#name, data);
    return true;
  }
}
