/**
 * What a service manager is told of this master, if one has started it (sd_notify(3)).
 *
 * @module
 */
import type { Clock, Timer } from "../os/clock/clock.ts";
import { monotonicMicroseconds, sendNotification } from "../os/net/notify_socket.ts";

/** Names the socket of the service manager. */
const NOTIFY_SOCKET = "NOTIFY_SOCKET";

/** Within how many microseconds the service manager wants a heartbeat, and of which process. */
const WATCHDOG_USEC = "WATCHDOG_USEC", WATCHDOG_PID = "WATCHDOG_PID";

/** How many heartbeats are sent in that time. */
const BEATS = 2;

/** What is shown of a status: a service manager drops a message whole that is longer than 4 KiB. */
const STATUS_BYTES = 1_000;

/** What is needed to reach one. */
export interface SystemdNotifyOptions {
  /** The environment of this process. */
  readonly env: Pick<Deno.Env, "get" | "delete">;
  /** The id of this process. */
  readonly pid: number;
  readonly clock: Clock;
  /**
   * Whether it knows this unit as one that serves: another master has told it.
   *
   * @default {false}
   */
  readonly hasBeenReady?: boolean;
  /** Takes a line for the log. */
  warn(text: string): void;
}

/** The service manager. Without one nothing is told; a failure is logged, and harms nobody. */
export class SystemdNotify {
  readonly #socket: string | undefined;
  readonly #pid: number;
  /** As it came, in microseconds; undefined where no heartbeat is wanted. */
  readonly #watchdogUs: string | undefined;
  readonly #clock: Clock;
  readonly #warn: (text: string) => void;
  #heartbeat?: Timer;
  #hasBeenReady: boolean;

  /**
   * Takes its variables out of the environment: the word of a server would count for this process.
   *
   * @param options What it needs.
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

  /** Whether there is one. */
  get isTold(): boolean {
    return this.#socket !== undefined;
  }

  /** What a new master needs in its environment to reach it as well. */
  get environment(): Readonly<Record<string, string>> {
    if (this.#socket === undefined) return {};
    return {
      [NOTIFY_SOCKET]: this.#socket,
      // Without WATCHDOG_PID, since nobody can know the pid of the new one before it runs.
      ...(this.#watchdogUs !== undefined && { [WATCHDOG_USEC]: this.#watchdogUs }),
    };
  }

  /** Sends heartbeats until {@linkcode close}, if it wants any. */
  beat(): void {
    if (this.#socket === undefined || this.#watchdogUs === undefined) return;
    this.#tell(() => ["WATCHDOG=1"]);
    const delayMs = Number(this.#watchdogUs) / 1000 / BEATS;
    this.#heartbeat = this.#clock.setTimer(delayMs, () => this.beat());
  }

  /** Sends no heartbeat any more. */
  close(): void {
    this.#heartbeat?.cancel();
  }

  /**
   * The services serve, or have had their time for that.
   *
   * @param status What it shows of this master: one line, of which it gets the first 1,000 bytes.
   */
  ready(status: string): void {
    this.#hasBeenReady = true;
    this.#tell(() => ["READY=1", `STATUS=${excerpt(status)}`]);
  }

  /**
   * The start takes its time.
   *
   * @param status As for {@linkcode ready}.
   * @param withinMs How long it takes at most from now on, in milliseconds.
   */
  starting(status: string, withinMs: number): void {
    const extension = `EXTEND_TIMEOUT_USEC=${Math.ceil(withinMs * 1000)}`;
    this.#tell(() => [extension, `STATUS=${excerpt(status)}`]);
  }

  /**
   * Something has changed in what it shows.
   *
   * @param status As for {@linkcode ready}.
   */
  status(status: string): void {
    this.#tell(() => [`STATUS=${excerpt(status)}`]);
  }

  /** A reload has begun. */
  reloading(): void {
    // To a unit that starts it would mean nothing.
    if (this.#hasBeenReady) {
      this.#tell(() => ["RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`]);
    }
  }

  /**
   * A reload is over.
   *
   * @param status As for {@linkcode ready}.
   */
  reloaded(status: string): void {
    if (this.#hasBeenReady) this.ready(status);
    else this.status(status);
  }

  /** The master stops. */
  stopping(): void {
    this.#tell(() => ["STOPPING=1"]);
  }

  /**
   * Another process is the master from now on, and this one's end means nothing.
   *
   * @param pid That process.
   */
  replacedBy(pid: number): void {
    this.close();
    // All of its services serve; it may be this one's start that has not come so far.
    const ready = this.#hasBeenReady ? [] : ["READY=1"];
    this.#tell(() => [`MAINPID=${pid}`, ...ready]);
  }

  /** This process is the master again. */
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
  const line = text.replaceAll(/\s*\n\s*/g, "; ");
  const { read } = new TextEncoder().encodeInto(line, new Uint8Array(STATUS_BYTES));
  return read < line.length ? `${line.slice(0, read)}…` : line;
}
