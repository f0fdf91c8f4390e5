/**
 * A client of a master's control socket.
 *
 * @module
 */
import { LineReader } from "./line_reader.ts";
import {
  type Answer,
  type CommandName,
  type Commands,
  CONTROL_VERSION,
  type ControlEvent,
  type ControlFailure,
  type LogLine,
} from "./messages.ts";

const READ_BYTES = 64 * 1024;

/** The most bytes of an answer: a status of the largest installation is far below. */
const MAX_ANSWER_BYTES = 64 << 20;

/**
 * The answer of a master to a request that it could not fulfil.
 *
 * @example Shows the mistakes that a reload was refused for
 * ```ts
 * import { ControlClient, ControlRequestError } from "@zc/master/control";
 *
 * if (import.meta.main) {
 *   using master = await ControlClient.connect("master.pid.sock");
 *   try {
 *     await master.request("reload");
 *   } catch (error) {
 *     if (!(error instanceof ControlRequestError)) throw error;
 *     for (const { file, line, message } of error.failure.problems ?? []) {
 *       console.error(file, line, message);
 *     }
 *   }
 * }
 * ```
 */
export class ControlRequestError extends Error {
  /** The error class's name. */
  override readonly name = "ControlRequestError";

  /**
   * Makes the error of a failure.
   *
   * @param failure The failure as the master has sent it.
   */
  constructor(readonly failure: ControlFailure) {
    super(failure.message);
  }
}

/** How a client connects. */
export interface ConnectOptions {
  /**
   * Whether control characters but tab and line end, in all that the master sends, become spaces: for a terminal,
   * which obeys them.
   *
   * @default {false}
   */
  readonly blanksControls?: boolean;
}

/** What a client can be told while a request is under way. */
export interface RequestOptions {
  /**
   * Called each time the master says what it waits for.
   *
   * @default {nothing}
   */
  onProgress?(text: string): void;
}

/** A connection to a master. One request is under way at a time; further ones wait. */
export class ControlClient implements Disposable {
  readonly #conn: Deno.UnixConn;
  readonly #lines: AsyncIterator<Answer>;
  /** The events that came before the answer to their request. */
  #early: ControlEvent[] = [];
  #nextId = 1;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(conn: Deno.UnixConn, { blanksControls = false }: ConnectOptions) {
    this.#conn = conn;
    this.#lines = answersOf(conn, blanksControls ? blanked : (answer) => answer);
  }

  /**
   * Connects to a master.
   *
   * Needs `--allow-read` and `--allow-write` for the path, and `--allow-net=unix:PATH`.
   *
   * @param path The path of the control socket, `PIDFILE.sock` by default.
   * @param options How.
   * @returns The client, to be closed by the caller.
   * @throws {Deno.errors.NotFound} When there is no such socket.
   * @throws {Deno.errors.ConnectionRefused} When no master listens there.
   * @throws {Deno.errors.PermissionDenied} When the socket is another user's.
   *
   * @example
   * ```ts
   * import { ControlClient } from "@zc/master/control";
   *
   * if (import.meta.main) {
   *   using master = await ControlClient.connect("master.pid.sock");
   *   await master.request("reload", {}, { onProgress: (text) => console.log(text) });
   * }
   * ```
   */
  static async connect(path: string, options: ConnectOptions = {}): Promise<ControlClient> {
    return new ControlClient(await Deno.connect({ transport: "unix", path }), options);
  }

  /**
   * Sends a request, and waits for its result.
   *
   * @param command The name of the command.
   * @param args Its arguments.
   * @param options Receives what the master says meanwhile.
   * @returns The result.
   * @throws {ControlRequestError} When the master can't fulfil the request.
   * @throws {Deno.errors.UnexpectedEof} When the master ends before its answer.
   */
  request<Name extends CommandName>(
    command: Name,
    args: Commands[Name]["args"] = {} as Commands[Name]["args"],
    options: RequestOptions = {},
  ): Promise<Commands[Name]["result"]> {
    const result = this.#last.then(() => this.#ask(command, args, options));
    this.#last = result.catch(() => {});
    return result as Promise<Commands[Name]["result"]>;
  }

  /**
   * Asks for events. No other request can follow on this connection.
   *
   * @returns The events from now on, until the caller stops or the master ends.
   * @throws {ControlRequestError} When the master refuses.
   */
  async events(): Promise<AsyncGenerator<ControlEvent, void, void>> {
    await this.request("events");
    return this.#events();
  }

  /**
   * Asks for the lines of the log. No other request can follow on this connection.
   *
   * @param args `service`: only its lines. `lines`: how many of the past; 100 by default.
   * @returns The last lines, and then each further one as an event of the type `line`, until the caller stops or
   * the master ends.
   * @throws {ControlRequestError} When there is no such service.
   */
  async follow(
    args: { readonly service?: string; readonly lines?: number } = {},
  ): Promise<
    {
      readonly lines: readonly LogLine[];
      readonly events: AsyncGenerator<ControlEvent, void, void>;
    }
  > {
    const { lines } = await this.request("logs", { ...args, follow: true });
    return { lines, events: this.#events() };
  }

  async *#events(): AsyncGenerator<ControlEvent, void, void> {
    yield* this.#early.splice(0);
    for (;;) {
      const { value: answer, done } = await this.#lines.next();
      if (done) return;
      if ("event" in answer) yield answer.event;
    }
  }

  /** Fulfilled when the master has closed the connection, as at its end. */
  async closed(): Promise<void> {
    await this.#last;
    try {
      while (!(await this.#lines.next()).done);
    } catch (error) {
      // A master that ends before it has accepted the connection, or read all of it, resets it.
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }

  /** Closes the connection. */
  close(): void {
    this.#conn.close();
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #send(request: object): Promise<void> {
    let bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(await this.#conn.write(bytes));
    } catch (error) {
      // The master has closed the connection, and may have said why.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  async #ask(command: string, args: object, { onProgress }: RequestOptions): Promise<unknown> {
    const id = this.#nextId++;
    await this.#send({ ...args, v: CONTROL_VERSION, id, do: command });
    for (;;) {
      const { value: answer, done } = await this.#lines.next();
      if (done) {
        throw new Deno.errors.UnexpectedEof(
          `Cannot do "${command}": the master has closed the connection, expected its answer`,
        );
      }
      // A failure without a number ends the connection, so it concerns every request.
      if (answer.id !== id && answer.id !== null) continue;
      if ("event" in answer) this.#early.push(answer.event);
      else if ("progress" in answer) onProgress?.(answer.progress);
      else if ("ok" in answer) {
        if (!answer.ok) throw new ControlRequestError(answer.error);
        return answer.result;
      }
    }
  }
}

/** Reads without the connection's streams, which would close it a second time. */
async function* answersOf(
  conn: Deno.UnixConn,
  prepare: (answer: Answer) => Answer,
): AsyncGenerator<Answer, void, void> {
  const buffer = new Uint8Array(READ_BYTES), reader = new LineReader(MAX_ANSWER_BYTES);
  for (let length; (length = await conn.read(buffer)) !== null;) {
    for (const line of reader.take(buffer.subarray(0, length))) yield prepare(JSON.parse(line));
  }
}

/** A value without control characters but tab and line end, in keys as well. */
function blanked<T>(value: T): T {
  if (typeof value === "string") {
    return value.replace(/\p{Cc}/gu, (one) => "\t\n".includes(one) ? one : " ") as T;
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(blanked) as T;
  return Object.fromEntries(Object.entries(value).map((entry) => entry.map(blanked))) as T;
}
