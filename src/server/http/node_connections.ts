/**
 * The connections of a node server: which are idle, which are busy, and what their clients are told at
 * the stop.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Server, Socket } from "node:net";
import { systemClock } from "../../os/clock/clock.ts";
import { connectionLooks, QUIET_MS, UNSURE_MS } from "../lifecycle/quiet.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import type { OpenWork } from "../lifecycle/open_work.ts";

/** When a scan is late by this much, data that arrived meanwhile has not been read yet. */
const LATE_MS = 500;

/** The largest stream number: every stream that a client has begun is served (RFC 9113, section 6.8). */
const LAST_STREAM = 2 ** 31 - 1;

/** The close frame of a WebSocket for "going away" (RFC 6455, section 7.4.1, 1001). */
const CLOSE_FRAME = new Uint8Array([0x88, 0x02, 0x03, 0xe9]);

/** Server events that carry a request and its response. */
const ANSWERED: ReadonlySet<unknown> = new Set(["request", "checkContinue", "checkExpectation"]);

/** Server events that carry a connection that is no HTTP connection any more. */
const TAKEN_OVER: ReadonlySet<unknown> = new Set(["upgrade", "connect"]);

/** Internal fields of node's response and connection: checked before use. */
type Answer = ServerResponse & { readonly _header?: unknown };
type TlsSocket = Socket & { readonly _parent?: Socket };

/** The record of one HTTP/1 connection. */
class NodeConnection {
  /** The responses under way on it. */
  readonly answers = new Set<Answer>();
  readonly #socket: Socket;
  /** The number of its bytes that belong to requests the server has seen. */
  #accounted = 0;
  #seen = 0;
  // A connection that is accepted after the stop has its second, too.
  #changedMs = systemClock.nowMs();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Counts a request on it, or its response. */
  account(): void {
    this.#accounted = this.#socket.bytesRead;
  }

  /** Whether nothing is under way and its bytes have not changed for a while. */
  isIdle(nowMs: number): boolean {
    const { bytesRead, bytesWritten } = this.#socket, seen = bytesRead + bytesWritten;
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#changedMs = nowMs;
    }
    if (this.answers.size > 0 || bytesRead > this.#accounted) return false;
    return nowMs - this.#changedMs >= QUIET_MS;
  }

  /** Restarts the waiting time. */
  renew(nowMs: number): void {
    this.#changedMs = nowMs;
  }
}

/** All connections of one server. */
export class NodeConnections {
  readonly #server: Server;
  readonly #isTls: boolean;
  readonly #speaking = new Map<Socket, NodeConnection>();
  /** The connections in their TLS handshake, and when it began. */
  readonly #shaking = new Map<Socket, number>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** The upgraded connections, and whether each is a WebSocket. */
  readonly #takenOver = new Map<Socket, boolean>();
  #isStopping = false;
  #stoppedMs = Infinity;
  #lookedMs = Infinity;

  /** Tracks all connections of a server of node:http, node:https or node:http2 from now on. */
  constructor(server: Server) {
    this.#server = server;
    this.#isTls = "setSecureContext" in server;
    const emit = server.emit;
    // Not a listener: with one for `checkContinue` the server would leave the response to it.
    server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      this.#note(event, args);
      return Reflect.apply(emit, server, [event, ...args]);
    };
    serverLifecycle.countOpen(() => this.#open());
  }

  #note(event: string | symbol, [first, second]: unknown[]): void {
    if (event === "connection") this.#add(first as Socket, this.#isTls);
    else if (event === "secureConnection") this.#add(first as Socket, false);
    else if (event === "session") this.#addSession(first as ServerHttp2Session);
    else if (ANSWERED.has(event)) this.#addAnswer(first as IncomingMessage, second as Answer);
    else if (TAKEN_OVER.has(event)) this.#takeOver(first as IncomingMessage, second as Socket);
  }

  #add(socket: TlsSocket, isShaking: boolean): void {
    if (isShaking) {
      this.#shaking.set(socket, systemClock.nowMs());
      socket.once("close", () => this.#shaking.delete(socket));
      return;
    }
    if (socket._parent !== undefined) this.#shaking.delete(socket._parent);
    this.#speaking.set(socket, new NodeConnection(socket));
    socket.once("close", () => {
      this.#speaking.delete(socket);
      this.#takenOver.delete(socket);
    });
  }

  #addSession(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once("close", () => this.#sessions.delete(session));
    // The session counts its own requests.
    const { remoteAddress, remotePort } = (session as { readonly socket?: Socket }).socket ?? {};
    if (remotePort !== undefined) {
      for (const one of this.#speaking.keys()) {
        if (one.remotePort !== remotePort || one.remoteAddress !== remoteAddress) continue;
        this.#speaking.delete(one);
      }
    }
    if (this.#isStopping) session.goaway(0, LAST_STREAM);
  }

  #addAnswer({ socket }: IncomingMessage, answer: Answer): void {
    const connection = this.#speaking.get(socket);
    if (connection === undefined) return;
    connection.answers.add(answer);
    connection.account();
    answer.once("close", () => {
      connection.answers.delete(answer);
      connection.account();
    });
    if (this.#isStopping) tellLast(answer);
  }

  #takeOver({ headers }: IncomingMessage, socket: Socket): void {
    this.#speaking.delete(socket);
    this.#takenOver.set(socket, headers.upgrade?.toLowerCase() === "websocket");
  }

  #open(): OpenWork {
    const answers = [...this.#speaking.values()].flatMap(({ answers }) => [...answers]);
    return {
      connections: this.#speaking.size + this.#takenOver.size + this.#sessions.size,
      webSockets: this.#takenOver.size,
      eventStreams: answers.filter(isEventStream).length,
    };
  }

  /**
   * Closes each connection after its last response, which says so, or when it is idle. The server has stopped
   * accepting but is not closed: a closed one closes each connection after any response.
   *
   * @returns Fulfilled when no connection is left.
   */
  async drain(): Promise<void> {
    this.#isStopping = true;
    this.#stoppedMs = this.#lookedMs = systemClock.nowMs();
    for (const connection of this.#speaking.values()) {
      connection.renew(this.#stoppedMs);
      connection.answers.forEach(tellLast);
    }
    for (const session of this.#sessions) session.goaway(0, LAST_STREAM);
    const forget = serverLifecycle.onEnding(() => this.#closeOpen());
    await connectionLooks.until(() => this.#closeIdle());
    forget();
  }

  /** Closes idle connections, and returns whether none is left. */
  #closeIdle(): boolean {
    const nowMs = systemClock.nowMs(), isLate = nowMs - this.#lookedMs > LATE_MS;
    this.#lookedMs = nowMs;
    for (const [socket, connection] of this.#speaking) {
      if (isLate) connection.renew(nowMs);
      if (connection.isIdle(nowMs)) socket.destroySoon();
    }
    const sinceMs = nowMs - this.#stoppedMs;
    for (const [socket, beganMs] of this.#shaking) {
      const shakingMs = nowMs - Math.max(beganMs, this.#stoppedMs);
      if (shakingMs >= (socket.bytesRead === 0 ? QUIET_MS : UNSURE_MS)) socket.destroy();
    }
    // Requests that were on their way when the client was told have arrived by now.
    if (sinceMs >= QUIET_MS) { for (const session of this.#sessions) session.close(); }
    const left = [this.#speaking, this.#shaking, this.#sessions, this.#takenOver];
    return left.every(({ size }) => size === 0);
  }

  /** Called shortly before the server ends, whatever is under way. */
  #closeOpen(): void {
    for (const [socket, isWebSocket] of this.#takenOver) {
      if (!socket.writable) continue;
      if (isWebSocket) socket.write(CLOSE_FRAME);
      socket.end();
    }
    for (const { answers } of this.#speaking.values()) {
      for (const answer of answers) if (isEventStream(answer)) answer.end();
    }
  }
}

/** Makes a response tell the client to close the connection, if it has not begun yet. */
function tellLast(answer: Answer): void {
  if (!answer.headersSent) answer.shouldKeepAlive = false;
}

/** Whether an event stream has begun, by the head of the response. */
function isEventStream({ _header: head }: Answer): boolean {
  return typeof head === "string" && /^content-type:[ \t]*text\/event-stream\b/im.test(head);
}
