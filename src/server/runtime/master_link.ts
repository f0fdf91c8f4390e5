/**
 * A server's side of the worker socket.
 *
 * @module
 */
import type { ChannelHandlers } from "../../ipc/channel.ts";
import type {
  LimitsMessage,
  Message,
  OutputsMessage,
  StandbyMessage,
  StartMessage,
} from "../../ipc/messages.ts";
import { ProtocolError } from "../../ipc/protocol.ts";
import type { ServiceSocket } from "../../ipc/service_socket.ts";
import { zerror, zwarn } from "../../log/log.ts";
import { markOutputsCaptured } from "../../log/outputs.ts";
import { setRepeated, systemClock, type Timer } from "../../os/clock/clock.ts";
import { repeatUntilEnd } from "../../os/clock/exit_later.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { WorkerSocket } from "../backend/backend.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { acceptStatistics, sumOf } from "../listen/accept_counts.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/** The messages from the master, and its end. */
export interface MasterLinkHandlers {
  /**
   * Stop accepting, drain, exit.
   *
   * @param closing The descriptors, as they were received, of the listeners that no process serves after
   * this.
   */
  onSoftstop(closing: ReadonlySet<number>): void;
  /** The master is gone. */
  onGone(): void;
}

/** The services that a master has passed to a server. */
export interface Grant {
  readonly services: readonly ServiceSocket[];
  readonly settings: StartMessage["settings"];
  /**
   * Whether the descriptors were inherited. Such a server may not be able to change its user, so its
   * master has started it as that user.
   */
  readonly isInherited: boolean;
}

/** The replaceable parts of a {@linkcode MasterLink}. */
export interface MasterLinkOptions {
  /**
   * Opens the control descriptor and takes ownership of it.
   *
   * @default The way of the backend.
   */
  readonly open?: (fd: number, handlers: ChannelHandlers) => WorkerSocket;
}

/** A server's connection to its master. */
export class MasterLink {
  readonly #channel: WorkerSocket;
  readonly #handlers: MasterLinkHandlers;
  readonly #settings = Promise.withResolvers<StartMessage["settings"]>();
  readonly #started = Promise.withResolvers<Grant>();
  #heartbeat?: Timer;
  #heartbeatMs = 0;
  readonly #sendHeartbeat = () => this.#channel.send({ type: "heartbeat", ...this.#sender() });
  /** The generation in the first message, once it has arrived. */
  #generation?: number;
  /** The descriptor numbers as received; they are in use by now, or closed. */
  #fds: readonly number[] = [];

  /**
   * @param fd The control descriptor, owned by the link.
   * @param handlers The receiver of the master's messages.
   * @param options The replaceable parts.
   * @throws {SysError} When `fd` is no socket.
   * @throws {ProtocolError} When the process at the other end runs neither as this user nor as root.
   */
  constructor(
    fd: number,
    handlers: MasterLinkHandlers,
    { open = backend().openWorkerSocket }: MasterLinkOptions = {},
  ) {
    this.#handlers = handlers;
    // A caller that fails on the settings never awaits the start.
    for (const { promise } of [this.#settings, this.#started]) promise.catch(() => {});
    this.#channel = open(fd, {
      onMessage: (message, fds) => this.#onMessage(message, fds),
      onUnknown: (type) =>
        zwarn(
          `ignored a message of the unknown type ${type} from the master; further ones are not told`,
        ),
      onClose: (error) => this.#onClose(error),
    });
  }

  /**
   * The settings from the master's first message.
   *
   * @throws {ProtocolError} As {@linkcode started}.
   */
  get settings(): Promise<StartMessage["settings"]> {
    return this.#settings.promise;
  }

  /** Reports that a standby has loaded; does nothing once the server has been told to start. */
  loaded(): void {
    if (serverLifecycle.isStandby) this.#channel.send({ type: "loaded", ...this.#sender() });
  }

  /**
   * The services to serve, from the master's first message, or for a standby from the message that starts
   * it.
   *
   * @throws {ProtocolError} When the master ends or breaks the protocol before that.
   */
  get started(): Promise<Grant> {
    return this.#started.promise;
  }

  /** Reports that this server is ready. */
  ready(): void {
    this.#channel.send({ type: "ready", ...this.#sender() });
    // The master tells how many connections an ended server has served.
    addEventListener("unload", () => this.#report());
    serverUsage.start(() => this.#tellUsed(true));
  }

  /** Reports that this server has stopped accepting and exits within `seconds`. */
  draining(seconds: number): void {
    this.#channel.send({ type: "draining", seconds: Math.ceil(seconds), ...this.#sender() });
  }

  /** Reports that this server detaches. */
  detach(): void {
    this.#channel.send({ type: "detach", ...this.#sender() });
  }

  /** Closes the connection, without a call of {@linkcode MasterLinkHandlers.onGone}. */
  close(): void {
    this.#heartbeat?.cancel();
    serverUsage.stop();
    this.#channel.close();
  }

  /**
   * Lets this process end by itself. The connection is open until then, so that the master waits for the end as
   * long as the server has announced.
   */
  leave(): void {
    serverUsage.stop();
    if (this.#heartbeat !== undefined) {
      this.#heartbeat.cancel();
      // The last one may be as long ago as the next one is away.
      this.#sendHeartbeat();
      repeatUntilEnd(this.#heartbeatMs, this.#sendHeartbeat);
    }
    this.#channel.leave();
  }

  #sender(): { pid: number; generation: number } {
    return { pid: Deno.pid, generation: this.#generation ?? 0 };
  }

  #onMessage(message: Message, fds: number[]): void {
    const isFirst = this.#generation === undefined;
    if (message.type === "start" && (isFirst || serverLifecycle.isStandby)) {
      return this.#start(message, fds);
    }
    if (message.type === "outputs") {
      this.#changeOutputs(message, fds).catch((error) => zerror("unexpected error:", error));
      return;
    }
    fds.forEach(closeFd);
    if (message.type === "standby" && isFirst) return this.#standBy(message);
    if (message.type === "softstop") {
      const closing = (message.closing ?? []).map((place) => this.#fds[place]);
      return this.#handlers.onSoftstop(new Set(closing));
    }
    if (message.type === "watchdog") return this.#beat(message.intervalMs);
    if (message.type === "limits") return this.#obey(message);
    if (message.type === "report") return this.#report();
    zwarn(`ignored a "${message.type}" message from the master: not one for a server that runs`);
  }

  async #changeOutputs({ before }: OutputsMessage, fds: readonly number[]): Promise<void> {
    try {
      // Most servers never need it.
      const { replaceFile } = await import("../../os/fs/output_files.ts");
      for (const [index, fd] of fds.entries()) if (before[index]) replaceFile(before[index], fd);
    } finally {
      fds.forEach(closeFd);
    }
  }

  #obey(limits: LimitsMessage): void {
    serverLifecycle.onQuiet = () => serverUsage.unused();
    serverUsage.limit(limits, {
      underWay: () => serverLifecycle.underWay(),
      onSpent: () => this.#channel.send({ type: "spent", ...this.#sender() }),
      onUsed: (used) => this.#tellUsed(used),
    });
  }

  #report(): void {
    const statistics = acceptStatistics();
    const open = backend().openConnections === undefined
      ? serverLifecycle.underWay()
      : sumOf(statistics, "open");
    const accepted = sumOf(statistics, "accepted");
    this.#channel.send({ type: "counts", open, accepted, ...this.#sender() });
  }

  #tellUsed(used: boolean): void {
    this.#channel.send({ type: "used", used, ...this.#sender() });
  }

  /** Sends heartbeats from the event loop, as proof that it turns. */
  #beat(intervalMs: number): void {
    this.#heartbeat?.cancel();
    this.#heartbeatMs = intervalMs;
    // The first one at once, which tells the master that this server sends heartbeats.
    this.#sendHeartbeat();
    this.#heartbeat = setRepeated(systemClock, {
      everyMs: intervalMs,
      callback: this.#sendHeartbeat,
    });
  }

  #standBy({ generation, settings, capturesOutput }: StandbyMessage): void {
    this.#generation = generation;
    if (capturesOutput) markOutputsCaptured();
    serverLifecycle.standBy();
    this.#settings.resolve(settings);
  }

  #start(message: StartMessage, fds: number[]): void {
    const { generation, services, settings, capturesOutput } = message;
    if (capturesOutput) markOutputsCaptured();
    const travelling = services.filter(({ fd }) => fd === undefined).length;
    if (fds.length !== travelling) {
      fds.forEach(closeFd);
      this.#channel.close();
      return this.#onClose(
        new ProtocolError(`Cannot start: ${fds.length} descriptors came, expected ${travelling}`),
      );
    }
    this.#generation = generation;
    serverLifecycle.activate();
    const waiting = [...fds];
    const granted = services.map(({ name, type, address, fd }) => {
      return {
        name,
        type,
        address,
        fd: fd === undefined ? waiting.shift()! : backend().takeInherited(fd),
      };
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
    if (error !== undefined) zwarn(`the connection to the master is broken: ${error.message}`);
    const reason = error ??
      new ProtocolError("Cannot start: the master is gone, expected its first message");
    this.#settings.reject(reason);
    // A standby has started its lifecycle, and exits in order.
    if (!serverLifecycle.isStandby) this.#started.reject(reason);
    this.#handlers.onGone();
  }
}
