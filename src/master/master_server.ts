/**
 * One master between its start and its end: signals, reloads, the upgrade to a new master, and the
 * supervisor between start and stop (LIB-ZC section 4).
 *
 * @module
 */
import type { ParsedArguments } from "../config/args.ts";
import { defaultConfig } from "../config/config.ts";
import { cannot, type Problem } from "../config/errors.ts";
import {
  CONFIG_DIR,
  DEBUG_CONFIG,
  EXIT_AFTER,
  LOG_SERVICE,
  MASTER_MAX_GENERATIONS,
  MASTER_STOP_TIMEOUT,
  MASTER_UPGRADE_TIMEOUT,
} from "../config/settings.ts";
import { closeLog, flushLog, zdebug, zinfo, zinfoFrom } from "../log/log.ts";
import type { LogService } from "../log/log_service.ts";
import { systemClock } from "../os/clock.ts";
import type { BoundDatagram } from "../os/datagram.ts";
import { closeFd, keepDescriptorsFromChildren } from "../os/descriptor.ts";
import { onInspectorSignal } from "../os/inspector_signal.ts";
import { keepRunning } from "../os/keep_running.ts";
import { openFilesVariable } from "../os/limits.ts";
import type { PidFile } from "../os/lock_file.ts";
import { adoptsOrphans, reapOrphans } from "../os/orphans.ts";
import { OutputFiles } from "../os/output_files.ts";
import { Poller } from "../os/poller.ts";
import { processSignals } from "../os/signals.ts";
import { removeSocketFile } from "../os/socket.ts";
import { isStillThere } from "../os/socket_file.ts";
import { systemSpawner } from "../os/spawn.ts";
import { WorkingDirectory } from "../os/working_directory.ts";
import { type GivenListener, ownActivation, readActivation } from "./activation.ts";
import {
  type Candidate,
  configureMasterLog,
  MasterConfiguration,
  setting,
} from "./configuration.ts";
import { GivenListeners } from "./given_listeners.ts";
import { type HeirListeners, heirListeners } from "./heir_listeners.ts";
import type { MasterServerHooks } from "./hooks.ts";
import { systemListeners } from "./listener_port.ts";
import { TERMINATE_GRACE_MS } from "./policy.ts";
import { type Inheritance, Predecessor } from "./predecessor.ts";
import type { ReloadPlan } from "./reload_plan.ts";
import { type ReloadReport, Reloads } from "./reloads.ts";
import { lockPidFile, openLogService, requireSamePidFile } from "./resources.ts";
import { takeLastOutput } from "./server_outputs.ts";
import { ServiceManager } from "./service_manager.ts";
import { type Successor, tryUpgrade, type Upgrade } from "./successor.ts";
import type { Supervisor } from "./supervisor.ts";
import { systemLookup, systemSupervisor } from "./system_supervisor.ts";
import type { ProgramLookup } from "./program.ts";
import { type OwnCommand, successorCommand } from "./upgrade_command.ts";

const log = (text: string): void => zinfoFrom(undefined, text);

/** What a new master has from the old one, and the listeners among it as a port. */
interface Legacy extends Inheritance {
  readonly heirs: HeirListeners;
}

/** What a master is started with. */
export interface MasterOptions {
  readonly hooks: MasterServerHooks;
  readonly args: ParsedArguments;
  /**
   * What looks odd in the arguments.
   *
   * @default {[]}
   */
  readonly warnings?: readonly Problem[];
  /** How this process was started. */
  readonly command: OwnCommand;
  /** The working directory by its name. */
  readonly directory: string;
  /** The socket to the master whose place this one is to take, if there is one. */
  readonly upgradeFd?: number;
}

/** One run of the master, from its settings to its end. */
export class Master {
  readonly #options: MasterOptions;
  readonly #directory: string | undefined;
  readonly #workingDirectory: WorkingDirectory;
  readonly #lookup: ProgramLookup;
  readonly #configuration: MasterConfiguration;
  readonly #poller = new Poller((error) => zinfo("unexpected error:", error));
  readonly #end = Promise.withResolvers<"stop" | "retire">();
  readonly #hurry = Promise.withResolvers<void>();
  readonly #outputFiles = new OutputFiles();
  /** The master whose place this one takes, until it has ended. */
  readonly #predecessor?: Predecessor;
  /** The master that takes this one's place, once it is able to. */
  #successor?: Successor;
  readonly #serviceManager: ServiceManager;
  /** What this process was started with; a new master has that of the old one. */
  readonly #given: readonly GivenListener[] = [];
  #listeners!: GivenListeners;
  #supervisor!: Supervisor;
  #reloads!: Reloads;
  #lock?: PidFile;
  #logService?: LogService;
  /** Whether lock, log service and socket files are this master's. */
  #isInForce = false;
  #stopping = false;
  readonly #wanted = new Set<"reload" | "upgrade">();
  /** The start counts as a change: what is asked for meanwhile comes after it. */
  #isChanging = true;
  #isUpgrading = false;
  #changes = Promise.resolve();

  /** @param options What it is started with. */
  constructor(options: MasterOptions) {
    this.#options = options;
    this.#serviceManager = new ServiceManager({
      env: Deno.env,
      pid: Deno.pid,
      clock: systemClock,
      hasBeenReady: options.upgradeFd !== undefined,
      warn: (text) => zinfo("warning:", text),
    });
    this.#directory = setting(CONFIG_DIR);
    this.#workingDirectory = new WorkingDirectory(options.directory, log);
    this.#lookup = systemLookup(options.command);
    this.#configuration = new MasterConfiguration(options.args, {
      directory: this.#directory,
      hook: options.hooks.loadConfig,
      cwd: options.directory,
      lookup: this.#lookup,
    }, options.warnings);
    if (options.upgradeFd === undefined) {
      // Here and now: no process that is started may see what is read.
      this.#given = readActivation(
        ownActivation(options.directory, (text) => zinfo("warning:", text)),
      );
    } else {
      this.#isUpgrading = true;
      this.#predecessor = new Predecessor(options.upgradeFd, this.#poller, {
        onReload: () => this.#request("reload"),
        log,
      });
    }
  }

  /** What came of the last reload, if there was one. */
  get lastReload(): ReloadReport | undefined {
    return this.#reloads.last;
  }

  /**
   * What a reload would do now; nothing is done.
   *
   * @throws {ConfigError} With all that is wrong with the configuration.
   */
  plan(): Promise<ReloadPlan> {
    return this.#reloads.plan();
  }

  /**
   * Runs it until it is stopped, or another one has taken its place.
   *
   * @returns The exit code.
   */
  async run(): Promise<number> {
    keepDescriptorsFromChildren();
    if (setting(DEBUG_CONFIG)) {
      const { renderSettings } = await import("../config/debug_config.ts");
      console.log(renderSettings(defaultConfig));
    }
    await this.#options.hooks.beforeService?.();
    const inheritance = await this.#predecessor?.inherited;
    const candidate = await this.#configuration.load(inheritance?.serving);
    const heirs = heirListeners(systemListeners, inheritance?.listeners ?? new Map());
    this.#listeners = new GivenListeners(inheritance?.given ?? this.#given, heirs);
    this.#supervisor = systemSupervisor({
      listeners: this.#listeners,
      generation: inheritance?.generation,
      poller: this.#poller,
      lookup: this.#lookup,
      configPath: this.#directory,
      workingDirectory: this.#workingDirectory,
    });
    this.#reloads = new Reloads({
      configuration: this.#configuration,
      supervisor: this.#supervisor,
      listeners: this.#listeners,
      serviceManager: this.#serviceManager,
      workingDirectory: this.#workingDirectory,
      isStopping: () => this.#stopping || this.#successor !== undefined,
    });
    // A mistake ends it here, before the lock: that leaves not even an empty pid file behind.
    if (candidate.problems.length > 0) await this.#reloads.start(candidate);
    // Signals may come as soon as the pid can be read.
    const release = this.#takeSignals();
    try {
      return await this.#runLocked(candidate, inheritance && { ...inheritance, heirs });
    } finally {
      release();
    }
  }

  async #runLocked(candidate: Candidate, legacy?: Legacy): Promise<number> {
    const lock = this.#lock = legacy?.lock ?? lockPidFile();
    try {
      if (legacy === undefined) await this.#comeIntoForce();
      else requireSamePidFile(lock);
      try {
        configureMasterLog();
        return await this.#live(candidate, legacy);
      } finally {
        takeLastOutput();
        // The lines of this master may go to its own log service, which needs a turn to take them.
        await flushLog();
        closeLog();
        await this.#logService?.close();
      }
    } finally {
      if (this.#isInForce) lock.clear();
      lock.release();
    }
  }

  async #comeIntoForce(bound?: BoundDatagram): Promise<void> {
    this.#isInForce = true;
    const config = setting(LOG_SERVICE);
    const isSame = bound !== undefined && bound.socketFile.path === config?.socket;
    if (bound !== undefined && !isSame) {
      removeSocketFile(bound.socketFile);
      closeFd(bound.fd);
    }
    if (config !== undefined) {
      this.#logService = await openLogService(config, isSame ? bound : undefined);
    }
  }

  /** A socket that has lost its file can be reached by nobody new. */
  async #mendLogService(): Promise<void> {
    const old = this.#logService, config = setting(LOG_SERVICE);
    if (old === undefined || config === undefined || isStillThere(old.bound.socketFile)) return;
    try {
      this.#logService = await openLogService(config);
      await old.close();
      log(`warning: log-service ${config.socket} had lost its file, and was opened anew`);
    } catch (error) {
      log(`warning: log-service ${config.socket} had lost its file: ${(error as Error).message}`);
    }
  }

  async #live(candidate: Candidate, legacy?: Legacy): Promise<number> {
    // Signals alone don't keep the runtime from ending, and there may be no process to wait for.
    const letEnd = keepRunning();
    this.#serviceManager.beat();
    const exitAfterMs = setting(EXIT_AFTER);
    const exitTimer = exitAfterMs > 0
      ? systemClock.setTimer(exitAfterMs, () => this.#requestStop())
      : undefined;
    try {
      if (legacy === undefined) {
        if (!this.#stopping) await this.#reloads.start(candidate);
      } else if (!await this.#succeed(candidate, legacy)) {
        await this.#stop();
        return 1;
      }
      this.#changes = this.#work();
      if (await this.#end.promise === "stop") await this.#stop();
      else {
        // Its servers finish in their own time, and so do those of the masters before it.
        exitTimer?.cancel();
        await Promise.all([this.#supervisor.stopped, this.#predecessor?.gone]);
      }
      return 0;
    } finally {
      exitTimer?.cancel();
      this.#serviceManager.close();
      letEnd();
      // A program around this one may have more to do, or just come to its end.
      this.#successor?.leave();
      this.#predecessor?.close();
    }
  }

  #takeSignals(): () => void {
    const releases = [
      processSignals.on("SIGHUP", () => this.#request("reload")),
      processSignals.on("SIGUSR2", () => this.#request("upgrade")),
      processSignals.on("SIGTTIN", () => this.#supervisor.scale(+1)),
      processSignals.on("SIGTTOU", () => this.#supervisor.scale(-1)),
      processSignals.on("SIGTERM", () => this.#requestStop()),
      processSignals.on("SIGINT", () => this.#requestStop()),
      processSignals.on("SIGQUIT", () => this.#requestStop()),
      onInspectorSignal(this.#poller, () => this.#reopenLogs()),
      ...(adoptsOrphans()
        ? [reapOrphans({ onReaped: (pid) => zdebug("reaped orphan", pid) })]
        : []),
    ];
    return () => releases.forEach((release) => release());
  }

  /** For who has renamed log files, to begin new ones. */
  #reopenLogs(): void {
    this.#logService?.flush();
    const changed = this.#outputFiles.reopen((path, { found }) => {
      const expected = "a file that can be made and written; lines still go to the old one";
      zinfo(cannot("open the log file", path, { found, expected }));
    });
    if (changed.length > 0) this.#supervisor.changeOutputs(changed);
    // It writes to the same files for as long as its servers finish.
    this.#predecessor?.reopen();
    zinfo("reopened the log files");
  }

  /** The first time it asks, the second time it hurries. */
  #requestStop(): void {
    const again = this.#stopping;
    this.#stopping = true;
    this.#end.resolve("stop");
    if (again) {
      this.#hurry.resolve();
      this.#supervisor.hasten();
      this.#predecessor?.stop(TERMINATE_GRACE_MS);
    } else if (this.#successor !== undefined) this.#boundEnd(setting(MASTER_STOP_TIMEOUT));
  }

  /**
   * However many signals come: one change runs, and at most one of each kind waits. Once another
   * master has taken over, reloads are its business.
   */
  #request(change: "reload" | "upgrade"): void {
    if (this.#successor !== undefined && change === "reload") return this.#successor.reload();
    const obstacle = change === "upgrade" ? this.#obstacleToUpgrade() : undefined;
    if (obstacle !== undefined) return zinfo(`ignored a SIGUSR2: ${obstacle}`);
    this.#wanted.add(change);
    if (!this.#isChanging) this.#changes = this.#work();
  }

  async #work(): Promise<void> {
    this.#isChanging = true;
    while (this.#wanted.size > 0 && !this.#stopping && this.#successor === undefined) {
      try {
        if (this.#wanted.delete("reload")) {
          await this.#mendLogService();
          await this.#reloads.reload();
        } else if (this.#wanted.delete("upgrade")) await this.#upgrade();
      } catch (error) {
        // A fault of this program; it is no reason to end, nor to refuse the next change.
        zinfo("unexpected error:", error);
      }
    }
    this.#isChanging = false;
  }

  #obstacleToUpgrade(): string | undefined {
    if (this.#successor !== undefined) return `process ${this.#successor.pid} has taken over`;
    // The end of process 1 is the end of its container.
    if (Deno.pid === 1) return "process 1 can't be replaced";
    return this.#isUpgrading ? "an upgrade is under way" : undefined;
  }

  /** Starts another master, and leaves everything to it as soon as it can do it as well. */
  async #upgrade(): Promise<void> {
    this.#isUpgrading = true;
    this.#workingDirectory.follow();
    this.#supervisor.lookAfterListeners();
    const { cwd, openFiles } = this.#options.command;
    const upgrade = await tryUpgrade({
      generation: this.#supervisor.generation,
      lock: this.#lock!,
      logSocket: this.#logService?.bound,
      given: this.#listeners.given,
      listeners: this.#supervisor.listeners.filter(([, one]) => !this.#listeners.isGiven(one)),
      services: this.#supervisor.serving,
    }, {
      command: (fd) => successorCommand(this.#options.command, fd),
      // What is wrong with relative paths then, the new master says better.
      cwd: this.#lookup.isDirectory(cwd) ? cwd : "/",
      env: { ...this.#serviceManager.environment, ...openFilesVariable(openFiles) },
      spawner: systemSpawner,
      poller: this.#poller,
      log,
      onStop: (timeoutMs) => this.#boundEnd(timeoutMs),
      onBound: (generations) => this.#boundGenerations(generations),
      onReopen: () => this.#reopenLogs(),
      timeoutMs: setting(MASTER_UPGRADE_TIMEOUT),
      abortMs: setting(MASTER_STOP_TIMEOUT),
      cancelled: this.#end.promise,
      letGo: () => this.#logService?.pause(),
      takeBack: () => {
        this.#logService?.resume();
        this.#lock!.write(Deno.pid);
      },
    });
    this.#isUpgrading = false;
    if (upgrade !== undefined) this.#retire(upgrade);
  }

  #retire({ successor, dropped }: Upgrade): void {
    this.#successor = successor;
    this.#isInForce = false;
    this.#serviceManager.replacedBy(successor.pid);
    // A stop has said already what is to become of everything.
    if (!this.#stopping) this.#supervisor.retire(dropped);
    this.#logService?.handOver();
    if (this.#wanted.delete("reload")) successor.reload();
    zinfo(`process ${successor.pid} has taken over, this one ends when its servers have finished`);
    this.#end.resolve("retire");
  }

  /**
   * Takes the place of the predecessor.
   *
   * @returns Whether it could be done; if not, the predecessor goes on.
   */
  async #succeed(candidate: Candidate, { lock, logSocket, heirs }: Legacy): Promise<boolean> {
    const predecessor = this.#predecessor!;
    const undone = await Promise.race([
      this.#reloads.succeed(candidate),
      this.#end.promise.then(() => undefined),
    ]);
    if (undone === undefined) return false;
    if (undone.length > 0) {
      if (!predecessor.isGone) return false;
      zinfo("the old master is gone, so this one goes on all the same");
      await this.#reloads.start(candidate);
    }
    predecessor.proven();
    await Promise.race([predecessor.takeover, this.#end.promise]);
    if (this.#stopping && !predecessor.isGone) return false;
    await this.#comeIntoForce(logSocket);
    lock.write(Deno.pid);
    const dropped = heirs.atHand();
    // First: who stops there accepts what has come to it before.
    heirs.own(predecessor.isGone ? "close" : "leave");
    predecessor.taken(dropped);
    predecessor.bound(setting(MASTER_MAX_GENERATIONS));
    zinfo("this is the master now");
    this.#isUpgrading = false;
    return true;
  }

  /** Stops everything, and whatever an old master still has. */
  async #stop(): Promise<void> {
    const timeoutMs = setting(MASTER_STOP_TIMEOUT);
    if (this.#isInForce) this.#serviceManager.stopping();
    zinfo(
      `stopping; servers have ${timeoutMs / 1000} s to finish, a second signal shortens that`,
    );
    await Promise.all([
      this.#supervisor.stop(timeoutMs),
      this.#changes,
      this.#isInForce ? this.#predecessor?.end(timeoutMs, this.#hurry.promise) : undefined,
    ]);
    zinfo("stopped");
  }

  /** Bounds the time in which the processes of a master finish that has retired. */
  #boundEnd(timeoutMs: number): void {
    this.#supervisor.stop(timeoutMs);
    this.#predecessor?.stop(timeoutMs);
  }

  #boundGenerations(generations: number): void {
    if (generations < 1) this.#supervisor.stop(TERMINATE_GRACE_MS);
    this.#predecessor?.bound(Math.max(0, generations - 1));
  }
}
