/**
 * The backend of a server: how it reaches its service sockets and its process. There are two: `native.ts` by
 * system calls, and `node.ts` by node:net for a program that may not make any. See
 * docs/design/23_without_ffi.md.
 *
 * @module
 */
import type { LogTarget } from "../../config/log_target.ts";
import type { ChannelHandlers } from "../../ipc/channel.ts";
import type { Message } from "../../ipc/messages.ts";
import type { LogOptions } from "../../log/log.ts";
import type { Certificate } from "../../os/adopt/tls.ts";
import type { OpenConnections } from "../../os/net/connections.ts";
import type { ListenAddress } from "../../os/net/socket.ts";

/** What accepts connections for a listener of the framework. It need not refuse a second call meanwhile. */
export interface AcceptSource<T = Deno.Conn> {
  /** Waits for the next connection; after `close` it rejects once no accepted one is left. */
  accept(): Promise<T>;
  close(): void;
  ref(): void;
  unref(): void;
}

/** An open service socket. */
export interface OpenedSocket {
  /** Accepts on it, and owns it. */
  readonly source: AcceptSource | Promise<AcceptSource>;
  /** A borrowed descriptor of it, valid until `source` is closed; undefined without system calls. */
  readonly fd?: number;
}

/** The reading end of a named pipe. */
export interface PipeInput {
  /** Reads the available bytes, and returns their number, or undefined if there are none. */
  readNow(room: Uint8Array): number | undefined;
  /**
   * Calls back once, when there is something to read.
   *
   * @returns Ends the wait; harmless once it is over.
   */
  wait(callback: () => void): () => void;
  /** Closes it; bytes that were taken out of the pipe before can still be read. */
  close(): void;
}

/** The worker socket of a server. */
export interface WorkerSocket {
  send(message: Message): void;
  close(): void;
  /** Lets the process end by itself, whose end the master sees by that of this socket. */
  leave(): void;
}

/** Two implementations, one by the runtime and one by node:net; the backend calls one of them. */
export interface Ways<Native, Node> {
  /** By the runtime, on the inherited descriptor. */
  native(): Native;
  /** By node:net. */
  node(): Node;
}

/** How a server reaches its sockets. */
export interface Backend {
  /** Whether connections can be served as descriptors, by system calls. */
  readonly makesSystemCalls: boolean;
  /**
   * Returns the address of a descriptor that `serviceRegister` received.
   *
   * @throws {TypeError} When it is neither a listening stream socket nor a named pipe, or is unknown.
   */
  addressOf(fd: number): ListenAddress;
  /** Learns the addresses of a server's services, unless the system tells them. */
  learnAddresses(services: () => Promise<readonly AddressedService[]>): Promise<void>;
  /** Opens a service socket, and takes ownership of `fd`. */
  listen(fd: number, addr: Deno.Addr): OpenedSocket;
  /** Opens one whose connections have TLS; undefined, with `fd` unchanged, where only `startTls` gives it to them. */
  listenTls(fd: number, certificate: Certificate): OpenedSocket | undefined;
  /**
   * Starts TLS on a connection with no read or write under way.
   *
   * @returns The same connection over TLS, before its handshake.
   */
  startTls(conn: Deno.Conn, certificate: Certificate): Promise<Deno.TlsConn>;
  /** Has a TLS connection end that was closed before its handshake has ended. */
  endSoon(conn: Deno.TlsConn): void;
  /** Serves HTTP by the runtime's own server or by that of the framework. */
  serveHttp<T>(fd: number, ways: Ways<T, T>): T;
  /** Accepts for a server of node; returns what ends it. Undefined: the native way is not for this server. */
  serveNode(ways: Ways<(() => void) | undefined, () => void>): () => void;
  /** Has a socket send small pieces at once, where the runtime does not. */
  sendAtOnce(fd: number): void;
  /** Opens a named pipe, and takes ownership of `fd`. */
  openFifo(fd: number, path: string): PipeInput;
  /** Waits until the queue of a listener is empty while it is accepted from; `fd`: borrowed, if known. */
  queueEmpties(fd: number | undefined, limits: QueueLimits): Promise<void>;
  /**
   * The open connections of this process; undefined while no descriptor is free. Missing where the system can't
   * be asked.
   */
  openConnections?(): OpenConnections | undefined;
  /** Opens the worker socket, and takes ownership of `fd`. */
  openWorkerSocket(fd: number, handlers: ChannelHandlers): WorkerSocket;
  /**
   * Takes ownership of a descriptor that this process has inherited for a service.
   *
   * @returns The one to use in its place, which no program that this process starts inherits.
   */
  takeInherited(fd: number): number;
  /** Closes a passed descriptor that nothing serves. */
  discard(fd: number): void;
  /** Opens the log. */
  openLog(options: ServerLogOptions): void;
  /** Keeps SIGUSR1 from opening the runtime's inspector. */
  keepInspectorClosed(): void;
  /** Keeps inherited descriptors from the programs that this one starts. */
  keepDescriptorsFromChildren(): void;
  /** Whether this program can re-execute itself. */
  readonly canStartAgain: boolean;
  /** Has the kernel send SIGHUP when the master ends. */
  watchParent(): void;
}

/** The options of {@linkcode Backend.openLog}. */
export interface ServerLogOptions extends Pick<LogOptions, "level" | "format"> {
  /** The name of this program. */
  readonly program: string;
  readonly target: LogTarget | undefined;
  /** Whether this server can serve without FFI, which needs a master of this kind. */
  readonly isServing: boolean;
}

/** The part of a service that its address is learned from. */
export interface AddressedService {
  readonly fd: number;
  /** The address as configured; missing if the master has not sent it. */
  readonly address?: string;
}

/** The limits of {@linkcode Backend.queueEmpties}. */
export interface QueueLimits {
  /** The least time to wait, for handshakes under way. */
  readonly settleMs: number;
  /** The most time to wait. */
  readonly withinMs: number;
}
