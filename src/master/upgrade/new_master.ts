/**
 * The master that is to take this one's place: starting it, handing everything over, and hearing
 * whether it can.
 *
 * @module
 */
import { Channel } from "../../ipc/channel.ts";
import { type Message, NEW_MASTER } from "../../ipc/protocol.ts";
import {
  type ChildProcess,
  describeExit,
  type ExitStatus,
} from "../../os/process/child_process.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { BoundDatagram } from "../../os/net/datagram.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { PidFile } from "../../os/process/lock_file.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { type OpenedListener, socketPair } from "../../os/net/socket.ts";
import type { Spawner } from "../../os/process/spawn.ts";
import type { ActivatedListener } from "../listeners/socket_activation.ts";

/** What is handed over. All of it stays this master's as well. */
export interface Handover {
  readonly generation: number;
  readonly lock: PidFile;
  /** The socket of the log service, if there is one. */
  readonly logSocket?: BoundDatagram;
  /** The listeners that this process was started with. */
  readonly given: readonly ActivatedListener[];
  /** All others by the keys of their addresses. */
  readonly listeners: readonly (readonly [key: string, listener: OpenedListener])[];
  /** The ids of the services that are in force. */
  readonly services: ReadonlySet<string>;
}

/** What a successor needs, and who hears of it. */
export interface NewMasterOptions {
  /** Makes its command line, given the descriptor of its socket. */
  command(fd: number): readonly string[];
  /** The directory that it starts in. */
  readonly cwd: string;
  /** Variables that it gets beside those of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly spawner: Spawner;
  readonly poller: Poller;
  /** Takes lines for the log. */
  log(text: string): void;
  /** What still drains is to end within this time. */
  onStop(timeoutMs: number): void;
  /** So many old masters may drain, from this one on. */
  onBound(generations: number): void;
  /** Log files are to be opened anew. */
  onReopen(): void;
  /** A later configuration is in force. */
  onSettled(): void;
}

/** The new master, as the old one sees it. */
export class NewMaster {
  readonly #child: ChildProcess;
  #hasExited = false;
  readonly #channel: Channel;
  readonly #options: NewMasterOptions;
  readonly #proven = Promise.withResolvers<void>();
  readonly #taken = Promise.withResolvers<readonly string[]>();
  #hasTaken = false;

  /**
   * Starts it, and sends it all that it is to have.
   *
   * @param handover What it gets.
   * @param options What it needs.
   * @throws {Error} When it can't be started; nothing is left behind then.
   */
  constructor(handover: Handover, options: NewMasterOptions) {
    this.#options = options;
    const { spawner, poller } = options;
    const [ours, theirs] = socketPair();
    let child: ChildProcess | undefined;
    try {
      const { cwd, env } = options;
      const argv = options.command(theirs);
      child = spawner.spawn({ argv, inherit: [theirs], cwd, env, blocksInspectorSignal: true });
      this.#channel = new Channel({ fd: ours, poller, sender: NEW_MASTER }, {
        onMessage: (message) => this.#onMessage(message),
        onUnknown: (type) =>
          options.log(`ignored a message of the unknown type ${type}; further ones are not told`),
        // A clean end of file comes with its end, which tells more.
        onClose: (error) => error && this.#fail(error.message),
      });
    } catch (error) {
      // Nobody would ever tell it anything.
      child?.kill("SIGKILL");
      closeFd(ours);
      throw error;
    } finally {
      closeFd(theirs);
    }
    this.#child = child;
    child.exited.then((status) => {
      this.#hasExited = true;
      this.#fail(`it has ended: ${describeExit(status)}`);
    });
    // Nobody may be listening any more when it ends.
    this.#proven.promise.catch(() => {});
    this.#taken.promise.catch(() => {});
    this.#send(handover);
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

  /**
   * Fulfilled when everything is its own.
   *
   * @returns The keys of the addresses that it does not serve.
   * @throws {Error} When it ends before that.
   */
  get taken(): Promise<readonly string[]> {
    return this.#taken.promise;
  }

  /** Tells it to take over. */
  takeover(): void {
    this.#channel.send({ type: "takeover" });
  }

  /** Tells it that a reload was asked for. */
  reload(): void {
    this.#channel.send({ type: "reload" });
  }

  /** Says that all servers of this master have ended, and that it stays as the parent. */
  drained(): void {
    this.#channel.send({ type: "drained" });
  }

  /** Asks it to stop, and all of its processes with it. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Ends it at once; its processes end with it. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Leaves it to itself: what becomes of it is not heard of any more. */
  leave(): void {
    this.#channel.close();
    this.#child.unref();
  }

  /** Whether it has ended. */
  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Fulfilled when it has ended. */
  get exited(): Promise<ExitStatus> {
    return this.#child.exited;
  }

  #send({ generation, lock, logSocket, given, listeners, services }: Handover): void {
    this.#channel.send({
      type: "inherit",
      generation,
      pidFile: lock.path,
      ...(logSocket === undefined ? {} : { logSocket: logSocket.socketFile }),
      given: given.map(({ fd: _, ...described }) => described),
      listeners: listeners.map(([key, { socketFile: file }]) =>
        file === undefined ? { key } : { key, file }
      ),
      services: [...services],
    }, [
      lock.fd,
      ...(logSocket === undefined ? [] : [logSocket.fd]),
      ...given.map(({ fd }) => fd),
      ...listeners.map(([, { fd }]) => fd),
    ]);
  }

  #onMessage(message: Message): void {
    if (message.type === "taken") this.#hasTaken = true;
    // Before that it has nothing to say to a master that serves.
    else if (!this.#hasTaken && message.type !== "proven") return;
    switch (message.type) {
      case "proven":
        return this.#proven.resolve();
      case "taken":
        return this.#taken.resolve(message.dropped);
      case "stop":
        return this.#options.onStop(message.timeoutMs);
      case "bound":
        return this.#options.onBound(message.generations);
      case "reopen":
        return this.#options.onReopen();
      case "settled":
        return this.#options.onSettled();
    }
  }

  #fail(how: string): void {
    this.#channel.close();
    this.#proven.reject(new Error(how));
    this.#taken.reject(new Error(how));
  }
}

/** How long a new master has for the takeover itself, once its processes have proven themselves. */
const TAKE_MS = 10_000;

/** How an upgrade is bounded, and what it does to this master. */
export interface UpgradeOptions extends NewMasterOptions {
  /** How long the new master has until its processes have proven themselves. */
  readonly timeoutMs: number;
  /** How long it has to stop, if it has failed. */
  readonly abortMs: number;
  /** Fulfilled when the upgrade is not wanted any more. */
  readonly cancelled: Promise<unknown>;
  /** Lets go of what only one of the two can have, before the new one takes over. */
  letGo(): void;
  /** Takes it back, when the new one has failed all the same. */
  takeBack(): void;
}

/** An upgrade that has succeeded. */
export interface Upgrade {
  readonly newMaster: NewMaster;
  /** The keys of the addresses that the new master does not serve. */
  readonly dropped: readonly string[];
}

/**
 * Starts a new master, and waits until it has taken over. If it can't, it is gone when this call
 * returns, all is as before, and the log tells why.
 *
 * @param handover What it gets.
 * @param options What it needs.
 * @returns What came of it; undefined when it has failed.
 */
export async function tryUpgrade(
  handover: Handover,
  options: UpgradeOptions,
): Promise<Upgrade | undefined> {
  const { log, timeoutMs, cancelled } = options;
  let newMaster: NewMaster;
  try {
    newMaster = new NewMaster(handover, options);
  } catch (error) {
    log(`upgrade failed: ${(error as Error).message}`);
    return undefined;
  }
  const who = `process ${newMaster.pid}`;
  log(`upgrade: ${who} is to take over`);
  let phase: "candidate" | "takeover" | "over" = "candidate";
  const stopped = cancelled.then(() => {
    // Once the takeover has begun, it is for the new master to tell whether it was in time.
    if (phase === "takeover") newMaster.terminate();
    throw new Error("this master is told to stop");
  });
  try {
    const late = `it was not ready within ${timeoutMs / 1000} s (master-upgrade-timeout)`;
    await within(timeoutMs, [newMaster.proven, stopped], late);
    phase = "takeover";
    options.letGo();
    newMaster.takeover();
    const dropped = await within(
      TAKE_MS,
      [newMaster.taken],
      `it has not taken over within ${TAKE_MS / 1000} s`,
    );
    phase = "over";
    return { newMaster, dropped };
  } catch (error) {
    const { message } = error as Error;
    if (!newMaster.hasExited) log(`upgrade: ${who} is told to end: ${message}`);
    const timer = systemClock.setTimer(options.abortMs, () => newMaster.kill());
    newMaster.terminate();
    await newMaster.exited;
    timer.cancel();
    if (phase === "takeover") options.takeBack();
    // Only now the next one may begin.
    log(`upgrade failed, all goes on as before: ${who}: ${message}`);
  }
}

/** Waits for the first of some promises, for a time; `message` tells that it was too short. */
async function within<T>(
  ms: number,
  promises: readonly Promise<T>[],
  message: string,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = systemClock.setTimer(ms, () => late.reject(new Error(message)));
  try {
    return await Promise.race([...promises, late.promise]);
  } finally {
    timer.cancel();
  }
}
