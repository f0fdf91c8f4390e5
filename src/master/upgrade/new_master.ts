/**
 * The old master's side of an upgrade: starts the new master, hands everything over, and waits for
 * its takeover.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import { Channel } from "../../ipc/channel.ts";
import type { Message } from "../../ipc/messages.ts";
import { NEW_MASTER } from "../../ipc/protocol.ts";
import type { SentIncrement, SettingTexts } from "../../ipc/upgrade_messages.ts";
import type { KeptRecord } from "../../log/record.ts";
import {
  type ChildProcess,
  describeExit,
  type ExitStatus,
} from "../../os/process/child_process.ts";
import { systemClock, within } from "../../os/clock/clock.ts";
import type { BoundDatagram } from "../../os/net/bound_datagram.ts";
import type { SocketFile } from "../../os/net/socket_file.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { PidFile } from "../../os/process/lock_file.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { setTakesDescriptors } from "../../os/net/fd_passing.ts";
import { socketPair } from "../../os/net/socket.ts";
import type { Spawner } from "../../os/process/spawn.ts";
import type { Listener } from "../policy/listener.ts";

/** What the new master receives. This master keeps it as well until the takeover. */
export interface Handover {
  readonly generation: number;
  readonly lock: PidFile;
  /** The socket of the log service, if there is one. */
  readonly logSocket?: BoundDatagram;
  /** The activated listeners, which this process was started with. */
  readonly activated: readonly Listener[];
  /** All other listeners; those of one address in the kernel's order. */
  readonly listeners: readonly Listener[];
  /** The ids of the current services. */
  readonly services: ReadonlySet<string>;
  /** The settings in force that only a start takes. */
  readonly startSettings: SettingTexts;
  /** The file of the control socket, if there is one. */
  readonly controlSocket?: SocketFile;
  /** The file of the status socket, if there is one. */
  readonly statusSocket?: SocketFile;
}

/** The options of a new master, and the handlers of its messages. */
export interface NewMasterOptions {
  /** Creates its command line from the descriptor of its socket. */
  command(fd: number): readonly string[];
  /** The directory that it starts in. */
  readonly cwd: string;
  /** Its environment variables beside those of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly spawner: Spawner;
  readonly poller: Poller;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
  /** Draining servers must end within this time. */
  onStop(timeoutMs: number): void;
  /** How many old masters may drain, including this one. */
  onBound(generations: number): void;
  /** Log files must be reopened. */
  onReopen(): void;
  /** The new master has counted something itself. */
  onCounted(increments: readonly SentIncrement[]): void;
  /** A later configuration is in use, so this master is no longer the fallback. */
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
   * Starts the new master, and sends it the handover.
   *
   * @param handover What it receives.
   * @param options Its options.
   * @throws {Error} When it can't be started; nothing is left behind then.
   */
  constructor(handover: Handover, options: NewMasterOptions) {
    this.#options = options;
    const { spawner, poller } = options;
    const [ours, theirs] = socketPair();
    setTakesDescriptors(ours, false);
    let child: ChildProcess | undefined;
    try {
      const { cwd, env } = options;
      const argv = options.command(theirs);
      child = spawner.spawn({ argv, inherit: [theirs], cwd, env, blocksInspectorSignal: true });
      this.#channel = new Channel({ fd: ours, poller, sender: NEW_MASTER }, {
        onMessage: (message) => this.#onMessage(message),
        onUnknown: (type) =>
          options.log(
            `ignored a message of the unknown type ${type}; further ones are not told`,
            "warn",
          ),
        // A clean end of file is followed by the exit, which tells more.
        onClose: (error) => error && this.#fail(error.message),
      });
    } catch (error) {
      // It would never receive a message.
      child?.kill("SIGKILL");
      closeFd(ours);
      throw error;
    } finally {
      closeFd(theirs);
    }
    this.#child = child;
    child.exited.then((status) => {
      this.#hasExited = true;
      // What it has shown to anybody, it has told before.
      this.#channel.receiveRest();
      this.#fail(`it has ended: ${describeExit(status)}`);
    });
    // Nothing may await these promises when it ends.
    this.#proven.promise.catch(() => {});
    this.#taken.promise.catch(() => {});
    this.#send(handover);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Fulfilled when all of its processes have passed.
   *
   * @throws {Error} When it ends before that.
   */
  get proven(): Promise<void> {
    return this.#proven.promise;
  }

  /**
   * Fulfilled when it has taken over.
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

  /** Tells it that a reload was requested. */
  reload(): void {
    this.#channel.send({ type: "reload" });
  }

  /**
   * Tells it that all servers of this master have ended, and that this process stays as its parent.
   */
  drained(): void {
    this.#channel.send({ type: "drained" });
  }

  /**
   * Sends it lines of the log, unless other messages wait.
   *
   * @param records The lines.
   * @returns Whether they were sent.
   */
  tellRecords(records: readonly KeptRecord[]): boolean {
    if (this.#channel.isFull) return false;
    this.#channel.send({ type: "records", records });
    return true;
  }

  /**
   * Tells it how much was added to counts, unless other messages wait.
   *
   * @param increments What was added.
   * @returns Whether it was told.
   */
  tellCounted(increments: readonly SentIncrement[]): boolean {
    if (this.#channel.isFull) return false;
    this.#channel.send({ type: "counted", increments });
    return true;
  }

  /** Tells it to stop with all of its processes. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Kills it; its processes end with it. Nothing that it says counts any more. */
  kill(): void {
    this.#channel.close();
    this.#child.kill("SIGKILL");
  }

  /** Stops observing it. */
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

  #send(handover: Handover): void {
    const {
      generation,
      lock,
      logSocket,
      activated,
      listeners,
      services,
      startSettings,
      ...sockets
    } = handover;
    this.#channel.send({
      type: "inherit",
      generation,
      pidFile: lock.path,
      ...(logSocket === undefined ? {} : { logSocket: logSocket.socketFile }),
      given: activated.map(({ kind, key, ipv4Key, name, admission }) => {
        return { kind, key, ipv4Key, name, admission };
      }),
      listeners: listeners.map(({ key, socketFile: file }) => ({ key, file })),
      services: [...services],
      startSettings,
      ...(sockets.controlSocket && { controlSocket: sockets.controlSocket }),
      ...(sockets.statusSocket && { statusSocket: sockets.statusSocket }),
    }, [
      lock.fd,
      ...(logSocket === undefined ? [] : [logSocket.fd]),
      ...activated.map(({ fd }) => fd),
      ...listeners.map(({ fd }) => fd),
    ]);
  }

  #onMessage(message: Message): void {
    if (message.type === "taken") this.#hasTaken = true;
    // Before the takeover, all other messages are ignored.
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
      case "countedSince":
        return this.#options.onCounted(message.increments);
    }
  }

  #fail(how: string): void {
    this.#channel.close();
    this.#proven.reject(new Error(how));
    this.#taken.reject(new Error(how));
  }
}

/** The time limit of the takeover itself, after the new master's processes have passed. */
const TAKE_MS = 10_000;

/** The time limits of an upgrade, and its effects on this master. */
export interface UpgradeOptions extends NewMasterOptions {
  /** The time until the new master's processes must have passed. */
  readonly timeoutMs: number;
  /** The time that a failed new master has to stop. */
  readonly abortMs: number;
  /** Fulfilled when the upgrade is cancelled. */
  readonly cancelled: Promise<unknown>;
  /** Releases what only one master can hold, before the new master takes over. */
  letGo(): void;
  /** Takes it back if the takeover fails. */
  takeBack(): Promise<void>;
  /** The new master has received the handover. */
  onStarted(newMaster: NewMaster): void;
}

/** An upgrade that has failed; the old master goes on. */
export interface UpgradeFailure {
  /** Why. */
  readonly failure: string;
}

/** A successful upgrade. */
export interface Upgrade {
  readonly newMaster: NewMaster;
  /** The keys of the addresses that the new master does not serve. */
  readonly dropped: readonly string[];
}

/**
 * Starts a new master, and waits until it has taken over. If that fails, the new master has ended
 * when this call returns, this master continues as before, and the log says why.
 *
 * @param handover What the new master receives.
 * @param options The options of the upgrade.
 * @returns The upgrade, or why it has failed, which is logged.
 */
export async function tryUpgrade(
  handover: Handover,
  options: UpgradeOptions,
): Promise<Upgrade | UpgradeFailure> {
  const { log, timeoutMs, cancelled } = options;
  let newMaster: NewMaster;
  try {
    newMaster = new NewMaster(handover, options);
  } catch (error) {
    const failure = (error as Error).message;
    log(`upgrade failed: ${failure}`, "error");
    return { failure };
  }
  options.onStarted(newMaster);
  const who = `process ${newMaster.pid}`;
  log(`upgrade: ${who} is to take over`);
  let phase: "candidate" | "takeover" | "over" = "candidate", isCancelled = false;
  const stopped = cancelled.then(() => {
    isCancelled = true;
    // During the takeover only the new master knows whether it is complete.
    if (phase === "takeover") newMaster.terminate();
    throw new Error("this master is told to stop");
  });
  try {
    const late = `it was not ready within ${timeoutMs / 1000} s (master-upgrade-timeout)`;
    await within(Promise.race([newMaster.proven, stopped]), { ms: timeoutMs, late: tooLate(late) });
    phase = "takeover";
    options.letGo();
    newMaster.takeover();
    const dropped = await within(newMaster.taken, {
      ms: TAKE_MS,
      late: tooLate(`it has not taken over within ${TAKE_MS / 1000} s`),
    });
    phase = "over";
    return { newMaster, dropped };
  } catch (error) {
    const { message } = error as Error;
    // One that hangs in the takeover may be the master when it goes on, and is told to end: it would stop the
    // servers of this one as well, and remove the files of the sockets.
    const isKilled = phase === "takeover" && !isCancelled;
    if (!newMaster.hasExited) {
      log(`upgrade: ${who} is ${isKilled ? "killed" : "told to end"}: ${message}`, "warn");
    }
    const timer = systemClock.setTimer(options.abortMs, () => newMaster.kill());
    if (isKilled) newMaster.kill();
    else newMaster.terminate();
    await newMaster.exited;
    timer.cancel();
    if (phase === "takeover") await options.takeBack();
    // The line comes last, since it allows the next attempt.
    const failure = `${who}: ${message}`;
    log(`upgrade failed, all goes on as before: ${failure}`, "error");
    return { failure };
  }
}

function tooLate(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}
