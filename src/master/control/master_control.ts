/**
 * The control socket and the status socket of a master.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import { defaultConfig } from "../../config/config.ts";
import { controlPath, statusPath } from "../../config/control_path.ts";
import { keysOf } from "../../config/endpoints.ts";
import type { LogLine, UntimedEvent } from "../../control/messages.ts";
import type { ListenerStatus, ServiceStatus } from "../../control/status.ts";
import { delay, systemClock } from "../../os/clock/clock.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { fileStatus } from "../../os/ffi/file_status.ts";
import type { SocketFile } from "../../os/net/socket_file.ts";
import { queueOf } from "../../os/net/accept_queue.ts";
import { useOf } from "../../os/process/process_use.ts";
import type { Counters } from "../counters/counters.ts";
import type { ReloadReport } from "../policy/reload_report.ts";
import type { Supervisor } from "../supervisor/supervisor.ts";
import { addressOf, controlCommands, type ControlledMaster } from "./commands.ts";
import type { WithdrawOptions } from "./control_socket.ts";
import { KeptSocket } from "./kept_socket.ts";
import { statusCommands } from "./shared_look.ts";

/**
 * The least time between two clients of the status socket, and between two requests of one: its clients are less
 * trusted than those of the control socket, and must not keep the master busy.
 */
const STATUS_PACE_MS = 20;

/** The files of the sockets on which a master takes commands. */
export interface CommandSockets {
  readonly controlSocket?: SocketFile;
  readonly statusSocket?: SocketFile;
}

/** The parts of a master that its sockets use. */
export interface MasterControlOptions
  extends Pick<ControlledMaster, "reload" | "change" | "upgrade" | "stop"> {
  readonly poller: Poller;
  readonly supervisor: Supervisor;
  readonly counters: Counters;
  readonly reloads: Pick<ControlledMaster, "plan" | "started"> & {
    readonly last: ReloadReport | undefined;
    /** When the files were read that are in force, in milliseconds since 1970. */
    readonly readAtMs: number;
  };
  readonly serviceChanges: Pick<ControlledMaster, "require"> & {
    /** The ids of the services that an operator has stopped. */
    readonly stopped: ReadonlySet<string>;
  };
  /** The absolute path of the directory of `-C`. */
  readonly configDirectory: string | undefined;
  /** Whether the master has a root directory of its own, where clients see other paths. */
  readonly hasOwnRoot: boolean;
  /** When the master was started, by the system clock. */
  readonly startedAtMs: number;
  /** The user of the service `metrics`, who may use the status socket; undefined without one. */
  statusUser(): number | undefined;
  /** See `MasterStatus`. */
  phase(): string;
  underWay: ControlledMaster["underWay"];
  /** The last lines of the log; see `ControlledMaster`. */
  lines: ControlledMaster["lines"];
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

/** The control socket of a master and its status socket, open or not. */
export class MasterControl {
  readonly #options: MasterControlOptions;
  readonly #control: KeptSocket;
  readonly #status: KeptSocket;

  /** @param options The parts of the master. */
  constructor(options: MasterControlOptions) {
    this.#options = options;
    const { poller, log } = options, seen = this.#asSeen(), clock = systemClock;
    this.#control = new KeptSocket({
      ...{ poller, clock, log, commands: controlCommands(seen) },
      name: "control socket",
      without: "commands such as status do not work",
      wanted: () => {
        const path = controlPath(defaultConfig);
        return path === undefined ? undefined : { path };
      },
    });
    this.#status = new KeptSocket({
      ...{ poller, clock, log, commands: statusCommands(seen, clock) },
      name: "status socket",
      without: "nobody can look at the status there",
      paceMs: STATUS_PACE_MS,
      wanted: () => {
        const path = statusPath(defaultConfig), admitted = options.statusUser();
        return path === undefined
          ? undefined
          : { path, ...(admitted !== undefined && { admitted }) };
      },
    });
  }

  /**
   * Opens the sockets as the settings say.
   *
   * @param replaces The sockets of the old master; see {@linkcode KeptSocket.open}.
   */
  open(replaces: CommandSockets = {}): void {
    this.#control.open(replaces.controlSocket);
    this.#status.open(replaces.statusSocket);
  }

  /** The files of the sockets that are open. */
  get socketFiles(): CommandSockets {
    const controlSocket = this.#control.file, statusSocket = this.#status.file;
    return { ...(controlSocket && { controlSocket }), ...(statusSocket && { statusSocket }) };
  }

  /** Opens sockets anew whose files other programs have removed. */
  repair(): void {
    this.#control.repair();
    this.#status.repair();
  }

  /** Opens the sockets where a reload wants them, and for the users whom it wants. */
  follow(): void {
    this.#control.follow();
    this.#status.follow();
  }

  /** Sends an event of this moment to the clients that have asked for events. */
  tell(event: UntimedEvent): void {
    const events = [{ ...event, atMs: Date.now() }];
    this.#control.tell(events);
    this.#status.tell(events);
  }

  /** Sends lines of the log to the clients that follow. */
  tellLines(lines: readonly LogLine[]): void {
    this.#control.tell(lines.map((line) => ({ type: "line", ...line })));
  }

  /** Removes the sockets; clients that wait for an answer still get it. */
  withdraw(options?: WithdrawOptions): void {
    this.#control.withdraw(options);
    this.#status.withdraw(options);
  }

  /** See {@linkcode KeptSocket.removeFile}. */
  removeFile(): void {
    this.#control.removeFile();
    this.#status.removeFile();
  }

  /** Removes the sockets. The clients get their answers, and stay connected until this process ends. */
  async close(): Promise<void> {
    this.withdraw({ keepsClients: true });
    // The answer of a stop is sent in a later turn than its end.
    await delay(0);
    this.#control.close();
    this.#status.close();
  }

  #asSeen(): ControlledMaster {
    const { supervisor, reloads, serviceChanges, startedAtMs, phase, ...changes } = this.#options;
    const { counters, configDirectory, hasOwnRoot } = changes;
    return {
      reload: changes.reload,
      change: changes.change,
      upgrade: changes.upgrade,
      configDirectory: hasOwnRoot ? null : configDirectory ?? null,
      stop: changes.stop,
      masterStatus: () => ({
        uptimeMs: Math.round(systemClock.nowMs() - startedAtMs),
        settingsReadAtMs: reloads.readAtMs,
        configDirectory: configDirectory ?? null,
        generation: supervisor.generation,
        phase: phase(),
      }),
      underWay: changes.underWay,
      services: () => this.#services(),
      listeners: () => this.#listeners(),
      counters: () => counters.master,
      get lastReload() {
        return reloads.last;
      },
      plan: () => reloads.plan(),
      require: (what, ids) => serviceChanges.require(what, ids),
      log: changes.log,
      lines: changes.lines,
      removed: (ids) => Promise.all(ids.map((id) => supervisor.removed(id))),
      scaled: (service) => supervisor.scale.reached(service),
      scaleTo: (service, count) => supervisor.scale.to(service, count),
      started: reloads.started,
    };
  }

  async #services(): Promise<ServiceStatus[]> {
    const { supervisor, counters, serviceChanges: { stopped: stoppedIds } } = this.#options;
    const running = await supervisor.snapshot(useOf);
    // A count that was seen must be known to the master that answers next.
    counters.flush();
    const stopped = [...stoppedIds].map((id) =>
      running.find((one) => one.id === id) ?? { ...NOTHING, id, counters: counters.of(id) }
    );
    const others = running.filter(({ id }) => !stoppedIds.has(id));
    return [...others, ...stopped.map((one) => ({ ...one, state: "stopped" as const }))]
      .sort((a, b) => a.id < b.id ? -1 : 1);
  }

  #listeners(): ListenerStatus[] {
    const { listeners, current } = this.#options.supervisor;
    return Array.from(Map.groupBy(listeners, ({ key }) => key), ([key, sockets]) => {
      const queues = sockets.flatMap(({ fd }) => queueOf(fd) ?? []);
      const sum = (of: "length" | "limit") =>
        queues.length === 0 ? null : queues.reduce((total, queue) => total + queue[of], 0);
      return {
        kind: sockets[0].kind,
        address: addressOf(key),
        services: current.filter((one) => keysOf(one).includes(key)).map(({ id }) => id),
        sockets: sockets.length,
        inodes: sockets.map(({ fd }) => fileStatus(fd, key).ino),
        queue: sum("length"),
        queueLimit: sum("limit"),
      };
    });
  }
}

/** A service without processes. */
const NOTHING: Omit<ServiceStatus, "id" | "counters"> = {
  state: "stopped",
  wanted: 0,
  ready: 0,
  busy: null,
  starting: 0,
  draining: 0,
  standby: 0,
  restarts: 0,
  lastExit: null,
  problem: null,
  processes: [],
};
