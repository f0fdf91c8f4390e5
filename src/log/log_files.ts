/**
 * The files of the log service: lines are collected for about a second, then appended to the file of their
 * day or hour (LIB-ZC section 6).
 *
 * One write is under way at a time and never on this thread, so that a slow disk blocks nothing; the queue is
 * bounded. A file is opened for each write and closed after it, so after a rotation or a removal the next
 * write creates a new one. Directories are never created.
 *
 * @module
 */
import type { Clock, Timer } from "../os/clock/clock.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { openTrustedToAppend, othersMayRedirect } from "../os/fs/trusted_open.ts";
import { escapeControls } from "./control_characters.ts";
import {
  droppedText,
  type LineEncoder,
  linesReportedBy,
  type LogSource,
  outputLines,
  periodName,
  perSecond,
  timeOfDay,
} from "./lines.ts";

/** The options of {@linkcode LogFiles}. */
export interface LogFilesOptions {
  /** The prefix of each file's path. */
  readonly prefix: string;
  /** The period of one file. */
  readonly period: "day" | "hour";
  /** The name in lines about dropped lines. */
  readonly source: LogSource;
  /** The timer of the buffer. */
  readonly clock: Clock;
  /** The time of day, in milliseconds since 1970. */
  readonly now: () => number;
  /** Called once for each period in which the files can't be written. */
  readonly onError: (message: string) => void;
}

/** The lines of one file. */
interface Block {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  length: number;
  written: number;
}

/** The parts of a line for the present second. */
interface Present {
  /** `HH:MM:SS `. */
  readonly stamp: Uint8Array<ArrayBuffer>;
  readonly path: string;
}

const BLOCK_BYTES = 262_144;
const BLOCKS_MAX = 64;
const FLUSH_AFTER_MS = 1_000;
const CLOSE_WAIT_MS = 5_000;
const COMMA = 0x2c, LEFT = 0x5b, RIGHT = 0x5d, SPACE = 0x20, NEWLINE = 0x0a;
/** The room in each block for the line about dropped lines. */
const NOTICE_BYTES_MAX = 128;
const STAMP_BYTES = "HH:MM:SS ".length;

const encoder = new TextEncoder();

/** Appends records to their files. */
export class LogFiles {
  readonly #options: LogFilesOptions;
  readonly #present: () => Present;
  readonly #encodeNotice: LineEncoder;
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
  constructor(options: LogFilesOptions) {
    this.#options = options;
    this.#encodeNotice = outputLines(options.source);
    this.#present = perSecond(options.now, (date) => ({
      stamp: encoder.encode(`${timeOfDay(date)} `),
      path: `${options.prefix}${periodName(date, options.period)}.log`,
    }));
  }

  /**
   * Converts a record `IDENT,PID,TEXT`, which ends at a NUL as in C, to a line `HH:MM:SS IDENT[PID] TEXT`.
   * Control characters are escaped, so that no sender can forge a line or control the terminal that shows it. A
   * line break at the end is left out, where C writes an empty line.
   *
   * @param record The bytes, which may be reused afterwards.
   * @returns False for a record of another form, which C ignores too.
   */
  append(record: Uint8Array<ArrayBuffer>): boolean {
    const nul = record.indexOf(0);
    const line = escapeControls(nul < 0 ? record : record.subarray(0, nul));
    const end = line.length;
    const first = line.indexOf(COMMA);
    const second = first < 0 ? -1 : line.indexOf(COMMA, first + 1);
    if (second < 0) return false;
    const present = this.#present();
    const block = this.#blockFor(STAMP_BYTES + end + 2, present);
    if (block === undefined) {
      // A report of the sender is not repeated, so its lines are counted here.
      this.#dropped += linesReportedBy(line) - 1;
      return true;
    }
    const { bytes } = block;
    const at = block.length + STAMP_BYTES;
    bytes.set(present.stamp, block.length);
    bytes.set(line.subarray(0, second), at);
    bytes[at + first] = LEFT;
    bytes[at + second] = RIGHT;
    bytes[at + second + 1] = SPACE;
    bytes.set(line.subarray(second + 1), at + second + 2);
    bytes[at + end + 1] = NEWLINE;
    block.length = at + end + 2;
    return true;
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
  #blockFor(size: number, { path, stamp }: Present): Block | undefined {
    const last = this.#blocks.at(-1);
    const fits = last?.path === path && last.length + size + NOTICE_BYTES_MAX <= BLOCK_BYTES;
    // As in the spool: one notice for each burst, not one for each gap in it.
    const limit = this.#dropping ? BLOCKS_MAX / 2 : BLOCKS_MAX;
    if ((this.#dropping || !fits) && this.#blocks.length >= limit) {
      this.#dropping = true;
      this.#dropped++;
      return undefined;
    }
    this.#dropping = false;
    const block = fits ? last : this.#newBlock(path);
    this.#ownUp(block, stamp);
    this.#arm();
    return block;
  }

  #newBlock(path: string): Block {
    const block = { path, bytes: new Uint8Array(BLOCK_BYTES), length: 0, written: 0 };
    this.#blocks.push(block);
    // While the disk fails, one attempt a second is enough.
    if (this.#blocks.length > 1 && !this.#failed) this.#write();
    return block;
  }

  #ownUp(block: Block, stamp: Uint8Array): void {
    if (this.#dropped === 0) return;
    const notice = this.#encodeNotice(droppedText(this.#dropped));
    block.bytes.set(stamp, block.length);
    block.bytes.set(notice, block.length + STAMP_BYTES);
    block.length += STAMP_BYTES + notice.length;
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
        await appendBlock(block);
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
      this.#blockFor(0, this.#present());
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
      await appendBlock(next);
    } catch {
      return false;
    }
    for (const block of this.#blocks) if (block.path === path) this.#dropped += linesIn(block);
    this.#blocks = this.#blocks.filter((block) => block.path !== path);
    this.#failed = false;
    return true;
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

/** The number of lines that the unwritten part of a block stands for. */
function linesIn({ bytes, written, length }: Block): number {
  let count = 0;
  for (let start = written, end; start < length; start = end + 1) {
    end = bytes.indexOf(NEWLINE, start);
    count += linesReportedBy(bytes.subarray(start, end));
  }
  return count;
}

/** Writes the present content of a block, which may grow meanwhile. */
async function appendBlock(block: Block): Promise<void> {
  const end = block.length;
  const file = await openForAppending(block.path);
  try {
    while (block.written < end) {
      // A short write, on a disk that gets full, is counted before the next write fails.
      block.written += await file.write(block.bytes.subarray(block.written, end));
    }
  } finally {
    file.close();
  }
}

async function openForAppending(path: string): Promise<Deno.FsFile> {
  const isRedirectable = await othersMayRedirect(
    path.startsWith("/") ? path : `${Deno.cwd()}/${path}`,
  );
  if (!isRedirectable) return await Deno.open(path, { append: true, create: true });
  // On this thread, but never for long.
  const fd = openTrustedToAppend(path, 0o666);
  try {
    // The same file, by a descriptor of the runtime.
    return await Deno.open(`/proc/self/fd/${fd}`, { append: true });
  } finally {
    closeFd(fd);
  }
}
