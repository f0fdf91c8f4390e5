/**
 * The new master's side of an upgrade: receives the handover from the old master, and tells it when
 * it can retire.
 *
 * @module
 */
import type { KeptRecord, LogLevel } from "../../log/record.ts";
import { kindOfKey } from "../../config/address.ts";
import { Channel } from "../../ipc/channel.ts";
import type { Message } from "../../ipc/messages.ts";
import { OLD_MASTER, ProtocolError } from "../../ipc/protocol.ts";
import { requireTrustedPeer } from "../../ipc/trusted_peer.ts";
import type {
  InheritMessage,
  SentIncrement,
  SentListener,
  SettingTexts,
} from "../../ipc/upgrade_messages.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { BoundDatagram } from "../../os/net/bound_datagram.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { SocketFile } from "../../os/net/socket_file.ts";
import { PidFile } from "../../os/process/lock_file.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { killParent } from "../../os/process/process.ts";
import type { Listener } from "../policy/listener.ts";
import { TERMINATE_GRACE_MS } from "../policy/timeouts.ts";

/** What an old master hands over. */
export interface Inheritance {
  readonly generation: number;
  /** The lock, which both masters hold until the old one has ended. */
  readonly lock: PidFile;
  /** The socket of its log service, if it has one. */
  readonly logSocket?: BoundDatagram;
  /** The activated listeners, which it was started with. */
  readonly activated: readonly Listener[];
  /** Its other listeners by the keys of their addresses, in the order of their slots. */
  readonly listeners: ReadonlyMap<string, readonly Listener[]>;
  /** The ids of its current services. */
  readonly serving: ReadonlySet<string>;
  /** The settings in force that only a start takes; undefined if it has not told them. */
  readonly startSettings?: SettingTexts;
  /** The file of its control socket, if it has one. */
  readonly controlSocket?: SocketFile;
  /** The file of its status socket, if it has one. */
  readonly statusSocket?: SocketFile;
}

/** The handlers of the old master's messages. */
export interface OldMasterHandlers {
  /** A reload was requested. */
  onReload(): void;
  /** Lines of its log have come, which operators may ask for. */
  onRecords(records: readonly KeptRecord[]): void;
  /** It has counted something. */
  onCounted(increments: readonly SentIncrement[]): void;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

/** The connection of a new master to the old one. */
export class OldMaster {
  /** The old master has started this process. */
  readonly #pid = Deno.ppid;
  readonly #channel: Channel;
  readonly #handlers: OldMasterHandlers;
  readonly #inherited = Promise.withResolvers<Inheritance | undefined>();
  readonly #takeover = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #hasDrained = false;
  /** Whether it knows counts; an older one breaks the connection when it gets some. */
  #takesCounts = false;

  /**
   * @param fd The socket to the old master, which the connection takes ownership of.
   * @param poller Watches it.
   * @param handlers Receive its messages.
   * @throws {SysError} When `fd` is no socket.
   * @throws {ProtocolError} When its other end is neither this user's nor root's.
   */
  constructor(fd: number, poller: Poller, handlers: OldMasterHandlers) {
    requireTrustedPeer(fd);
    this.#handlers = handlers;
    // The old master may end before anything awaits this promise.
    this.#inherited.promise.catch(() => {});
    this.#channel = new Channel({ fd, poller, sender: OLD_MASTER }, {
      onMessage: (message, fds) => this.#onMessage(message, fds),
      onUnknown: (type) =>
        handlers.log(
          `ignored a message of the unknown type ${type}; further ones are not told`,
          "warn",
        ),
      onClose: (error) => this.#onClose(error),
    });
  }

  /**
   * The handover, owned by the receiver; undefined if the old master has ended before it.
   *
   * @throws {ProtocolError} When the old master breaks the protocol.
   */
  get inherited(): Promise<Inheritance | undefined> {
    return this.#inherited.promise;
  }

  /** Fulfilled when this master must take over: the old master says so, or has ended. */
  get takeover(): Promise<void> {
    return this.#takeover.promise;
  }

  /** Whether the old master has ended. */
  get isGone(): boolean {
    return !this.#channel.isOpen;
  }

  /**
   * Fulfilled when all servers of the old master have ended; it then ends too, or stays as a
   * parent.
   */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Reports that all processes of this master have passed. */
  proven(): void {
    this.#channel.send({ type: "proven" });
  }

  /**
   * Reports that this master has taken over.
   *
   * @param dropped The keys of the addresses that it does not serve.
   */
  taken(dropped: readonly string[]): void {
    this.#channel.send({ type: "taken", dropped });
  }

  /**
   * Limits how many old masters may drain.
   *
   * @param generations Their number, including this old master.
   */
  bound(generations: number): void {
    this.#channel.send({ type: "bound", generations });
  }

  /** Tells it to reopen its log files. */
  reopen(): void {
    this.#channel.send({ type: "reopen" });
  }

  /**
   * Tells it how much this master has added to counts, unless other messages wait.
   *
   * @param increments What was added.
   * @returns Whether it was told, or can't be.
   */
  tellCounted(increments: readonly SentIncrement[]): boolean {
    if (!this.#takesCounts || !this.#channel.isOpen) return true;
    if (this.#channel.isFull) return false;
    this.#channel.send({ type: "countedSince", increments });
    return true;
  }

  /** Tells it that it is no longer the fallback of this master. */
  settled(): void {
    this.#channel.send({ type: "settled" });
  }

  /** Closes the connection; the old master continues to drain. */
  close(): void {
    this.#channel.close();
    this.#onClose();
  }

  /** Limits how long it may drain. */
  stop(timeoutMs: number): void {
    this.#channel.send({ type: "stop", timeoutMs });
  }

  /**
   * Tells it to end its servers, and kills it if it does not.
   *
   * @param timeoutMs The time that it has.
   * @param hurry Fulfilled when it is to be killed earlier.
   * @returns Fulfilled when it has ended.
   */
  async end(timeoutMs: number, hurry: Promise<void>): Promise<void> {
    if (this.isGone || this.#hasDrained) return;
    this.stop(timeoutMs);
    const late = Promise.withResolvers<void>();
    const graceMs = 2 * TERMINATE_GRACE_MS;
    let timer = systemClock.setTimer(timeoutMs + graceMs, late.resolve);
    let isOver = false;
    hurry.then(() => {
      timer.cancel();
      if (!isOver) timer = systemClock.setTimer(graceMs, late.resolve);
    });
    await Promise.race([this.gone, late.promise]);
    isOver = true;
    timer.cancel();
    if (this.isGone || this.#hasDrained) return;
    this.#handlers.log(
      `the old master, process ${this.#pid}, is killed: it did not end in time`,
      "warn",
    );
    killParent(this.#pid);
    await this.gone;
  }

  #onMessage(message: Message, fds: number[]): void {
    if (message.type === "inherit") return this.#inherit(message, fds);
    fds.forEach(closeFd);
    if (message.type === "reload") this.#handlers.onReload();
    else if (message.type === "records") this.#handlers.onRecords(message.records);
    else if (message.type === "counted") {
      this.#takesCounts = true;
      this.#handlers.onCounted(message.increments);
    } else if (message.type === "drained") {
      this.#hasDrained = true;
      this.#gone.resolve();
    } else if (message.type === "takeover") this.#takeover.resolve();
  }

  #inherit(message: InheritMessage, fds: number[]): void {
    const { generation, pidFile, logSocket, given, listeners, services = [], ...sockets } = message;
    const { controlSocket, statusSocket, startSettings } = sockets;
    const expected = 1 + (logSocket === undefined ? 0 : 1) + given.length + listeners.length;
    if (fds.length !== expected) {
      fds.forEach(closeFd);
      this.#channel.close();
      return this.#onClose(
        new ProtocolError(`Cannot take over: ${fds.length} descriptors came, expected ${expected}`),
      );
    }
    const [lockFd, ...rest] = fds;
    const log = logSocket && { fd: rest.shift()!, socketFile: logSocket };
    this.#inherited.resolve({
      generation,
      lock: PidFile.inherit(lockFd, pidFile),
      ...(log === undefined ? {} : { logSocket: log }),
      activated: given.map((described): Listener => ({
        ...described,
        owner: "activation",
        fd: rest.shift()!,
      })),
      listeners: listenersByKey(listeners, rest),
      serving: new Set(services),
      startSettings,
      ...(controlSocket && { controlSocket }),
      ...(statusSocket && { statusSocket }),
    });
  }

  #onClose(error?: Error): void {
    if (error !== undefined) {
      this.#handlers.log(`the connection to the old master is broken: ${error.message}`, "warn");
    }
    if (error === undefined) this.#inherited.resolve(undefined);
    else this.#inherited.reject(error);
    this.#takeover.resolve();
    this.#gone.resolve();
  }
}

/**
 * Groups descriptors by the keys of their addresses; the key of an address with several slots
 * occurs once per slot.
 */
function listenersByKey(
  listeners: readonly SentListener[],
  fds: readonly number[],
): Map<string, Listener[]> {
  const byKey = new Map<string, Listener[]>();
  for (const [index, { key, file }] of listeners.entries()) {
    const listener: Listener = {
      fd: fds[index],
      kind: kindOfKey(key),
      key,
      owner: "other-master",
      ...(file && { socketFile: file }),
    };
    byKey.set(key, [...byKey.get(key) ?? [], listener]);
  }
  return byKey;
}
