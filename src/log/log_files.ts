/**
 * The files of the log service: each line is appended to the file of its day or hour (LIB-ZC section 6).
 *
 * @module
 */
import type { Clock } from "../os/clock/clock.ts";
import { AppendQueue } from "./append_queue.ts";
import { escapeControls } from "./control_characters.ts";
import {
  droppedText,
  linesReportedBy,
  originOf,
  periodName,
  perSecond,
  timeOfDay,
} from "./lines.ts";
import type { LogSource } from "./record.ts";

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

/** The parts of a line for the present second. */
interface Present {
  /** `HH:MM:SS `. */
  readonly stamp: Uint8Array<ArrayBuffer>;
  readonly path: string;
}

const COMMA = 0x2c, LEFT = 0x5b, RIGHT = 0x5d, SPACE = 0x20, NEWLINE = 0x0a;
const STAMP_BYTES = "HH:MM:SS ".length;

const encoder = new TextEncoder();

/** Appends records to their files. */
export class LogFiles {
  readonly #present: () => Present;
  readonly #queue: AppendQueue;

  /** Opens nothing. */
  constructor({ prefix, period, source, clock, now, onError }: LogFilesOptions) {
    const presentAt = perSecond((date) => ({
      stamp: encoder.encode(`${timeOfDay(date)} `),
      path: `${prefix}${periodName(date, period)}.log`,
    }));
    const present = this.#present = () => presentAt(now());
    const head = originOf(source);
    this.#queue = new AppendQueue({
      path: () => present().path,
      notice: (dropped) =>
        Uint8Array.from([
          ...present().stamp,
          ...encoder.encode(`${head}${droppedText(dropped)}\n`),
        ]),
      ...{ clock, onError },
    });
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
    const room = this.#queue.reserve(STAMP_BYTES + end + 2);
    if (room === undefined) {
      // A report of the sender is not repeated, so its lines are counted here.
      this.#queue.drop(linesReportedBy(line) - 1);
      return true;
    }
    room.set(this.#present().stamp);
    const text = room.subarray(STAMP_BYTES);
    text.set(line.subarray(0, second));
    text[first] = LEFT;
    text[second] = RIGHT;
    text[second + 1] = SPACE;
    text.set(line.subarray(second + 1), second + 2);
    text[end + 1] = NEWLINE;
    return true;
  }

  /** Writes pending lines without the usual delay: the files may have been renamed for a rotation. */
  flush(): void {
    this.#queue.flush();
  }

  /**
   * Writes pending lines, and waits 5 s at most for a disk that hangs.
   *
   * @returns Settles when all is written or reported as lost; never rejects.
   */
  close(): Promise<void> {
    return this.#queue.close();
  }
}
