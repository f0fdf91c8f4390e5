/**
 * Notifies a service manager, if one has started this master (sd_notify(3)).
 *
 * @module
 */
import { joinLines } from "../log/lines.ts";
import type { Clock, Timer } from "../os/clock/clock.ts";
import { monotonicMicroseconds, sendNotification } from "../os/net/notify_socket.ts";

/** The variable that names the socket of the service manager. */
const NOTIFY_SOCKET = "NOTIFY_SOCKET";

/**
 * The variables for the watchdog's time in microseconds, and for the pid of the watched process.
 */
const WATCHDOG_USEC = "WATCHDOG_USEC", WATCHDOG_PID = "WATCHDOG_PID";

/** How many heartbeats are sent within that time. */
const BEATS = 2;

/** The size limit of a status: a service manager drops messages of more than 4 KiB. */
const STATUS_BYTES = 1_000;

/** The options of a {@linkcode SystemdNotify}. */
export interface SystemdNotifyOptions {
  /** The environment of this process. */
  readonly env: Pick<Deno.Env, "get" | "delete">;
  /** The id of this process. */
  readonly pid: number;
  readonly clock: Clock;
  /**
   * Whether the service manager has been told by another master that this unit is ready.
   *
   * @default {false}
   */
  readonly hasBeenReady?: boolean;
  /** Writes a line to the log. */
  warn(text: string): void;
}

/** The connection to the service manager. Without one nothing is sent; a failure is only logged. */
export class SystemdNotify {
  readonly #socket: string | undefined;
  readonly #pid: number;
  /** The value of the variable, in microseconds; undefined without a watchdog. */
  readonly #watchdogUs: string | undefined;
  readonly #clock: Clock;
  readonly #warn: (text: string) => void;
  #heartbeat?: Timer;
  #hasBeenReady: boolean;

  /**
   * Reads the variables and removes them from the environment: a server could speak for this
   * process otherwise.
   */
  constructor({ env, pid, clock, warn, hasBeenReady = false }: SystemdNotifyOptions) {
    this.#hasBeenReady = hasBeenReady;
    const [socket, watchdogUs, watched] = [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID]
      .map((name) => {
        const value = env.get(name);
        env.delete(name);
        return value || undefined;
      });
    this.#socket = socket;
    this.#pid = pid;
    const isWatched = watched === undefined || watched === String(pid);
    this.#watchdogUs = isWatched && /^[1-9][0-9]*$/.test(watchdogUs ?? "") ? watchdogUs : undefined;
    this.#clock = clock;
    this.#warn = warn;
  }

  /** Whether there is a service manager. */
  get isTold(): boolean {
    return this.#socket !== undefined;
  }

  /** The environment variables with which a new master reaches the service manager. */
  get environment(): Readonly<Record<string, string>> {
    if (this.#socket === undefined) return {};
    return {
      [NOTIFY_SOCKET]: this.#socket,
      // Without WATCHDOG_PID, since the pid of the new master is not known before it runs.
      ...(this.#watchdogUs !== undefined && { [WATCHDOG_USEC]: this.#watchdogUs }),
    };
  }

  /** Sends heartbeats until {@linkcode close}, if there is a watchdog. */
  beat(): void {
    if (this.#socket === undefined || this.#watchdogUs === undefined) return;
    this.#tell(() => ["WATCHDOG=1"]);
    const delayMs = Number(this.#watchdogUs) / 1000 / BEATS;
    this.#heartbeat = this.#clock.setTimer(delayMs, () => this.beat());
  }

  /** Stops the heartbeats. */
  close(): void {
    this.#heartbeat?.cancel();
  }

  /**
   * Reports that the services are ready, or that their time is over.
   *
   * @param status The status of this master: one line, of which the first 1,000 bytes are sent.
   */
  ready(status: string): void {
    this.#hasBeenReady = true;
    this.#tell(() => ["READY=1", `STATUS=${excerpt(status)}`]);
  }

  /**
   * Reports that the start takes longer.
   *
   * @param status As for {@linkcode ready}.
   * @param withinMs The maximum remaining time, in milliseconds.
   */
  starting(status: string, withinMs: number): void {
    const extension = `EXTEND_TIMEOUT_USEC=${Math.ceil(withinMs * 1000)}`;
    this.#tell(() => [extension, `STATUS=${excerpt(status)}`]);
  }

  /**
   * Reports a changed status.
   *
   * @param status As for {@linkcode ready}.
   */
  status(status: string): void {
    this.#tell(() => [`STATUS=${excerpt(status)}`]);
  }

  /** Reports the begin of a reload. */
  reloading(): void {
    // A unit that is still starting can't reload.
    if (this.#hasBeenReady) {
      this.#tell(() => ["RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`]);
    }
  }

  /**
   * Reports the end of a reload.
   *
   * @param status As for {@linkcode ready}.
   */
  reloaded(status: string): void {
    if (this.#hasBeenReady) this.ready(status);
    else this.status(status);
  }

  /** Reports that the master stops. */
  stopping(): void {
    this.#tell(() => ["STOPPING=1"]);
  }

  /**
   * Reports another process as the main one; the end of this process is not the end of the unit
   * then.
   *
   * @param pid That process.
   */
  replacedBy(pid: number): void {
    this.close();
    // All of the new master's services are ready, even if this one's start was not complete.
    const ready = this.#hasBeenReady ? [] : ["READY=1"];
    this.#tell(() => [`MAINPID=${pid}`, ...ready]);
  }

  /** Reports this process as the main one again. */
  resume(): void {
    this.#tell(() => [`MAINPID=${this.#pid}`]);
    this.beat();
  }

  #tell(lines: () => readonly string[]): void {
    if (this.#socket === undefined) return;
    try {
      sendNotification(this.#socket, lines());
    } catch (error) {
      this.#warn(`the service manager is not told: ${(error as Error).message}`);
    }
  }
}

/** The beginning of a text, on one line. */
function excerpt(text: string): string {
  const line = joinLines(text, "; ");
  const { read } = new TextEncoder().encodeInto(line, new Uint8Array(STATUS_BYTES));
  return read < line.length ? `${line.slice(0, read)}…` : line;
}
