/**
 * Where captured output goes: the log of the master, the file of its service, the last lines that are kept
 * for operators, and operators who follow.
 *
 * @module
 */
import type { LogLine } from "../../control/messages.ts";
import type { KeptRecord, LogLevel, LogRecord, RecordEncoder } from "../../log/record.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { OutputFile } from "./output_file.ts";
import { RecentLines } from "./recent_lines.ts";
import { RecordForwarding } from "./record_forwarding.ts";

/** The id of the lines of the master itself. */
const OWN = "";

/** What the log of captured output needs. */
export interface OutputLogOptions {
  readonly clock: Clock;
  /** The time, in milliseconds since 1970. */
  now(): number;
  /** Writes records to the log of the master. */
  write(records: readonly LogRecord[]): void;
  /** The form of the records in files. */
  encoder(): RecordEncoder;
  /** Whether this master renames files; see `OutputFile`. */
  mayRotate(): boolean;
  /** Sends lines to operators who follow. */
  onLines(lines: readonly LogLine[]): void;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

/** The log of captured output. */
export class OutputLog {
  readonly #options: OutputLogOptions;
  readonly #recent = new RecentLines();
  /** By their settings; two services may have the same. */
  readonly #files = new Map<string, OutputFile>();
  /** The way to the master that has taken over. */
  #forwarding?: RecordForwarding;
  #count = 0;

  /** @param options What is needed. */
  constructor(options: OutputLogOptions) {
    this.#options = options;
  }

  /**
   * Takes records of a server.
   *
   * @param service Its service.
   * @param records The records.
   */
  take(
    { id, output }: Pick<ResolvedService, "id" | "output">,
    records: readonly LogRecord[],
  ): void {
    this.#options.write(records);
    const file = output.file && this.#fileOf(output.file);
    if (file !== undefined) { for (const record of records) file.append(record); }
    this.#keep(id, records.map((record) => this.#withKey(record)));
  }

  /**
   * Keeps a record of the master itself, which is in the log already.
   *
   * @param record The record.
   */
  keep(record: LogRecord): void {
    this.#keep(OWN, [this.#withKey(record)]);
  }

  /**
   * Keeps records of the master that this one has replaced, whose servers drain. They are in the log and in
   * files already.
   *
   * @param records The records.
   */
  adopt(records: readonly KeptRecord[]): void {
    for (const record of records) {
      this.#keep(record.service ?? OWN, [record], { isOfOldMaster: true });
    }
  }

  /**
   * Passes the last records on to the master that has taken over, and all further ones.
   *
   * @param send Sends records; returns false if they have to wait.
   */
  forwardTo(send: (records: readonly KeptRecord[]) => boolean): void {
    this.#forwarding = new RecordForwarding(this.#options.clock, send);
    for (const record of this.#recent.last(Infinity)) this.#forwarding.add(record);
  }

  #keep(
    id: string,
    records: readonly KeptRecord[],
    maker: { readonly isOfOldMaster?: boolean } = {},
  ): void {
    for (const record of records) {
      this.#recent.add(id, record, maker);
      this.#forwarding?.add(record);
    }
    this.#options.onLines(records.map(lineOf));
  }

  #withKey(record: LogRecord): KeptRecord {
    return { ...record, key: `${Deno.pid}-${++this.#count}` };
  }

  /**
   * The last lines.
   *
   * @param count The most lines.
   * @param service Only those of this one, and those of the master about it.
   */
  last(count: number, service?: string): LogLine[] {
    return this.#recent.last(count, service).map(lineOf);
  }

  /** Writes pending records to the files that are at their paths now. */
  flush(): void {
    for (const file of this.#files.values()) file.flush();
  }

  /** Writes pending records, and waits 5 s at most for a disk that hangs. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#files.values(), (file) => file.close()));
  }

  /** The file with these settings. Servers of before a reload may write to the same path with other ones. */
  #fileOf(config: NonNullable<ResolvedService["output"]["file"]>): OutputFile {
    const { clock, now, encoder, mayRotate, log } = this.#options, encode = encoder();
    const settings = JSON.stringify([config, encode.name]), known = this.#files.get(settings);
    if (known !== undefined) return known;
    const onError = (text: string) => log(text, "error");
    const file = new OutputFile({ ...config, clock, now, encode, mayRotate, onError });
    this.#files.set(settings, file);
    return file;
  }
}

function lineOf({ timeMs, level, service, pid, stream, text, key }: KeptRecord): LogLine {
  return { atMs: timeMs, level, service: service ?? null, pid, stream: stream ?? null, text, key };
}
