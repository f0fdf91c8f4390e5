/**
 * A server's side of the control socket.
 *
 * @module
 */
import { Channel, type ChannelHandlers } from "../../ipc/channel.ts";
import {
  type LimitsMessage,
  MASTER,
  type Message,
  type OutputsMessage,
  ProtocolError,
  type StandbyMessage,
  type StartMessage,
} from "../../ipc/protocol.ts";
import { requireTrustedPeer } from "../../ipc/trusted_peer.ts";
import { zinfo } from "../../log/log.ts";
import { setRepeated, systemClock, type Timer } from "../../os/clock/clock.ts";
import { closeFd, setCloseOnExec } from "../../os/fd/descriptor.ts";
import { replaceFile } from "../../os/fs/output_files.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import type { GrantedService } from "../listen/service_address.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/** What the master tells. */
export interface MasterLinkHandlers {
  /**
   * Accept no more, finish, end.
   *
   * @param closing The descriptors of those listeners, as they came, that nobody serves after this.
   */
  onSoftstop(closing: ReadonlySet<number>): void;
  /** The master is gone. */
  onGone(): void;
}

/** What a master has handed to a server. */
export interface Grant {
  readonly services: readonly GrantedService[];
  readonly settings: StartMessage["settings"];
  /**
   * Whether the descriptors were inherited. Such a server may not be able to change its user, so
   * its master has started it as that user.
   */
  readonly isInherited: boolean;
}

/** What can be replaced in a {@linkcode MasterLink}. */
export interface MasterLinkOptions {
  /**
   * Opens the control descriptor, which it takes ownership of.
   *
   * @default A {@linkcode Channel}, which needs FFI.
   */
  readonly open?: (fd: number, handlers: ChannelHandlers) => Pick<Channel, "send" | "close">;
}

/** The connection of a server with its master. */
export class MasterLink {
  readonly #channel: Pick<Channel, "send" | "close">;
  readonly #handlers: MasterLinkHandlers;
  readonly #settings = Promise.withResolvers<StartMessage["settings"]>();
  readonly #started = Promise.withResolvers<Grant>();
  #heartbeat?: Timer;
  /** That of the first message, once it has come. */
  #generation?: number;
  /** The descriptors as they came; by now they are in use, or closed. */
  #fds: readonly number[] = [];

  /**
   * @param fd The control descriptor, which the link takes ownership of.
   * @param handlers Told of what the master says.
   * @param options What can be replaced.
   * @throws {SysError} When `fd` is no socket.
   * @throws {ProtocolError} When its other end is neither this user's nor root's.
   */
  constructor(
    fd: number,
    handlers: MasterLinkHandlers,
    { open = openChannel }: MasterLinkOptions = {},
  ) {
    this.#handlers = handlers;
    // Whoever waits for the settings may not come to wait for the rest.
    for (const { promise } of [this.#settings, this.#started]) promise.catch(() => {});
    this.#channel = open(fd, {
      onMessage: (message, fds) => this.#onMessage(message, fds),
      onUnknown: (type) =>
        zinfo(
          `ignored a message of the unknown type ${type} from the master; further ones are not told`,
        ),
      onClose: (error) => this.#onClose(error),
    });
  }

  /**
   * The settings that come with the master's first message.
   *
   * @throws {ProtocolError} As {@linkcode started}.
   */
  get settings(): Promise<StartMessage["settings"]> {
    return this.#settings.promise;
  }

  /** Says, as a standby, that all is loaded; one that has been told to start has no need to. */
  loaded(): void {
    if (serverLifecycle.isStandby) this.#channel.send({ type: "loaded", ...this.#sender() });
  }

  /**
   * What this server is to serve: the master's first message, or, for a standby, a later one, if it is
   * needed.
   *
   * @throws {ProtocolError} When the master goes, or sends something that breaks the protocol,
   * before that.
   */
  get started(): Promise<Grant> {
    return this.#started.promise;
  }

  /** Says that this server serves. */
  ready(): void {
    this.#channel.send({ type: "ready", ...this.#sender() });
    serverUsage.start(() => this.#tellUsed(true));
  }

  /**
   * Says that this server accepts no more.
   *
   * @param seconds When it ends at the latest.
   */
  draining(seconds: number): void {
    this.#channel.send({ type: "draining", seconds: Math.ceil(seconds), ...this.#sender() });
  }

  /** Says that this server goes its own way. */
  detach(): void {
    this.#channel.send({ type: "detach", ...this.#sender() });
  }

  /** Closes the connection; {@linkcode MasterLinkHandlers.onGone} is not called for it. */
  close(): void {
    this.#heartbeat?.cancel();
    serverUsage.stop();
    this.#channel.close();
  }

  #sender(): { pid: number; generation: number } {
    return { pid: Deno.pid, generation: this.#generation ?? 0 };
  }

  #onMessage(message: Message, fds: number[]): void {
    const isFirst = this.#generation === undefined;
    if (message.type === "start" && (isFirst || serverLifecycle.isStandby)) {
      return this.#start(message, fds);
    }
    if (message.type === "outputs") this.#changeOutputs(message, fds);
    fds.forEach(closeFd);
    if (message.type === "outputs") return;
    if (message.type === "standby" && isFirst) return this.#standBy(message);
    if (message.type === "softstop") {
      const closing = (message.closing ?? []).map((place) => this.#fds[place]);
      return this.#handlers.onSoftstop(new Set(closing));
    }
    if (message.type === "watchdog") return this.#beat(message.intervalMs);
    if (message.type === "limits") return this.#obey(message);
    zinfo(`ignored a "${message.type}" message from the master: not one for a server that runs`);
  }

  #changeOutputs({ before }: OutputsMessage, fds: readonly number[]): void {
    for (const [index, fd] of fds.entries()) if (before[index]) replaceFile(before[index], fd);
  }

  #obey(limits: LimitsMessage): void {
    serverLifecycle.onQuiet = () => serverUsage.unused();
    serverUsage.limit(limits, {
      underWay: () => serverLifecycle.underWay(),
      onSpent: () => this.#channel.send({ type: "spent", ...this.#sender() }),
      onUsed: (used) => this.#tellUsed(used),
    });
  }

  #tellUsed(used: boolean): void {
    this.#channel.send({ type: "used", used, ...this.#sender() });
  }

  /** Lets the event loop itself say that it goes round. */
  #beat(intervalMs: number): void {
    this.#heartbeat?.cancel();
    const beat = () => this.#channel.send({ type: "heartbeat", ...this.#sender() });
    // At once, which says that this server knows how to.
    beat();
    this.#heartbeat = setRepeated(systemClock, { everyMs: intervalMs, callback: beat });
  }

  #standBy({ generation, settings }: StandbyMessage): void {
    this.#generation = generation;
    serverLifecycle.isStandby = true;
    this.#settings.resolve(settings);
  }

  #start({ generation, services, settings }: StartMessage, fds: number[]): void {
    const travelling = services.filter(({ fd }) => fd === undefined).length;
    if (fds.length !== travelling) {
      fds.forEach(closeFd);
      this.#channel.close();
      return this.#onClose(
        new ProtocolError(`Cannot start: ${fds.length} descriptors came, expected ${travelling}`),
      );
    }
    this.#generation = generation;
    serverLifecycle.isStandby = false;
    const waiting = [...fds];
    const granted = services.map(({ name, type, address, fd }) => {
      return { name, type, address, fd: fd ?? waiting.shift()! };
    });
    this.#fds = granted.map(({ fd }) => fd);
    this.#settings.resolve(settings);
    this.#started.resolve({
      services: granted,
      settings,
      isInherited: travelling < services.length,
    });
  }

  #onClose(error?: Error): void {
    this.#heartbeat?.cancel();
    if (error !== undefined) zinfo(`the connection to the master is broken: ${error.message}`);
    const reason = error ??
      new ProtocolError("Cannot start: the master is gone, expected its first message");
    this.#settings.reject(reason);
    // A standby has begun, and ends in order.
    if (!serverLifecycle.isStandby) this.#started.reject(reason);
    this.#handlers.onGone();
  }
}

function openChannel(fd: number, handlers: ChannelHandlers): Channel {
  setCloseOnExec(fd, true);
  requireTrustedPeer(fd);
  return new Channel({ fd, poller: serverPoller, sender: MASTER }, handlers);
}
