/**
 * A queue of lines before a file: they are collected for about a second, then appended.
 *
 * One write is under way at a time and never on this thread, so that a slow disk blocks nothing; the queue is
 * bounded. A file is opened for each write and closed after it, so after a rotation or a removal the next
 * write creates a new one. Directories are never created.
 *
 * @module
 */
import type { Clock, Timer } from "../os/clock/clock.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { EINVAL, SysError } from "../os/ffi/errors.ts";
import { openTrustedToAppend, othersMayRedirect } from "../os/fs/trusted_open.ts";
import { droppedText, linesReportedBy } from "./lines.ts";
import { inWriteTurn } from "./write_turns.ts";

/** The options of an {@linkcode AppendQueue}. */
export interface AppendQueueOptions {
  /** The file of a line that comes now. */
  readonly path: () => string;
  /** Encodes the line about dropped lines, with its end; at most 128 bytes. */
  readonly notice: (dropped: number) => Uint8Array;
  /** The timer of the buffer. */
  readonly clock: Clock;
  /** Called once for each period in which the files can't be written. */
  readonly onError: (message: string) => void;
  /**
   * Called before bytes are appended to a file, with the size of their first line and of all; returns how many of
   * them may be appended. At least one line is.
   *
   * @default All of them.
   */
  readonly beforeWrite?: (path: string, bytes: PendingBytes) => Promise<number>;
  /**
   * The mode of a new file, less the umask.
   *
   * @default {0o666}
   */
  readonly mode?: number;
}

/** The sizes of what is to be appended to a file. */
export interface PendingBytes {
  readonly firstLine: number;
  readonly all: number;
}

/** The lines of one file. */
interface Block {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  length: number;
  written: number;
}

export const BLOCK_BYTES = 262_144;
export const BLOCKS_MAX = 64;
const FLUSH_AFTER_MS = 1_000;
const CLOSE_WAIT_MS = 5_000;
const NEWLINE = 0x0a;
/** The room in each block for the line about dropped lines. */
const NOTICE_BYTES_MAX = 128;

/** Appends lines to files. */
export class AppendQueue {
  readonly #options: AppendQueueOptions;
  /** The first block is being written, the last one is being filled; they can be the same. */
  #blocks: Block[] = [];
  #timer?: Timer;
  #writing?: Promise<void>;
  /** Whether the last block has to be written before it is full. */
  #due = false;
  #failed = false;
  #closing = false;
  #dropping = false;
  /** The number of dropped lines that were not reported in a file yet. */
  #dropped = 0;

  /** Opens nothing. */
  constructor(options: AppendQueueOptions) {
    this.#options = options;
  }

  /**
   * Makes room for a line, to be filled by the caller at once.
   *
   * @param size Its bytes, the end of the line included.
   * @returns The room; undefined when the queue is full. The line then counts as dropped.
   */
  reserve(size: number): Uint8Array<ArrayBuffer> | undefined {
    const block = this.#blockFor(size);
    if (block === undefined) return undefined;
    const start = block.length;
    block.length += size;
    return block.bytes.subarray(start, block.length);
  }

  /** Counts further lines as dropped: those that a dropped line has reported. */
  drop(lines: number): void {
    this.#dropped += lines;
  }

  /** Writes pending lines without the usual delay: the files may have been renamed for a rotation. */
  flush(): void {
    this.#due = true;
    this.#write();
  }

  /**
   * Writes pending lines, and waits 5 s at most for a disk that hangs.
   *
   * @returns Settles when all is written or reported as lost; never rejects.
   */
  async close(): Promise<void> {
    this.#closing = true;
    this.#timer?.cancel();
    const late = Promise.withResolvers<void>();
    const timer = this.#options.clock.setTimer(CLOSE_WAIT_MS, late.resolve);
    await Promise.race([this.#writeLast(), late.promise]);
    timer.cancel();
    const lost = this.#blocks.reduce((sum, block) => sum + linesIn(block), this.#dropped);
    if (lost > 0) this.#options.onError(droppedText(lost));
  }

  async #writeLast(): Promise<void> {
    await this.#writing;
    this.#due = true;
    this.#write();
    await this.#writing;
  }

  /** Returns a block with enough room; undefined when the queue is full, which is counted. */
  #blockFor(size: number): Block | undefined {
    const path = this.#options.path(), last = this.#blocks.at(-1);
    const fits = last?.path === path && last.length + size + NOTICE_BYTES_MAX <= BLOCK_BYTES;
    // As in the spool: one notice for each burst, not one for each gap in it.
    const limit = this.#dropping ? BLOCKS_MAX / 2 : BLOCKS_MAX;
    if ((this.#dropping || !fits) && this.#blocks.length >= limit) {
      this.#dropping = true;
      this.#dropped++;
      return undefined;
    }
    this.#dropping = false;
    const block = fits ? last : this.#newBlock(path, size + NOTICE_BYTES_MAX);
    this.#ownUp(block);
    this.#arm();
    return block;
  }

  #newBlock(path: string, size: number): Block {
    const bytes = new Uint8Array(Math.max(BLOCK_BYTES, size));
    const block = { path, bytes, length: 0, written: 0 };
    this.#blocks.push(block);
    // While the disk fails, one attempt a second is enough.
    if (this.#blocks.length > 1 && !this.#failed) this.#write();
    return block;
  }

  #ownUp(block: Block): void {
    if (this.#dropped === 0) return;
    const notice = this.#options.notice(this.#dropped);
    block.bytes.set(notice, block.length);
    block.length += notice.length;
    this.#dropped = 0;
  }

  #arm(): void {
    if (this.#closing) return;
    this.#timer ??= this.#options.clock.setTimer(FLUSH_AFTER_MS, () => {
      this.#timer = undefined;
      this.#due = true;
      this.#write();
    });
  }

  #write(): void {
    this.#writing ??= this.#writeBlocks().finally(() => {
      this.#writing = undefined;
      if (this.#blocks.length > 0) this.#arm();
    });
  }

  async #writeBlocks(): Promise<void> {
    for (let block; (block = this.#nextBlock()) !== undefined;) {
      try {
        await inWriteTurn(() => this.#append(block));
        this.#failed = false;
      } catch (error) {
        this.#fail(block, error);
        if (!(await this.#skip(block.path))) return;
      }
      if (this.#blocks[0].written === this.#blocks[0].length) this.#blocks.shift();
    }
  }

  /** The block to write now. A last one that isn't full is left to the timer. */
  #nextBlock(): Block | undefined {
    const [block] = this.#blocks;
    if (this.#blocks.length > 1) return block;
    if (block === undefined && this.#dropped > 0) {
      this.#due = true;
      this.#blockFor(0);
    }
    const wanted = this.#due;
    this.#due = false;
    return wanted ? this.#blocks[0] : undefined;
  }

  /**
   * Discards the lines of a file that can't be written if the next day's file can, so that they do not block it.
   * On a full disk both fail, and nothing is discarded.
   */
  async #skip(path: string): Promise<boolean> {
    const next = this.#blocks.find((block) => block.path !== path);
    if (next === undefined) return false;
    try {
      await inWriteTurn(() => this.#append(next));
    } catch {
      return false;
    }
    for (const block of this.#blocks) if (block.path === path) this.#dropped += linesIn(block);
    this.#blocks = this.#blocks.filter((block) => block.path !== path);
    this.#failed = false;
    return true;
  }

  /** Writes the present content of a block, which may grow meanwhile. */
  async #append(block: Block): Promise<void> {
    const { beforeWrite, mode } = this.#options, end = block.length;
    while (block.written < end) {
      const pending = block.bytes.subarray(block.written, end), firstLine = lineEnd(pending, 0);
      const room = await beforeWrite?.(block.path, { firstLine, all: pending.length }) ?? Infinity;
      const wanted = room >= pending.length ? pending.length : lastLineEnd(pending, room);
      await this.#writeAll(block, block.written + Math.max(wanted, firstLine), mode);
    }
  }

  async #writeAll(block: Block, end: number, mode: number | undefined): Promise<void> {
    const file = await openForAppending(block.path, mode);
    try {
      while (block.written < end) {
        // A short write, on a disk that gets full, is counted before the next write fails.
        block.written += await file.write(block.bytes.subarray(block.written, end));
      }
    } finally {
      file.close();
    }
  }

  #fail(block: Block, error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const why = error instanceof Error ? error.message : String(error);
    const room = BLOCK_BYTES * BLOCKS_MAX / 1_048_576;
    this.#options.onError(
      `Cannot write log file "${block.path}": ${why}; up to ${room} MiB of lines are kept`,
    );
  }
}

/** The end of the line that begins at an index. */
function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(NEWLINE, start) + 1 || bytes.length;
}

/** The end of the last line that ends within so many bytes; 0 if none does. */
function lastLineEnd(bytes: Uint8Array, within: number): number {
  return within <= 0 ? 0 : bytes.lastIndexOf(NEWLINE, within - 1) + 1;
}

/** The number of lines that the unwritten part of a block stands for. */
function linesIn({ bytes, written, length }: Block): number {
  let count = 0;
  for (let start = written, end; start < length; start = end + 1) {
    end = bytes.indexOf(NEWLINE, start);
    count += linesReportedBy(bytes.subarray(start, end));
  }
  return count;
}

async function openForAppending(path: string, mode = 0o666): Promise<Deno.FsFile> {
  const isRedirectable = await othersMayRedirect(
    path.startsWith("/") ? path : `${Deno.cwd()}/${path}`,
  );
  if (!isRedirectable) {
    await refusePipe(path);
    return await Deno.open(path, { append: true, create: true, mode });
  }
  // On this thread, but never for long.
  const fd = openTrustedToAppend(path, mode);
  try {
    // The same file, by a descriptor of the runtime.
    return await Deno.open(`/proc/self/fd/${fd}`, { append: true });
  } finally {
    closeFd(fd);
  }
}

/** Refuses a named pipe, whose opening would wait for a reader, and whose reader would get the lines. */
async function refusePipe(path: string): Promise<void> {
  // The opening reports what can't be looked at.
  const isPipe = await Deno.stat(path).then(({ isFifo }) => isFifo, () => false);
  if (isPipe) throw new SysError("open", EINVAL, path, "it is a named pipe");
}
