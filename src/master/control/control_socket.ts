/**
 * A socket of a master that takes commands: accepts clients of the master's user and of root, and
 * perhaps of one more user.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import type { Answer, ControlEvent } from "../../control/messages.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Poller, type Watch } from "../../os/fd/poller.ts";
import { ownUid, type Stranger, strangerAt } from "../../os/net/peer.ts";
import { acceptFd } from "../../os/net/socket.ts";
import { type OpenedListener, openListener } from "../../os/net/open_listener.ts";
import { HeldSocketFile, removeSocketFile, type SocketFile } from "../../os/net/socket_file.ts";
import { sizeOf } from "../outputs/recent_lines.ts";
import { ControlConnection } from "./connection.ts";
import { answerLine, type CommandHandlers, ControlError, type Subscription } from "./requests.ts";

/** The most clients at a time; beyond that, the one that has been idle longest is disconnected. */
export const MAX_CLIENTS = 32;

/** The most text of lines that is sent at once: in JSON six times as much at most. */
const PART_MAX = 65_536;

const ROOT = 0;

/** How long no client is accepted after accept(2) has failed. */
const ACCEPT_PAUSE_MS = 1_000;

/** Nobody but its owner, and root, may connect. */
const MODE = 0o600;

/** The parts of such a socket. */
export interface ControlSocketOptions {
  readonly path: string;
  readonly poller: Poller;
  readonly clock: Clock;
  /** What it is called in the log. */
  readonly name: "control socket" | "status socket";
  /** The commands that it obeys. */
  readonly commands: Partial<CommandHandlers>;
  /** A user who may connect beside root and the master's own user, and who owns the file where that is possible. */
  readonly admitted?: number;
  /**
   * The least time between two clients, and between two requests of a client.
   *
   * @default {0}
   */
  readonly paceMs?: number;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

interface ConnectedClient {
  readonly connection: ControlConnection;
  /** The events that it has asked for. */
  events?: Subscription;
  /** How many lines it was not sent, and not told of. */
  droppedLines: number;
}

/** How a socket is withdrawn. */
export interface WithdrawOptions {
  /**
   * Whether its file stays until {@linkcode ControlSocket.removeFile}: a new master may replace it at
   * this very moment, and its own file must not be removed in place of this one.
   *
   * @default {false}
   */
  readonly leavesFile?: boolean;
  /**
   * Whether clients stay connected, since they wait for the end of this process.
   *
   * @default {false}
   */
  readonly keepsClients?: boolean;
}

/** An open socket for commands. */
export class ControlSocket {
  readonly #options: ControlSocketOptions;
  readonly #listener: OpenedListener;
  #watch?: Watch;
  #pause?: Timer;
  /** The file of the withdrawn socket, if it is left. */
  #left?: HeldSocketFile;
  /** The clients; the one whose last request is longest ago comes first. */
  readonly #clients = new Set<ConnectedClient>();

  private constructor(options: ControlSocketOptions, listener: OpenedListener) {
    this.#options = options;
    this.#listener = listener;
    this.#accept();
  }

  /**
   * Opens the socket.
   *
   * @param options The parts.
   * @throws {Error} When the path can't be used.
   */
  static open(options: ControlSocketOptions): ControlSocket {
    const { path, admitted } = options;
    const owner = admitted === undefined || ownUid() !== ROOT ? {} : { uid: admitted };
    const listener = openListener({ kind: "unix", path }, { mode: MODE, ...owner });
    try {
      return new ControlSocket(options, listener);
    } catch (error) {
      closeListener(listener, options);
      throw error;
    }
  }

  /** The path of the socket. */
  get path(): string {
    return this.#options.path;
  }

  /** The file that it has made. */
  get file(): SocketFile {
    return this.#listener.socketFile!;
  }

  /** Sends events to each client that has asked for them. */
  tell(events: readonly ControlEvent[]): void {
    for (const client of this.#clients) {
      const { connection, events: asked } = client;
      if (asked === undefined) continue;
      for (const part of inParts(events.filter((event) => asked.wants(event)))) {
        // Lines may come faster than any client reads. Everything else is rare.
        const isSlow = connection.isSlow || client.droppedLines > 0;
        const sent = isSlow ? part.filter(({ type }) => type !== "line") : part;
        client.droppedLines += part.length - sent.length;
        if (sent.length === 0) continue;
        connection.send(...sent.map((event): Answer => ({ id: asked.id, event })));
      }
    }
  }

  /**
   * Removes the socket, so that no client can connect any more. Clients that wait for an answer
   * still get it.
   */
  withdraw({ leavesFile = false, keepsClients = false }: WithdrawOptions = {}): void {
    if (this.#watch === undefined && this.#pause === undefined) return;
    this.#watch?.stop();
    this.#pause?.cancel();
    this.#watch = this.#pause = undefined;
    const { socketFile, fd } = this.#listener;
    if (leavesFile && socketFile !== undefined) {
      tryWithFile(() => this.#left = HeldSocketFile.hold(socketFile), this.#options);
      closeFd(fd);
    } else closeListener(this.#listener, this.#options);
    if (keepsClients) return;
    for (const { connection } of [...this.#clients]) connection.finish();
  }

  /** Removes the file that was left at a withdrawal, unless another socket has replaced it. */
  removeFile(): void {
    const left = this.#left;
    this.#left = undefined;
    tryWithFile(() => left?.remove(), this.#options);
  }

  /** Withdraws it, and leaves its clients to the end of this process. */
  close(): void {
    this.withdraw({ keepsClients: true });
    this.removeFile();
    for (const { connection } of [...this.#clients]) connection.leave();
  }

  #accept(): void {
    const { poller, paceMs = 0 } = this.#options, { fd } = this.#listener;
    this.#watch = poller.watch(fd, EPOLLIN, () => {
      try {
        const client = acceptFd(fd);
        if (client === undefined) return;
        this.#greet(client);
        if (paceMs > 0) this.#pauseFor(paceMs);
      } catch (error) {
        // The connection stays in the queue, so the listener would be ready again at once.
        this.#acceptLater(error as Error);
      }
    });
  }

  #acceptLater({ message }: Error): void {
    const { name, log } = this.#options;
    log(`the ${name} accepts no client for a second: ${message}`, "warn");
    this.#pauseFor(ACCEPT_PAUSE_MS);
  }

  #pauseFor(ms: number): void {
    this.#watch?.stop();
    this.#watch = undefined;
    this.#pause = this.#options.clock.setTimer(ms, () => {
      this.#pause = undefined;
      try {
        this.#accept();
      } catch (error) {
        this.#acceptLater(error as Error);
      }
    });
  }

  /** Takes a client in, or tells it why not. */
  #greet(fd: number): void {
    const { poller, clock, commands, admitted, paceMs = 0, log } = this.#options;
    let stranger: Stranger | undefined, connection: ControlConnection;
    const gone = new AbortController();
    try {
      stranger = strangerAt(fd, admitted);
      connection = new ControlConnection({
        fd,
        poller,
        afterTurn: (callback) => void clock.setTimer(paceMs, callback),
      }, {
        onLine: (line) => {
          // The clients stay in the order of their last requests.
          this.#clients.delete(client);
          this.#clients.add(client);
          return answerLine(line, commands, {
            gone: gone.signal,
            send: (answer) => connection.send(answer),
            subscribe: (events) => client.events = events,
            log,
          });
        },
        onBroken: (message) => connection.send(refusal("bad-request", message)),
        onSent: () => tellOfDropped(client),
        onClose: () => {
          this.#clients.delete(client);
          gone.abort(new ControlError("failed", "The client has disconnected"));
        },
      });
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    const client: ConnectedClient = { connection, droppedLines: 0 };
    this.#clients.add(client);
    if (stranger !== undefined) {
      const { uid, expected } = stranger;
      connection.send(
        refusal("failed", `Cannot obey user ${uid}: found another user, expected ${expected}`),
      );
      return connection.end();
    }
    this.#makeRoomFor(client);
  }

  /** Disconnects the client that has been idle longest if there are too many. */
  #makeRoomFor(newest: ConnectedClient): void {
    if (this.#clients.size <= MAX_CLIENTS) return;
    const others = [...this.#clients].filter((one) => one !== newest);
    const oldest =
      others.find(({ connection, events }) => connection.isIdle && events === undefined) ??
        others[0];
    oldest.connection.send(
      refusal("busy", `Cannot serve this client: found ${MAX_CLIENTS} others, expected fewer`),
    );
    // Not once its answers are sent: a client that does not read would stay.
    oldest.connection.close();
  }
}

/** Parts events, so that no part of lines makes too much wait for a client that is not slow. */
function inParts(events: readonly ControlEvent[]): ControlEvent[][] {
  const parts: ControlEvent[][] = [];
  let size = Infinity;
  for (const event of events) {
    const own = event.type === "line" ? sizeOf(event) : 0;
    size += own;
    if (size > PART_MAX) {
      parts.push([]);
      size = own;
    }
    parts.at(-1)!.push(event);
  }
  return parts;
}

/** Tells a client how many lines it was not sent: it has read all others. */
function tellOfDropped(client: ConnectedClient): void {
  const { connection, events, droppedLines: lines } = client;
  if (lines === 0 || events === undefined) return;
  client.droppedLines = 0;
  const event: ControlEvent = { type: "dropped", atMs: Date.now(), lines };
  connection.send({ id: events.id, event } satisfies Answer);
}

/** Closes a listener, and removes its file. */
function closeListener({ fd, socketFile }: OpenedListener, options: ControlSocketOptions): void {
  if (socketFile !== undefined) tryWithFile(() => removeSocketFile(socketFile), options);
  closeFd(fd);
}

/** An upgrade or a stop goes on if the file of the socket can't be removed. */
function tryWithFile(act: () => void, { name, log }: ControlSocketOptions): void {
  try {
    act();
  } catch (error) {
    log(`the ${name} is left: ${(error as Error).message}`, "warn");
  }
}

function refusal(code: "bad-request" | "busy" | "failed", message: string): Answer {
  return { id: null, ok: false, error: { code, message } };
}
