/**
 * The standard outputs of all servers: which of them this process reads, and when it stops.
 *
 * - With `server-output = capture` both are pipes, and their lines become records of the log.
 * - With `server-output = inherit` a server has the outputs of this process, but where that would do harm:
 *   a server without FFI can't tell whether an output has room, and would block while it writes; a terminal
 *   belongs to a user, who types there what a server of another user must not read. Such a server has
 *   pipes, and what it writes is copied.
 *
 * Each process has pipes of its own: no process can change the flags of another one's output, or fill it.
 *
 * @module
 */
import { serviceName } from "../../config/service.ts";
import { OUTPUT_FDS, type OutputName } from "../../log/outputs.ts";
import type { LogLevel, LogRecord } from "../../log/record.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { Poller } from "../../os/fd/poller.ts";
import type { Credentials, Owner } from "../../os/user/accounts.ts";
import { fileStatus } from "../../os/ffi/file_status.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { LineLimit } from "./line_limit.ts";
import { ProcessOutputs } from "./process_outputs.ts";
import { ReadTurns } from "./read_turns.ts";

const NAMES: readonly OutputName[] = ["stdout", "stderr"];

/**
 * How many ended processes may have outputs that are still read: programs that they have started may write
 * to them. Beyond that the oldest of the service with the most are closed.
 */
export const ENDED_MAX = 64;

/** How long the last output of a process is read, and that of all when this process ends. */
const LAST_OUTPUT_MS = 50, ALL_LAST_OUTPUTS_MS = 1_000;

/** What the outputs of servers need. */
export interface ServerOutputsOptions {
  readonly poller: Poller;
  readonly clock: Clock;
  /** Whether this process may give a file to another user. */
  mayGiveTo(owner: Owner): boolean;
  /** The time, in milliseconds since 1970. */
  now(): number;
  /** Receives captured records. */
  onRecords(service: ResolvedService, records: readonly LogRecord[]): void;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

/** The process to start. */
export interface StartingProcess {
  readonly service: ResolvedService;
  /** The rights that it is started with. */
  readonly credentials?: Credentials;
  readonly gainsNothing?: boolean;
  /** Receives the descriptors to close once it is started, or can't be. */
  readonly childEnds: number[];
}

/** The outputs of all servers. */
export class ServerOutputs {
  readonly #options: ServerOutputsOptions;
  /** Each with the id of its service. */
  readonly #all = new Map<ProcessOutputs, string>();
  readonly #turns: ReadTurns;
  /** By the id of a service. */
  readonly #limits = new Map<string, LineLimit>();
  /** Those whose process has ended, the oldest first. */
  readonly #ended = new Set<ProcessOutputs>();

  /** @param options What is needed. */
  constructor(options: ServerOutputsOptions) {
    this.#options = options;
    this.#turns = new ReadTurns(options.poller, options.clock);
  }

  /**
   * Prepares the outputs of a process.
   *
   * @param starting The process.
   * @returns Its outputs.
   * @throws {SysError} At the limit of open files.
   */
  prepare(starting: StartingProcess): ProcessOutputs {
    const { service, credentials, childEnds } = starting;
    const { now, clock, poller, mayGiveTo } = this.#options;
    const owner = credentials && { uid: credentials.uid, gid: credentials.gid };
    const outputs = new ProcessOutputs({
      ...readOutputs(starting),
      ...{ now, clock, poller },
      turns: this.#turns,
      limit: this.#limitOf(service.id),
      onRecords: (records) => {
        const of = { ident: serviceName(service.id), service: service.id };
        this.#options.onRecords(service, records.map((record) => ({ ...record, ...of })));
      },
      onEnd: () => this.#drop(outputs),
    }, {
      // Programs expect an output that blocks, those that a server starts included. With FFI a server opens
      // its outputs anew for itself; without it, it could not tell whether they have room.
      blocks: service.protocol !== "inherit",
      owner: owner && mayGiveTo(owner) ? owner : undefined,
      childEnds,
    });
    this.#all.set(outputs, service.id);
    return outputs;
  }

  /**
   * Records that a process has ended, or could not be started.
   *
   * @param outputs Its outputs.
   * @returns Its last words.
   */
  end(outputs: ProcessOutputs): string | undefined {
    outputs.drain(this.#timeLimit(LAST_OUTPUT_MS));
    const { lastWords } = outputs;
    if (!this.#all.has(outputs)) return lastWords;
    this.#ended.add(outputs);
    if (this.#ended.size > ENDED_MAX) this.#closeOldest();
    return lastWords;
  }

  /** Closes an output of the service that has left most behind: no service may end the output of another one. */
  #closeOldest(): void {
    const left = Map.groupBy(this.#ended, (outputs) => this.#all.get(outputs)!);
    const [id, [oldest]] = [...left].reduce((a, b) => b[1].length > a[1].length ? b : a);
    this.#options.log(
      `programs that ended servers have left behind hold ${ENDED_MAX} outputs open, most of them ` +
        `of ${id}, of which the oldest is closed`,
      "warn",
    );
    this.#close(oldest, this.#timeLimit(LAST_OUTPUT_MS));
  }

  /** Closes the outputs of a process that could not be started. */
  abandon(outputs: ProcessOutputs): void {
    outputs.close();
    this.#drop(outputs);
  }

  /** Reads the last output of the servers, and closes all, when this process ends. */
  close(): void {
    const isOver = this.#timeLimit(ALL_LAST_OUTPUTS_MS);
    for (const outputs of [...this.#all.keys()]) this.#close(outputs, isOver);
  }

  /** Reads an output, and closes it. The lock watch sees what a read waits for, and not what close(2) waits for. */
  #close(outputs: ProcessOutputs, isOver: () => boolean): void {
    outputs.drain(isOver);
    outputs.close();
    this.#drop(outputs);
  }

  #timeLimit(ms: number): () => boolean {
    const { clock } = this.#options, untilMs = clock.nowMs() + ms;
    return () => clock.nowMs() >= untilMs;
  }

  #limitOf(id: string): LineLimit {
    let limit = this.#limits.get(id);
    if (limit === undefined) {
      this.#limits.set(id, limit = new LineLimit(() => this.#options.clock.nowMs()));
    }
    return limit;
  }

  #drop(outputs: ProcessOutputs): void {
    this.#all.delete(outputs);
    this.#ended.delete(outputs);
  }
}

/** Which outputs of a process are read, and what for. */
function readOutputs(
  { service, ...rights }: StartingProcess,
): { readonly names: readonly OutputName[]; readonly mode: "copy" | "capture" } {
  if (service.output.mode === "capture") return { names: NAMES, mode: "capture" };
  if (service.protocol === "inherit") return { names: NAMES, mode: "copy" };
  const names = NAMES.filter((name) => Deno[name].isTerminal() && !mayOpen(name, rights));
  return { names, mode: "copy" };
}

/** Whether a server may open the terminal of an output: it stays root, or the terminal belongs to its user. */
function mayOpen(
  name: OutputName,
  { credentials, gainsNothing = false }: Omit<StartingProcess, "service">,
): boolean {
  if (credentials !== undefined || gainsNothing) return false;
  const own = Deno.uid();
  return own === 0 || own === fileStatus(OUTPUT_FDS[name], name).uid;
}
