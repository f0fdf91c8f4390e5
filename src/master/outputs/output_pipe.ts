/**
 * The pipe in the place of a standard output of a server: this process reads the other end.
 *
 * @module
 */
import type { OutputName } from "../../log/outputs.ts";
import { changeOwner, closeFd, readFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Poller, type Watch } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";
import type { Owner } from "../../os/user/accounts.ts";

/** What is read at once, for all pipes. No more than one piece of an output, which is sent whole or dropped. */
const ROOM = new Uint8Array(65_536);
/** How often a pipe is read before other events are handled. */
const READS_PER_WAKE = 16;

/** How a pipe is made. */
export interface PipeOptions {
  readonly name: OutputName;
  /** Whether a full pipe blocks the process, as a program of another kind expects. */
  readonly blocks: boolean;
  /** The user who may open it by its name, `/dev/stdout`. */
  readonly owner?: Owner;
  /** Receives the descriptor to close once the process is started, or can't be. */
  readonly childEnds: number[];
}

/** What reads a pipe. */
export interface PipeReader {
  readonly poller: Poller;
  /** Receives what was read, borrowed. */
  take(data: Uint8Array): void;
  /** Nothing more has arrived for now. */
  pause(): void;
  /** No process has the other end open any more. Called once. */
  end(): void;
  /** Other events get their turn. */
  endTurn(): void;
}

/** The end of a pipe that this process reads. */
export class OutputPipe {
  /** The end for the server. Borrowed. */
  readonly write: number;
  readonly #fd: number;
  readonly #name: OutputName;
  #reader?: PipeReader;
  #watch?: Watch;
  #isClosed = false;

  /**
   * @param options How it is made.
   * @throws {SysError} At the limit of open files.
   */
  constructor({ name, blocks, owner, childEnds }: PipeOptions) {
    const [read, write] = pipe();
    childEnds.push(write);
    this.#name = name;
    this.#fd = read;
    this.write = write;
    try {
      setNonblocking(read);
      if (!blocks) setNonblocking(write);
      if (owner !== undefined) changeOwner(write, owner);
    } catch (error) {
      closeFd(read);
      throw error;
    }
  }

  /**
   * Reads from now on.
   *
   * @param reader Receives the output.
   */
  begin(reader: PipeReader): void {
    this.#reader = reader;
    this.#watch = reader.poller.watch(this.#fd, EPOLLIN, () => this.drain());
  }

  /** Reads what has arrived, up to a megabyte. */
  drain(): void {
    if (this.#reader === undefined) return;
    this.#read(this.#reader);
    this.#reader.endTurn();
  }

  #read({ take, pause, end }: PipeReader): void {
    for (let reads = 0; reads < READS_PER_WAKE && !this.#isClosed; reads++) {
      const count = readFd(this.#fd, ROOM, `the ${this.#name} of servers`);
      if (count === undefined) return pause();
      if (count === 0) {
        this.close();
        return end();
      }
      take(ROOM.subarray(0, count));
    }
  }

  /** Reads no more. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.stop();
    closeFd(this.#fd);
  }
}
