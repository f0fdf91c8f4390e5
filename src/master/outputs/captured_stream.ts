/**
 * One captured output of a process: its lines become log records.
 *
 * A line may begin with its level as `<N>`, in the numbers of syslog (sd-daemon(3)); without one it counts as
 * information. A line that is indented belongs to the record of the line before it if both were read
 * together, as the lines of a stack trace are.
 *
 * Pure: bytes in, records out.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import { decodeBytes, readable } from "../../os/ffi/byte_text.ts";
import type { LineLimit } from "./line_limit.ts";
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

/** A captured output. */
export class CapturedStream {
  readonly #splitter: LineSplitter;
  readonly #limit: LineLimit;
  readonly #onText: (text: CapturedText) => void;
  #level: LogLevel = "info";
  /** The lines of the record that may go on. */
  #lines: string[] = [];
  /** The characters of these, with a line break behind each. */
  #length = 0;

  /**
   * @param onText Receives each record.
   * @param limit The limit of the process.
   */
  constructor(onText: (text: CapturedText) => void, limit: LineLimit) {
    this.#onText = onText;
    this.#limit = limit;
    this.#splitter = new LineSplitter((line) => {
      if (!limit.take()) return;
      this.#tellDropped();
      this.#add(readable(decodeBytes(line)));
    });
  }

  /**
   * Takes what was read.
   *
   * @param data The bytes, borrowed.
   */
  take(data: Uint8Array): void {
    // To look at each line would take a hundred times as long.
    if (this.#limit.isReached) this.#limit.drop(this.#splitter.skip(data));
    else this.#splitter.take(data);
  }

  /** Passes on the record that waits for further lines: nothing more has arrived. */
  flush(): void {
    this.#passOn();
    this.#tellDropped(true);
  }

  /** Passes on the rest: the process has closed the output. */
  end(): void {
    this.#splitter.end();
    this.flush();
  }

  #add(line: string): void {
    const belongsToLast = this.#lines.length > 0 && INDENTED.test(line) &&
      this.#length + line.length < TEXT_MAX;
    if (!belongsToLast) {
      this.#passOn();
      const priority = PRIORITY.exec(line);
      this.#level = LEVELS[Number(priority?.[1] ?? 6)];
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
    this.#onText({ level: this.#level, text });
  }

  #tellDropped(isLast?: boolean): void {
    const text = this.#limit.report(isLast);
    if (text === undefined) return;
    this.#passOn();
    this.#onText({ level: "warn", text });
  }
}
