/**
 * The log service of a master: receives the log lines of all its servers, C programs of LIB-ZC included, on a
 * datagram socket and writes them to one set of files (LIB-ZC section 6).
 *
 * A datagram is `IDENT,PID,TEXT`, of which 10,240 bytes count; a line is `HH:MM:SS IDENT[PID] TEXT`.
 *
 * @module
 */
import type { LogServiceConfig } from "../config/log_target.ts";
import { type Clock, systemClock } from "../os/clock/clock.ts";
import {
  bindDatagram,
  type BoundDatagram,
  DatagramReceiver,
  refuseDatagrams,
} from "../os/net/bound_datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { EPOLLIN, Poller, type Watch } from "../os/fd/poller.ts";
import { SysError } from "../os/ffi/errors.ts";
import { removeSocketFile, type SocketFile } from "../os/net/socket_file.ts";
import { RECORD_BYTES_MAX } from "./lines.ts";
import { LogFiles } from "./log_files.ts";
import { tellStderr } from "./outputs.ts";
import { recordOf } from "./record.ts";

/** The options of a log service. */
export interface LogServiceOptions extends LogServiceConfig {
  /** Watches the socket; the default is a poller of its own. */
  readonly poller?: Poller;
  /** The timer of the buffer; the default is the real clock. */
  readonly clock?: Clock;
  /** The time of day in milliseconds since 1970; the default is the real one. */
  readonly now?: () => number;
  /**
   * Receives one line for each period in which the files can't be written, and one for a socket file that can't be
   * removed; the default writes to stderr. It must not log to this service.
   */
  readonly onError?: (message: string) => void;
  /** The bound socket, if another process has handed it over. */
  readonly bound?: BoundDatagram;
}

/** An event mask without events. */
const NOTHING = 0;

const DATAGRAMS_PER_CALL = 64;
/** The number of receive calls before signals and servers get a turn. */
const CALLS_PER_WAKE = 16;

/** A log service that receives. */
export class LogService {
  readonly #fd: number;
  readonly #socketFile: SocketFile;
  readonly #receiver: DatagramReceiver;
  readonly #files: LogFiles;
  readonly #watch: Watch;
  readonly #onError: (message: string) => void;
  #malformed = 0;
  #closed?: Promise<void>;

  private constructor(options: LogServiceOptions) {
    const source = { ident: "log-service", pid: Deno.pid };
    const { clock = systemClock, now = Date.now } = options;
    const {
      onError = (message: string) =>
        tellStderr(recordOf(source, { level: "error", text: message })),
    } = options;
    this.#onError = onError;
    const { poller = new Poller((error) => onError(String(error))) } = options;
    const { prefix, period } = options;
    this.#files = new LogFiles({ prefix, period, source, clock, now, onError });
    const { fd, socketFile } = options.bound ?? bindDatagram(options.socket);
    this.#fd = fd;
    this.#socketFile = socketFile;
    this.#receiver = new DatagramReceiver(fd, {
      count: DATAGRAMS_PER_CALL,
      bytes: RECORD_BYTES_MAX,
    });
    this.#watch = poller.watch(fd, EPOLLIN, () => this.#receive(CALLS_PER_WAKE));
  }

  /**
   * Binds the socket and starts to receive. An old socket at its path is removed, a file of any other kind is an
   * error. Socket and files get the modes 0777 and 0666 less the umask, and no child program inherits them.
   *
   * The kernel queues `net.unix.max_dgram_qlen` datagrams for the service (10, or 512 under systemd); our
   * servers queue more themselves, C programs block. Needs `--allow-ffi`, and `--allow-read` and
   * `--allow-write` for the socket and the files.
   *
   * @param options The options.
   * @throws {TypeError} When a file of another kind is in the way.
   * @throws {SysError} When the socket can't be bound.
   */
  static open(options: LogServiceOptions): LogService {
    return new LogService(options);
  }

  /** The socket, owned by the service, for a handover to another process. */
  get bound(): BoundDatagram {
    return { fd: this.#fd, socketFile: this.#socketFile };
  }

  /** The number of ignored datagrams, which were not `IDENT,PID,TEXT`. */
  get malformed(): number {
    return this.#malformed;
  }

  /**
   * Ends the service: removes its socket if it is still its own, refuses further datagrams, and writes all
   * accepted lines.
   *
   * @returns Settles when all is on disk, or after 5 s with a disk that hangs; never rejects.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Writes pending lines without the usual delay, to the files that are at their paths now. */
  flush(): void {
    this.#receive(CALLS_PER_WAKE);
    this.#files.flush();
  }

  /** Leaves the path to another service, and continues for connected senders. */
  withdraw(): void {
    try {
      removeSocketFile(this.#socketFile);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // A stop goes on all the same.
      this.#onError(`the socket of the log service is left: ${error.message}`);
    }
  }

  /** Stops receiving for now, since another process may continue with the same socket. */
  pause(): void {
    this.#watch.modify(NOTHING);
  }

  /** Receives again. */
  resume(): void {
    this.#watch.modify(EPOLLIN);
  }

  /**
   * Ends the service in this process, while another one continues with the same socket and its queue. All lines
   * accepted here are written.
   *
   * @returns As for {@linkcode close}.
   */
  handOver(): Promise<void> {
    return this.#closed ??= this.#handOver();
  }

  #handOver(): Promise<void> {
    this.#watch.stop();
    closeFd(this.#fd);
    return this.#files.close();
  }

  #close(): Promise<void> {
    this.#watch.stop();
    this.withdraw();
    // From here on no datagram is accepted that could be lost between the last test and close(2).
    refuseDatagrams(this.#fd);
    this.#receive(Infinity);
    closeFd(this.#fd);
    return this.#files.close();
  }

  #receive(calls: number): void {
    for (let call = 0; call < calls; call++) {
      const count = this.#receiver.receive();
      for (let index = 0; index < count; index++) {
        if (!this.#files.append(this.#receiver.datagram(index))) this.#malformed++;
      }
      if (count === 0) return;
    }
  }
}
