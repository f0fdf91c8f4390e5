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
import { LineSplitter } from "./line_splitter.ts";

/** The text of a record and its level. */
export interface CapturedText {
  readonly level: LogLevel;
  readonly text: string;
}

/** The most characters of a record; further indented lines begin a new one. */
const TEXT_MAX = 65_536;

const PRIORITY = /^<([0-7])>/;
const LEVELS: readonly LogLevel[] = [
  ...["error", "error", "error", "error", "warn", "info", "info", "debug"] as const,
];
const INDENTED = /^[ \t]/;

/** A captured output. */
export class CapturedStream {
  readonly #splitter = new LineSplitter();
  readonly #onText: (text: CapturedText) => void;
  #level: LogLevel = "info";
  /** The lines of the record that may go on. */
  #lines: string[] = [];
  #length = 0;

  /** @param onText Receives each record. */
  constructor(onText: (text: CapturedText) => void) {
    this.#onText = onText;
  }

  /**
   * Takes what was read.
   *
   * @param data The bytes, borrowed.
   */
  take(data: Uint8Array): void {
    for (const line of this.#splitter.take(data)) this.#add(textOf(line));
  }

  /** Passes on the record that waits for further lines: nothing more has arrived. */
  flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("\n");
    this.#lines = [];
    this.#onText({ level: this.#level, text });
  }

  /** Passes on the rest: the process has closed the output. */
  end(): void {
    const last = this.#splitter.end();
    if (last !== undefined) this.#add(textOf(last));
    this.flush();
  }

  #add(line: string): void {
    const goesOn = this.#lines.length > 0 && INDENTED.test(line) &&
      this.#length + line.length <= TEXT_MAX;
    if (goesOn) this.#length += line.length;
    else {
      this.flush();
      const priority = PRIORITY.exec(line);
      this.#level = LEVELS[Number(priority?.[1] ?? 6)];
      if (priority !== null) line = line.slice(priority[0].length);
      this.#length = line.length;
    }
    this.#lines.push(line);
  }
}

const textOf = (line: Uint8Array): string => readable(decodeBytes(line));
