/**
 * The pipe in the place of a standard output of a server: this process reads the other end.
 *
 * @module
 */
import type { OutputName } from "../../log/outputs.ts";
import { changeOwner, closeFd, readFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, isReadable, type Poller, type Watch } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";
import type { Readable, ReadTurns } from "./read_turns.ts";
import type { Owner } from "../../os/user/accounts.ts";

/**
 * What is read at once, for all pipes. No more, since each byte may be a line, and other events wait until all
 * are handled.
 */
const ROOM = new Uint8Array(8_192);
/** How often a pipe is read in one turn. */
const READS_PER_TURN = 16;
/** How often it is read when its process has ended: as much as a pipe can hold that is enlarged to a megabyte. */
const LAST_READS = 128;

/** How a pipe is made. */
export interface PipeOptions {
  readonly name: OutputName;
  /** Whether a full pipe blocks the process. */
  readonly blocks: boolean;
  /** The user who may open it by its name, `/dev/stdout`. */
  readonly owner?: Owner;
  /** Receives the descriptor to close once the process is started, or can't be. */
  readonly childEnds: number[];
}

/** What reads a pipe. */
export interface PipeReader {
  readonly poller: Poller;
  /** Shares the time with other pipes. */
  readonly turns: ReadTurns;
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
export class OutputPipe implements Readable {
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
    this.#watch = reader.poller.watch(this.#fd, EPOLLIN, () => reader.turns.read(this));
  }

  /** See `Readable`. */
  read(isOver: () => boolean): void {
    this.#readTurn(READS_PER_TURN, isOver);
  }

  /**
   * Reads what has arrived when the process has ended, or this one ends: a megabyte at most.
   *
   * @param isOver Whether no time is left.
   */
  drain(isOver: () => boolean): void {
    this.#readTurn(LAST_READS, isOver);
  }

  #readTurn(reads: number, isOver: () => boolean): void {
    if (this.#reader === undefined || this.#isClosed) return;
    this.#readAll(this.#reader, { reads, isOver });
    this.#reader.endTurn();
  }

  #readAll(
    { take, pause, end }: PipeReader,
    { reads, isOver }: { readonly reads: number; isOver(): boolean },
  ): void {
    for (let read = 0; read < reads && !this.#isClosed; read++) {
      if (read > 0 && isOver()) break;
      const count = readFd(this.#fd, ROOM, `the ${this.#name} of servers`);
      if (count === undefined) return pause();
      if (count === 0) {
        this.close();
        return end();
      }
      take(ROOM.subarray(0, count));
    }
    // The last read may have emptied it, and no event would come.
    if (!this.#isClosed && !isReadable(this.#fd)) pause();
  }

  /** Reads no more. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader?.turns.forget(this);
    this.#watch?.stop();
    closeFd(this.#fd);
  }
}
