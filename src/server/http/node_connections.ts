/**
 * The connections of a server of node, from its first one to its end: which ones are idle, which ones
 * have something under way, and what is told to their clients when the server stops.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Server, Socket } from "node:net";
import { systemClock } from "../../os/clock/clock.ts";
import { connectionLooks } from "../lifecycle/quiet.ts";
import { QUIET_MS, UNSURE_MS } from "../lifecycle/drain_limits.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import type { OpenWork } from "../lifecycle/open_work.ts";

/** When a look comes so much later than it should, what has arrived meanwhile is not read yet. */
const LATE_MS = 500;

/** The largest number of a stream: all that a client has begun are served (RFC 9113, section 6.8). */
const LAST_STREAM = 2 ** 31 - 1;

/** The last frame of a WebSocket: the server goes away (RFC 6455, section 7.4.1, 1001). */
const CLOSE_FRAME = new Uint8Array([0x88, 0x02, 0x03, 0xe9]);

/** Events of a server with a request and its answer. */
const ANSWERED: ReadonlySet<unknown> = new Set(["request", "checkContinue", "checkExpectation"]);

/** Events with a connection that is not HTTP any more. */
const TAKEN_OVER: ReadonlySet<unknown> = new Set(["upgrade", "connect"]);

/** What node keeps to itself of an answer and of a connection: checked before it is used. */
type Answer = ServerResponse & { readonly _header?: unknown };
type TlsSocket = Socket & { readonly _parent?: Socket };

/** What is known of one connection that speaks HTTP/1. */
class NodeConnection {
  /** Answers under way on it. */
  readonly answers = new Set<Answer>();
  readonly #socket: Socket;
  /** How many of its bytes belong to requests that have come to the server. */
  #accounted = 0;
  #seen = 0;
  // Also one that is handed over after the stop has its second.
  #changedMs = systemClock.nowMs();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** A request has come over it, or is answered. */
  account(): void {
    this.#accounted = this.#socket.bytesRead;
  }

  /** Whether nothing has gone over it for a while, and nothing is under way. */
  isIdle(nowMs: number): boolean {
    const { bytesRead, bytesWritten } = this.#socket, seen = bytesRead + bytesWritten;
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#changedMs = nowMs;
    }
    if (this.answers.size > 0 || bytesRead > this.#accounted) return false;
    return nowMs - this.#changedMs >= QUIET_MS;
  }

  /** Begins to wait anew. */
  renew(nowMs: number): void {
    this.#changedMs = nowMs;
  }
}

/** All connections of one server. */
export class NodeConnections {
  readonly #server: Server;
  readonly #isTls: boolean;
  readonly #speaking = new Map<Socket, NodeConnection>();
  /** Connections in their TLS handshake, and since when. */
  readonly #shaking = new Map<Socket, number>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Connections that were taken over, and whether as WebSockets. */
  readonly #takenOver = new Map<Socket, boolean>();
  #isStopping = false;
  #stoppedMs = Infinity;
  #lookedMs = Infinity;

  /**
   * Takes note of all connections of a server from now on.
   *
   * @param server A server of node:http, node:https or node:http2.
   */
  constructor(server: Server) {
    this.#server = server;
    this.#isTls = "setSecureContext" in server;
    const emit = server.emit;
    // Not as a listener: with one for `checkContinue` the server would leave the word to it.
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
    // Its requests are counted by itself.
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
   * Has each connection come to its end: behind its last answer, which says so, or when it is idle. The
   * server accepts no more, and is not closed yet: one that is closes each connection behind any answer.
   *
   * @returns Fulfilled when there is none left.
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

  /** Closes what is idle, and returns whether there is nothing left. */
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
    // What was on its way when the client was told is there by now.
    if (sinceMs >= QUIET_MS) { for (const session of this.#sessions) session.close(); }
    const left = [this.#speaking, this.#shaking, this.#sessions, this.#takenOver];
    return left.every(({ size }) => size === 0);
  }

  /** In a moment the server ends, whatever is under way. */
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

/** Has an answer tell the client to close the connection, if it has not begun yet. */
function tellLast(answer: Answer): void {
  if (!answer.headersSent) answer.shouldKeepAlive = false;
}

/** Whether an answer has begun that tells of events, by the head that was made for it. */
function isEventStream({ _header: head }: Answer): boolean {
  return typeof head === "string" && /^content-type:[ \t]*text\/event-stream\b/im.test(head);
}
