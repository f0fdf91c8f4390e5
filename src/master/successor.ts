/**
 * The master that is to take this one's place: starting it, handing everything over, and hearing
 * whether it can.
 *
 * @module
 */
import { Channel } from "../ipc/channel.ts";
import type { Message } from "../ipc/protocol.ts";
import { type ChildProcess, describeExit, type ExitStatus } from "../os/child_process.ts";
import { systemClock } from "../os/clock.ts";
import type { BoundDatagram } from "../os/datagram.ts";
import { closeFd } from "../os/descriptor.ts";
import type { PidFile } from "../os/lock_file.ts";
import type { Poller } from "../os/poller.ts";
import { type OpenedListener, socketPair } from "../os/socket.ts";
import type { Spawner } from "../os/spawn.ts";
import type { GivenListener } from "./activation.ts";

/** What is handed over. All of it stays this master's as well. */
export interface Estate {
  readonly generation: number;
  readonly lock: PidFile;
  /** The socket of the log service, if there is one. */
  readonly logSocket?: BoundDatagram;
  /** The listeners that this process was started with. */
  readonly given: readonly GivenListener[];
  /** All others by the keys of their addresses. */
  readonly listeners: readonly (readonly [key: string, listener: OpenedListener])[];
}

/** What a successor needs, and who hears of it. */
export interface SuccessorOptions {
  /** Makes its command line, given the descriptor of its socket. */
  command(fd: number): readonly string[];
  /** The directory that it starts in. */
  readonly cwd: string;
  readonly spawner: Spawner;
  readonly poller: Poller;
  /** Takes lines for the log. */
  log(text: string): void;
  /** What still drains is to end within this time. */
  onStop(timeoutMs: number): void;
  /** So many old masters may drain, from this one on. */
  onBound(generations: number): void;
}

/** The new master, as the old one sees it. */
export class Successor {
  readonly #child: ChildProcess;
  readonly #channel: Channel;
  readonly #options: SuccessorOptions;
  readonly #proven = Promise.withResolvers<void>();
  readonly #taken = Promise.withResolvers<void>();
  #hasTaken = false;

  /**
   * Starts it, and sends it all that it is to have.
   *
   * @param estate What it gets.
   * @param options What it needs.
   * @throws {Error} When it can't be started; nothing is left behind then.
   */
  constructor(estate: Estate, options: SuccessorOptions) {
    this.#options = options;
    const { spawner, poller } = options;
    const [ours, theirs] = socketPair();
    try {
      const { cwd } = options;
      this.#child = spawner.spawn({ argv: options.command(theirs), inherit: [theirs], cwd });
    } catch (error) {
      closeFd(ours);
      throw error;
    } finally {
      closeFd(theirs);
    }
    this.#channel = new Channel(ours, poller, {
      onMessage: (message, fds) => {
        fds.forEach(closeFd);
        this.#onMessage(message);
      },
      onUnknown: (type) => options.log(`ignored a message of the unknown type ${type}`),
      // A clean end of file comes with its end, which tells more.
      onClose: (error) => error && this.#end(error.message),
    });
    this.#child.exited.then((status) => this.#end(`it has ended: ${describeExit(status)}`));
    // Nobody may be listening any more when it ends.
    this.#proven.promise.catch(() => {});
    this.#send(estate);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Fulfilled when all of its processes have proven themselves.
   *
   * @throws {Error} When it ends before that.
   */
  get proven(): Promise<void> {
    return this.#proven.promise;
  }

  /** Whether its pid is in the pid file. */
  get hasTaken(): boolean {
    return this.#hasTaken;
  }

  /** Fulfilled when its pid is in the pid file, or it has ended. */
  get taken(): Promise<void> {
    return this.#taken.promise;
  }

  /** Says that everything is its own from now on. */
  takeover(): void {
    this.#channel.send({ type: "takeover" });
  }

  /** Tells it that a reload was asked for. */
  reload(): void {
    this.#channel.send({ type: "reload" });
  }

  /** Asks it to stop, and all of its processes with it. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Ends it at once; its processes end with it. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Fulfilled when it has ended. */
  get exited(): Promise<ExitStatus> {
    return this.#child.exited;
  }

  #send({ generation, lock, logSocket, given, listeners }: Estate): void {
    this.#channel.send({
      type: "inherit",
      generation,
      pidFile: lock.path,
      ...(logSocket === undefined ? {} : { logSocket: logSocket.socketFile }),
      given: given.map(({ fd: _, ...described }) => described),
      listeners: listeners.map(([key, { socketFile: file }]) =>
        file === undefined ? { key } : { key, file }
      ),
    }, [
      lock.fd,
      ...(logSocket === undefined ? [] : [logSocket.fd]),
      ...given.map(({ fd }) => fd),
      ...listeners.map(([, { fd }]) => fd),
    ]);
  }

  #onMessage(message: Message): void {
    switch (message.type) {
      case "proven":
        return this.#proven.resolve();
      case "taken":
        this.#hasTaken = true;
        return this.#taken.resolve();
      case "stop":
        return this.#options.onStop(message.timeoutMs);
      case "bound":
        return this.#options.onBound(message.generations);
      default:
        this.#options.log(`ignored a "${message.type}" message: not one of a new master`);
    }
  }

  #end(how: string): void {
    this.#channel.close();
    this.#proven.reject(new Error(how));
    this.#taken.resolve();
  }
}

/** How an upgrade is bounded. */
export interface UpgradeOptions extends SuccessorOptions {
  /** How long the new master has until its processes have proven themselves. */
  readonly timeoutMs: number;
  /** How long it has to stop, if it has failed. */
  readonly abortMs: number;
  /** Fulfilled when the upgrade is not wanted any more. */
  readonly cancelled: Promise<unknown>;
}

/**
 * Starts a new master, and waits until it can take over. If it can't, it is gone when this call
 * returns, and the log tells why.
 *
 * @param estate What it gets.
 * @param options What it needs.
 * @returns The new master, which waits for {@linkcode Successor.takeover}.
 */
export async function tryUpgrade(
  estate: Estate,
  options: UpgradeOptions,
): Promise<Successor | undefined> {
  const { log } = options;
  let successor: Successor;
  try {
    successor = new Successor(estate, options);
  } catch (error) {
    log(`upgrade failed: ${(error as Error).message}`);
    return undefined;
  }
  log(`upgrade: process ${successor.pid} is to take over`);
  const failure = await failureOf(successor, options);
  if (failure === undefined) return successor;
  log(`upgrade: process ${successor.pid} is told to end: ${failure}`);
  const timer = systemClock.setTimer(options.abortMs, () => successor.kill());
  successor.terminate();
  await successor.exited;
  timer.cancel();
  // Only now the next one may begin.
  log(`upgrade failed, all goes on as before: process ${successor.pid}: ${failure}`);
}

/** Waits for the verdict upon a new master: why it can't take over, or undefined when it can. */
async function failureOf(
  { proven }: Successor,
  { timeoutMs, cancelled }: UpgradeOptions,
): Promise<string | undefined> {
  const late = Promise.withResolvers<string>();
  const seconds = timeoutMs / 1000;
  const timer = systemClock.setTimer(
    timeoutMs,
    () => late.resolve(`it was not ready within ${seconds} s`),
  );
  try {
    return await Promise.race([
      proven.then(() => undefined, ({ message }: Error) => message),
      cancelled.then(() => "this master is told to stop"),
      late.promise,
    ]);
  } finally {
    timer.cancel();
  }
}
