/**
 * The standard outputs of one server that this process reads.
 *
 * @module
 */
import { blankControls } from "../../log/control_characters.ts";
import { OUTPUT_FDS, type OutputName, writeOutput } from "../../log/outputs.ts";
import { PERMISSION_ADVICE } from "../../log/formats.ts";
import type { LogRecord } from "../../log/record.ts";
import type { PlacedFd } from "../../os/fd/descriptor.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { CapturedStream, NOTICE_MS } from "./captured_stream.ts";
import type { LineLimit } from "./line_limit.ts";
import { joined } from "./line_splitter.ts";
import { OutputPipe, type PipeOptions, type PipeReader } from "./output_pipe.ts";
import type { ReadTurns } from "./read_turns.ts";

/** How old the last line of stderr may be when the process ends, to be shown as its last words. */
const LAST_WORDS_MS = 5_000;
/** How long after an error message a line counts as a part of it. */
const TRACE_MS = 100;
/** What error messages of most programs have. */
const ERROR = /error|exception|fatal|panic/i;
/** What the runtime says of a permission that is missing. */
const REFUSED = /run again with the --allow-\w+ flag/;
/** The most characters of the last words. */
const LAST_WORDS_MAX = 200;

/** A captured record, without its service. */
export type OutputRecord = Pick<LogRecord, "timeMs" | "level" | "pid" | "text" | "stream">;

/** What happens with an output. */
export interface OutputUse {
  /** The outputs that are read. */
  readonly names: readonly OutputName[];
  /** Copied to those of this process as it is, or taken as log lines. */
  readonly mode: "copy" | "capture";
  readonly clock: Clock;
  /** The time, in milliseconds since 1970. */
  now(): number;
  readonly poller: Poller;
  readonly turns: ReadTurns;
  /** The limit of the service. */
  readonly limit: LineLimit;
  /** Receives captured records. */
  onRecords(records: readonly OutputRecord[]): void;
  /** All outputs are closed. Called once. */
  onEnd(): void;
}

/** What receives the bytes of one output. */
type OutputSink = Omit<PipeReader, "poller" | "turns">;

/** The outputs of one process. */
export class ProcessOutputs {
  /** The descriptors of the process. Borrowed. */
  readonly fds: readonly PlacedFd[];
  readonly #use: OutputUse;
  readonly #pipes = new Map<OutputName, OutputPipe>();
  /** For lines about dropped lines, when no further one comes. */
  readonly #timers = new Map<OutputName, Timer>();
  #lastWords?: { readonly timeMs: number; readonly text: string; readonly isError: boolean };

  /**
   * @param use What happens with the output.
   * @param options How the pipes are made.
   * @throws {SysError} At the limit of open files.
   */
  constructor(use: OutputUse, options: Omit<PipeOptions, "name">) {
    this.#use = use;
    try {
      for (const name of use.names) this.#pipes.set(name, new OutputPipe({ ...options, name }));
    } catch (error) {
      this.close();
      throw error;
    }
    this.fds = Array.from(
      this.#pipes,
      ([name, { write }]) => ({ from: write, to: OUTPUT_FDS[name] }),
    );
  }

  /**
   * Reads from now on.
   *
   * @param pid The process.
   */
  begin(pid: number): void {
    const { mode, poller, turns } = this.#use;
    for (const [name, pipe] of this.#pipes) {
      const sink = mode === "copy" ? copier(name) : this.#capturer(name, pid);
      const end = () => {
        sink.end();
        this.#onEnd(name);
      };
      pipe.begin({ poller, turns, ...sink, end });
    }
  }

  /**
   * Reads what has arrived.
   *
   * @param isOver Whether no time is left.
   */
  drain(isOver: () => boolean): void {
    for (const pipe of [...this.#pipes.values()]) pipe.drain(isOver);
  }

  /** The last error message on stderr, or else the last line, if it is recent; cut if it is long. */
  get lastWords(): string | undefined {
    const words = this.#lastWords;
    if (words === undefined || this.#use.now() - words.timeMs > LAST_WORDS_MS) return undefined;
    const { text } = words;
    return text.length > LAST_WORDS_MAX ? `${text.slice(0, LAST_WORDS_MAX)}…` : text;
  }

  /** Reads no more. */
  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    for (const pipe of this.#pipes.values()) pipe.close();
    this.#pipes.clear();
  }

  #onEnd(name: OutputName): void {
    this.#timers.get(name)?.cancel();
    this.#timers.delete(name);
    this.#pipes.delete(name);
    if (this.#pipes.size === 0) this.#use.onEnd();
  }

  /** Keeps the first line of a record, unless it follows an error message at once, as its trace does. */
  #noteLastWords({ timeMs, text }: Pick<LogRecord, "timeMs" | "text">): void {
    // They reach terminals, also that of root, in the log and by commands.
    const first = text.trim().split("\n", 1)[0].replace(/\p{Cc}/gu, " ");
    const last = this.#lastWords, isAdvice = first.startsWith(PERMISSION_ADVICE);
    const isFollowing = last?.isError && timeMs - last.timeMs < TRACE_MS && !isAdvice;
    // It names the flag alone.
    const isTold = last?.text.startsWith(PERMISSION_ADVICE) && REFUSED.test(first);
    if (first === "" || isFollowing || isTold) return;
    this.#lastWords = { timeMs, text: first, isError: isAdvice || ERROR.test(first) };
  }

  #capturer(stream: OutputName, pid: number): OutputSink {
    const { clock, now, limit, onRecords } = this.#use;
    let records: OutputRecord[] = [];
    const captured = new CapturedStream({
      limit,
      nowMs: () => clock.nowMs(),
      onText: ({ level, text }) => {
        const record = { timeMs: now(), level, pid, text, stream };
        if (stream === "stderr") this.#noteLastWords(record);
        records.push(record);
      },
    });
    const endTurn = () => {
      if (records.length > 0) onRecords(records);
      records = [];
      if (!captured.hasDropped || this.#timers.has(stream) || !this.#pipes.has(stream)) return;
      this.#timers.set(
        stream,
        clock.setTimer(NOTICE_MS, () => {
          this.#timers.delete(stream);
          captured.flush();
          endTurn();
        }),
      );
    };
    return {
      take: (data) => captured.take(data),
      pause: () => captured.flush(),
      end() {
        captured.end();
        endTurn();
      },
      endTurn,
    };
  }
}

/** Copies output to the output of the same name of this process. */
function copier(name: OutputName): OutputSink {
  /** The first bytes of a character whose rest has not come yet. */
  let kept = new Uint8Array();
  const copy = (data: Uint8Array, isLast: boolean) => {
    const both = joined(kept, data);
    // A terminal may answer a control sequence as if the answer were typed.
    const end = Deno[name].isTerminal() ? blankControls(both, isLast) : both.length;
    kept = both.slice(end);
    writeOutput(name, both.subarray(0, end));
  };
  return {
    take: (data) => copy(data, false),
    pause() {},
    endTurn() {},
    end: () => copy(new Uint8Array(), true),
  };
}
