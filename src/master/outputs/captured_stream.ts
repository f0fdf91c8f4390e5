/**
 * One captured output of a process: its lines become log records.
 *
 * A line may begin with its level as `<N>`, in the numbers of syslog (sd-daemon(3)); without one it counts as
 * information, but for the message of the runtime about the error that ends a server, which the server marks, and
 * for what the server says before it of a permission that is missing. A
 * line that is indented belongs to the record of the line before it if both were read
 * together, as the lines of a stack trace are.
 *
 * Pure but for the clock that it is given.
 *
 * @module
 */
import { counted } from "../../config/errors.ts";
import { PERMISSION_ADVICE, UNCAUGHT_MARK } from "../../log/formats.ts";
import type { LogLevel } from "../../log/record.ts";
import { readableBytes } from "../../os/ffi/byte_text.ts";
import { type LineLimit, LINES_PER_SECOND } from "./line_limit.ts";
import { LineSplitter } from "./line_splitter.ts";

/** The text of a record and its level. */
export interface CapturedText {
  readonly level: LogLevel;
  readonly text: string;
}

/** The most characters of a record; further indented lines begin a new one. */
export const TEXT_MAX = 65_536;

const PRIORITY = /^<([0-7])>/;
const LEVELS: readonly LogLevel[] = [
  ...["error", "error", "error", "error", "warn", "info", "info", "debug"] as const,
];
const INDENTED = /^[ \t]/;
/** The message of the runtime, where a server has marked it. */
const UNCAUGHT = `${UNCAUGHT_MARK}error: Uncaught `;

/** How often dropped lines are told at most. */
export const NOTICE_MS = 1_000;

/** What a captured output needs. */
export interface CapturedStreamOptions {
  /** The limit of the service. */
  readonly limit: LineLimit;
  /** The time of a clock that never goes backwards. */
  nowMs(): number;
  /** Receives each record. */
  onText(text: CapturedText): void;
}

/** A captured output. */
export class CapturedStream {
  readonly #splitter: LineSplitter;
  readonly #options: CapturedStreamOptions;
  #level: LogLevel = "info";
  /** The lines of the record that may go on. */
  #lines: string[] = [];
  /** The characters of these, with a line break behind each. */
  #length = 0;
  #dropped = 0;
  #toldAtMs = -Infinity;

  /** @param options What it needs. */
  constructor(options: CapturedStreamOptions) {
    this.#options = options;
    this.#splitter = new LineSplitter((line) => {
      if (!options.limit.take()) this.#dropped++;
      else {
        this.#tellDropped();
        this.#addMarked(readableBytes(line));
      }
    });
  }

  /** Whether lines were dropped that were not told yet. */
  get hasDropped(): boolean {
    return this.#dropped > 0;
  }

  /**
   * Takes what was read.
   *
   * @param data The bytes, borrowed.
   */
  take(data: Uint8Array): void {
    // To look at each line would take a hundred times as long.
    if (this.#options.limit.isReached) this.#dropped += this.#splitter.skip(data);
    else this.#splitter.take(data);
  }

  /** Passes on the record that waits for further lines: nothing more has arrived. */
  flush(): void {
    this.#passOn();
    this.#tellDropped();
  }

  /** Passes on the rest: the process has closed the output. */
  end(): void {
    this.#splitter.end();
    this.#passOn();
    this.#toldAtMs = -Infinity;
    this.#tellDropped();
  }

  /** Adds a line, which may be of both: the program may have left its last line without an end. */
  #addMarked(line: string): void {
    const at = line.indexOf(UNCAUGHT);
    if (at < 0) this.#add(line.startsWith(UNCAUGHT_MARK) ? line.slice(UNCAUGHT_MARK.length) : line);
    else {
      if (at > 0) this.#add(line.slice(0, at));
      this.#add(`<3>${line.slice(at + UNCAUGHT_MARK.length)}`);
    }
  }

  #add(line: string): void {
    const belongsToLast = this.#lines.length > 0 && INDENTED.test(line) &&
      this.#length + line.length < TEXT_MAX;
    if (!belongsToLast) {
      this.#passOn();
      const priority = PRIORITY.exec(line);
      const usual = line.startsWith(PERMISSION_ADVICE) ? 3 : 6;
      this.#level = LEVELS[Number(priority?.[1] ?? usual)];
      if (priority !== null) line = line.slice(priority[0].length);
    }
    this.#length += line.length + 1;
    this.#lines.push(line);
  }

  #passOn(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("\n");
    this.#lines = [];
    this.#length = 0;
    this.#options.onText({ level: this.#level, text });
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#toldAtMs < NOTICE_MS) return;
    this.#toldAtMs = nowMs;
    const lines = counted(this.#dropped, "line");
    this.#dropped = 0;
    this.#passOn();
    const text = `${lines} dropped: more than ${LINES_PER_SECOND} of the service within a second`;
    this.#options.onText({ level: "warn", text });
  }
}
