/**
 * Where captured output goes: the log of the master, the file of its service, the last lines that are kept
 * for operators, and operators who follow.
 *
 * @module
 */
import type { LogLine } from "../../control/messages.ts";
import type { LogRecord, RecordEncoder } from "../../log/record.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { OutputFile } from "./output_file.ts";
import { RecentLines } from "./recent_lines.ts";

/** What the log of captured output needs. */
export interface OutputLogOptions {
  readonly clock: Clock;
  /** The time, in milliseconds since 1970. */
  now(): number;
  /** Writes a record to the log of the master. */
  write(record: LogRecord): void;
  /** The form of the records in files. */
  readonly encode: RecordEncoder;
  /** Sends a line to operators who follow. */
  onLine(line: LogLine): void;
  /** Writes a line to the log. */
  log(text: string): void;
}

/** The log of captured output. */
export class OutputLog {
  readonly #options: OutputLogOptions;
  readonly #recent = new RecentLines();
  /** By path; two services may have the same. */
  readonly #files = new Map<string, { readonly file: OutputFile; readonly settings: string }>();

  /** @param options What is needed. */
  constructor(options: OutputLogOptions) {
    this.#options = options;
  }

  /**
   * Takes a record of a server.
   *
   * @param service Its service.
   * @param record The record.
   */
  take({ id, output }: Pick<ResolvedService, "id" | "output">, record: LogRecord): void {
    const { write, onLine } = this.#options;
    write(record);
    if (output.file !== undefined) this.#fileOf(output.file).append(record);
    this.#recent.add(id, record);
    onLine(lineOf(record));
  }

  /**
   * Keeps a record of the master itself, which is in the log already.
   *
   * @param record The record.
   */
  keep(record: LogRecord): void {
    this.#recent.add("", record);
    this.#options.onLine(lineOf(record));
  }

  /**
   * The last lines.
   *
   * @param count The most lines.
   * @param service Only those of this one.
   */
  last(count: number, service?: string): LogLine[] {
    return this.#recent.last(count, service).map(lineOf);
  }

  /** Forgets the lines of services that are no more. */
  forgetOthers(services: readonly string[]): void {
    this.#recent.keep(new Set(["", ...services]));
  }

  /** Writes pending records to the files that are at their paths now. */
  flush(): void {
    for (const { file } of this.#files.values()) file.flush();
  }

  /** Writes pending records, and waits 5 s at most for a disk that hangs. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#files.values(), ({ file }) => file.close()));
  }

  /** The file with these settings; another one of the same path writes what it has, and is left. */
  #fileOf(config: NonNullable<ResolvedService["output"]["file"]>): OutputFile {
    const settings = JSON.stringify(config), known = this.#files.get(config.path);
    if (known?.settings === settings) return known.file;
    known?.file.flush();
    const { clock, now, encode, log } = this.#options;
    const file = new OutputFile({ ...config, clock, now, encode, onError: log });
    this.#files.set(config.path, { file, settings });
    return file;
  }
}

function lineOf({ timeMs, level, service, pid, stream, text }: LogRecord): LogLine {
  return { atMs: timeMs, level, service: service ?? null, pid, stream: stream ?? null, text };
}
