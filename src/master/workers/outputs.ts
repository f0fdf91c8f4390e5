/**
 * The standard outputs of servers that must not have this process's own: pipes, which the master reads and
 * copies to its own outputs.
 *
 * - A server without FFI can't tell whether an output has room, and would block while it writes. Its pipes
 *   are non-blocking at both ends; a shared output must not be set so.
 * - A terminal belongs to a user, who types there what a server of another user must not read. Such a server
 *   has a pipe in the place of each output that is a terminal.
 *
 * Each service has pipes of its own, and each process its own open file descriptions of them: no process can
 * change the flags of another one's output, or fill the pipe of another service.
 *
 * @module
 */
import { blankControls } from "../../log/control_characters.ts";
import { type OutputName, writeOutput } from "../../log/outputs.ts";
import { closeFd, readFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Poller, type Watch } from "../../os/fd/poller.ts";
import { fileStatus } from "../../os/ffi/file_status.ts";
import { openPipeToWrite, pipe } from "../../os/net/socket.ts";
import type { StartRights } from "./start.ts";

/** A descriptor of this process, and its number in a server. */
interface Placed {
  readonly from: number;
  readonly to: number;
}

/** What is read at once, for all pipes. No more than one piece of an output, which is sent whole or dropped. */
const room = new Uint8Array(65_536);
/** How often a pipe is read before other events are handled. */
const READS_PER_WAKE = 16;

const OUTPUTS = { stdout: 1, stderr: 2 } as const;
const NAMES: readonly OutputName[] = ["stdout", "stderr"];

/** The process to start. */
interface Starting {
  /** The id of its service. */
  readonly id: string;
  /** Watches the pipes. */
  readonly poller: Poller;
  /** Receives the descriptors to close once it is started, or can't be. */
  readonly childEnds: number[];
}

/** By output and service; each as long as a process has its other end open. */
const pumps = new Map<string, Pump>();

/**
 * The descriptors that a server without FFI gets instead of this process's outputs.
 *
 * @param starting The process.
 * @returns The descriptors.
 * @throws {SysError} At the limit of open files.
 */
export function pipedOutputs(starting: Starting): readonly Placed[] {
  return NAMES.map((name) => outputPipe(name, starting, { blocks: false }));
}

/**
 * The descriptors that any other server gets instead of this process's outputs that are terminals.
 *
 * @param starting The process.
 * @param rights The rights that it is started with.
 * @returns The descriptors; none for a server that may open the terminal anyway.
 * @throws {SysError} At the limit of open files.
 */
export function insteadOfTerminals(starting: Starting, rights: StartRights): readonly Placed[] {
  return NAMES.filter((name) => Deno[name].isTerminal() && !mayOpen(name, rights))
    // A program of another kind expects an output that blocks.
    .map((name) => outputPipe(name, starting, { blocks: true }));
}

/** Whether a server may open the terminal of an output: it stays root, or the terminal belongs to its user. */
function mayOpen(name: OutputName, { credentials, gainsNothing = false }: StartRights): boolean {
  if (credentials !== undefined || gainsNothing) return false;
  const own = Deno.uid();
  return own === 0 || own === fileStatus(OUTPUTS[name], name).uid;
}

function outputPipe(
  name: OutputName,
  { id, poller, childEnds }: Starting,
  { blocks }: { readonly blocks: boolean },
): Placed {
  const key = `${name} ${id}`, pump = pumps.get(key);
  let write: number;
  if (pump === undefined) {
    const [read, opened] = pipe();
    childEnds.push(write = opened);
    try {
      setNonblocking(read);
      pumps.set(key, new Pump(name, read, { poller, onEnd: () => pumps.delete(key) }));
    } catch (error) {
      closeFd(read);
      throw error;
    }
  } else childEnds.push(write = openPipeToWrite(pump.fd));
  if (!blocks) setNonblocking(write);
  return { from: write, to: OUTPUTS[name] };
}

/** Copies the last output of the servers, when this process ends. */
export function takeLastOutput(): void {
  for (const pump of pumps.values()) while (pump.passOn());
}

/** One of the pipes. */
class Pump {
  readonly fd: number;
  readonly #name: OutputName;
  readonly #watch: Watch;
  readonly #onEnd: () => void;
  /** The first bytes of a character whose rest has not come yet. */
  #kept = new Uint8Array();

  constructor(
    name: OutputName,
    fd: number,
    { poller, onEnd }: { readonly poller: Poller; readonly onEnd: () => void },
  ) {
    this.#name = name;
    this.fd = fd;
    this.#onEnd = onEnd;
    this.#watch = poller.watch(fd, EPOLLIN, () => {
      for (let read = 0; read < READS_PER_WAKE && this.passOn(); read++);
    });
  }

  /** Returns whether there was any output. */
  passOn(): boolean {
    const kept = this.#kept.length, free = room.subarray(kept);
    const count = readFd(this.fd, free, `the ${this.#name} of servers`);
    if (count === undefined) return false;
    room.set(this.#kept);
    const isLast = count === 0, data = room.subarray(0, kept + count);
    // A terminal may answer a control sequence as if the answer were typed.
    const end = Deno[this.#name].isTerminal() ? blankControls(data, isLast) : data.length;
    this.#kept = data.slice(end);
    writeOutput(this.#name, data.subarray(0, end));
    if (isLast) this.#end();
    return !isLast;
  }

  /** No process has the other end open any more. */
  #end(): void {
    this.#watch.stop();
    closeFd(this.fd);
    this.#onEnd();
  }
}
