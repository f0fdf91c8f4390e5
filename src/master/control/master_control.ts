/**
 * The control socket of a master in the course of its life: opened with its duty, withdrawn when
 * another master takes over or this one stops.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import { defaultConfig } from "../../config/config.ts";
import { controlPath } from "../../config/control_path.ts";
import { keysOf } from "../../config/endpoints.ts";
import type { LogLine, UntimedEvent } from "../../control/messages.ts";
import type { ListenerStatus, ServiceStatus } from "../../control/status.ts";
import { delay, systemClock, type Timer } from "../../os/clock/clock.ts";
import type { Poller } from "../../os/fd/poller.ts";
import { EADDRINUSE, SysError } from "../../os/ffi/errors.ts";
import { fileStatus } from "../../os/ffi/file_status.ts";
import { ParentDirectory } from "../../os/fs/parent_directory.ts";
import { isStillThere, type SocketFile } from "../../os/net/socket_file.ts";
import { queueOf } from "../../os/net/accept_queue.ts";
import { useOf } from "../../os/process/process_use.ts";
import type { Counters } from "../counters/counters.ts";
import type { ReloadReport } from "../policy/reload_report.ts";
import type { Supervisor } from "../supervisor/supervisor.ts";
import { addressOf, controlCommands, type ControlledMaster } from "./commands.ts";
import { ControlSocket, type WithdrawOptions } from "./control_socket.ts";

/** How long another master may keep a socket at the path, and how often it is tried again. */
const IN_USE_MS = 2_000, IN_USE_LOOK_MS = 50;

/** The parts of a master that its control socket uses. */
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
  /** See `MasterStatus`. */
  phase(): string;
  /** The last lines of the log; see `ControlledMaster`. */
  lines: ControlledMaster["lines"];
  hasLines: ControlledMaster["hasLines"];
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

/** The control socket of a master, open or not. */
export class MasterControl {
  readonly #options: MasterControlOptions;
  #socket?: ControlSocket;
  #retry?: Timer;

  /** @param options The parts of the master. */
  constructor(options: MasterControlOptions) {
    this.#options = options;
  }

  /**
   * Opens the socket as the settings say; a failure is a warning. A master that stops withdraws its
   * socket as soon as it finds that this one runs.
   *
   * @param options `replaces`: the socket of the old master, which is removed if it is at the path. Its
   * clients stay connected with it.
   */
  open({ replaces }: { readonly replaces?: SocketFile } = {}): void {
    const path = controlPath(defaultConfig);
    this.removeFile();
    if (path !== undefined) {
      this.#open(path, { replaces, untilMs: systemClock.nowMs() + IN_USE_MS });
    }
  }

  #open(
    path: string,
    { replaces, untilMs }: { readonly replaces?: SocketFile; readonly untilMs: number },
  ): void {
    const { poller, log } = this.#options;
    try {
      if (replaces !== undefined) removeAt(path, replaces);
      this.#socket = ControlSocket.open({
        path,
        poller,
        clock: systemClock,
        commands: controlCommands(this.#asSeen()),
        log,
      });
    } catch (error) {
      const isInUse = error instanceof SysError && error.errno === EADDRINUSE;
      if (isInUse && systemClock.nowMs() < untilMs) {
        const again = () => this.#open(path, { replaces, untilMs });
        this.#retry = systemClock.setTimer(IN_USE_LOOK_MS, again);
        return;
      }
      log(
        `no control socket, so commands such as status do not work: ${(error as Error).message}`,
        "warn",
      );
    }
  }

  /** The file of the socket, if it is open. */
  get socketFile(): SocketFile | undefined {
    return this.#socket?.file;
  }

  /** Opens the socket anew if another program has removed its file: no client could find it. */
  repair(): void {
    const socket = this.#socket;
    if (socket === undefined || isStillThere(socket.file)) return;
    this.#options.log(
      `the control socket ${socket.path} had lost its file, and is opened anew`,
      "warn",
    );
    socket.withdraw();
    this.#socket = undefined;
    this.open();
  }

  /** Sends an event of this moment to the clients that have asked for events. */
  tell(event: UntimedEvent): void {
    this.#socket?.tell([{ ...event, atMs: Date.now() }]);
  }

  /** Sends lines of the log to the clients that follow. */
  tellLines(lines: readonly LogLine[]): void {
    this.#socket?.tell(lines.map((line) => ({ type: "line", ...line })));
  }

  /** Removes the socket; clients that wait for an answer still get it. */
  withdraw(options?: WithdrawOptions): void {
    this.#retry?.cancel();
    this.#socket?.withdraw(options);
  }

  /** See {@linkcode ControlSocket.removeFile}. */
  removeFile(): void {
    this.#socket?.removeFile();
  }

  /** Removes the socket, and disconnects all clients once they have their answers. */
  async close(): Promise<void> {
    this.withdraw();
    // The answer of a stop is sent in a later turn than its end.
    await delay(0);
    this.#socket?.close();
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
      hasLines: changes.hasLines,
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

/** Removes a file, if it is the one at a path, in a directory that no other user can exchange meanwhile. */
function removeAt(path: string, file: SocketFile): void {
  using directory = ParentDirectory.openTrusted(path);
  directory.remove(file);
}
