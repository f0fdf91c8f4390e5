/**
 * The run of one master: signals, reloads, upgrades, and the supervisor from start to stop (LIB-ZC
 * section 4).
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
  MASTER_MAX_GENERATIONS,
  MASTER_STOP_TIMEOUT,
  MASTER_UPGRADE_TIMEOUT,
} from "../config/settings.ts";
import { closeLog, flushLog, zdebug, zinfo, zinfoFrom } from "../log/log.ts";
import { describeExit, type ExitStatus } from "../os/process/child_process.ts";
import { systemClock } from "../os/clock/clock.ts";
import { keepDescriptorsFromChildren } from "../os/fd/descriptor.ts";
import { onInspectorSignal } from "../os/process/inspector_signal.ts";
import { keepRunning } from "../os/clock/keep_running.ts";
import { openFilesVariable } from "../os/process/limits.ts";
import { adoptOrphans, adoptsOrphans, reapOrphans } from "../os/process/reap.ts";
import { OutputFiles } from "../os/fs/output_files.ts";
import { Poller } from "../os/fd/poller.ts";
import { processSignals, releaseSignals } from "../os/process/signals.ts";
import { systemSpawner } from "../os/process/spawn.ts";
import { WorkingDirectory } from "../os/process/working_directory.ts";
import { isUserError } from "../ipc/user_error.ts";
import { ownActivation, readActivation } from "./listeners/socket_activation.ts";
import {
  configureMasterLog,
  MasterConfiguration,
  type NewConfiguration,
  setting,
} from "./services/configuration.ts";
import { Duty } from "./duty.ts";
import { ListenerOwners } from "./listeners/owners.ts";
import type { MasterServerHooks } from "./services/hooks.ts";
import { systemListeners } from "./listeners/system.ts";
import { type MasterPhase, NEXT_PHASES } from "./phase.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import type { Listener } from "./policy/listener.ts";
import { TERMINATE_GRACE_MS } from "./policy/decide.ts";
import { type Inheritance, OldMaster } from "./upgrade/old_master.ts";
import { isAccepted, type ReloadReport, ServiceError } from "./policy/reload_report.ts";
import { Reloads } from "./reload.ts";
import { Changes } from "./changes.ts";
import { MasterControl } from "./control/master_control.ts";
import { takeLastOutput } from "./workers/outputs.ts";
import { SystemdNotify } from "./systemd_notify.ts";
import { type NewMaster, tryUpgrade, type Upgrade } from "./upgrade/new_master.ts";
import { StandingParent, Starter } from "./upgrade/standing_parent.ts";
import type { Supervisor } from "./supervisor/supervisor.ts";
import { systemLookup, systemSupervisor } from "./supervisor/create.ts";
import type { ProgramLookup } from "./services/program_lookup.ts";
import { newMasterCommand, type OwnCommand } from "./upgrade/command.ts";

const log = (text: string): void => zinfoFrom(undefined, text);

/**
 * The minimum time for which an old master remains the fallback, even if its servers end earlier.
 */
const FALLBACK_MS = 2_000;

/** How often a stopping master checks whether another one has started. */
const LOOK_MS = 50;

const STOP_SIGNALS: ReadonlySet<Deno.Signal> = new Set(["SIGTERM", "SIGINT", "SIGQUIT"]);

/** The new master that has taken over from this one. */
interface Takeover {
  readonly newMaster: NewMaster;
  /** Set if this process stays as the parent of all later masters. */
  readonly parent?: StandingParent;
  /**
   * The services that this master resumes if the new one ends unexpectedly; undefined once it is no
   * longer the fallback.
   */
  fallback?: readonly ResolvedService[];
  /** Fulfilled when this master is no longer needed as the fallback. */
  readonly passed: PromiseWithResolvers<void>;
}

/** The options of a master. */
export interface MasterOptions {
  readonly hooks: MasterServerHooks;
  readonly args: ParsedArguments;
  /**
   * Warnings about the arguments.
   *
   * @default {[]}
   */
  readonly warnings?: readonly Problem[];
  /** How this process was started. */
  readonly command: OwnCommand;
  /** The working directory by its name. */
  readonly directory: string;
  /** The socket to the old master, if there is one. */
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
  readonly #stopWanted = Promise.withResolvers<void>();
  readonly #stoppedAll = Promise.withResolvers<void>();
  readonly #hurry = Promise.withResolvers<void>();
  readonly #outputFiles = new OutputFiles();
  /** The old master, until it has ended. */
  readonly #oldMaster?: OldMaster;
  readonly #starter = new Starter();
  /** Whether it reaps orphans. */
  #reaps = adoptsOrphans();
  /** Whether the new master of an upgrade has said that this one is not needed as the fallback. */
  #needsNoFallback = false;
  /** The new master that has taken over, while it runs. */
  #takeover?: Takeover;
  readonly #serviceManager: SystemdNotify;
  /** The activated listeners of this process; a new master gets those of the old one. */
  readonly #activated: readonly Listener[] = [];
  #listeners!: ListenerOwners;
  #supervisor!: Supervisor;
  #reloads!: Reloads;
  #duty?: Duty;
  #phase: MasterPhase = "starting";
  #phaseChanged = Promise.withResolvers<void>();
  /** How often a stop was requested. */
  #stops = 0;
  readonly #releases: (() => void)[] = [];
  readonly #changes = new Changes(() => this.#phase === "serving");
  readonly #startedAtMs = systemClock.nowMs();
  #control?: MasterControl;

  /** @param options The options. */
  constructor(options: MasterOptions) {
    this.#options = options;
    this.#serviceManager = new SystemdNotify({
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
      // Before any process is started, which must not see these variables.
      this.#activated = readActivation(
        ownActivation(options.directory, (text) => zinfo("warning:", text)),
      );
    } else {
      this.#oldMaster = new OldMaster(options.upgradeFd, this.#poller, {
        onReload: () => this.#request("reload"),
        log,
      });
    }
  }

  /**
   * Runs the master until it is stopped, or a new master has replaced it.
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
    const inheritance = await this.#oldMaster?.inherited;
    const candidate = await this.#configuration.load(inheritance?.serving);
    this.#listeners = new ListenerOwners(systemListeners, {
      activated: inheritance?.activated ?? this.#activated,
      inherited: inheritance?.listeners,
    });
    this.#supervisor = systemSupervisor({
      listeners: this.#listeners,
      generation: inheritance?.generation,
      poller: this.#poller,
      lookup: this.#lookup,
      workingDirectory: this.#workingDirectory,
    });
    this.#reloads = new Reloads({
      configuration: this.#configuration,
      supervisor: this.#supervisor,
      listeners: this.#listeners,
      serviceManager: this.#serviceManager,
      workingDirectory: this.#workingDirectory,
      isStopping: () => this.#stops > 0 || this.#phase === "draining",
    });
    // A wrong configuration ends the master before the lock, without an empty pid file.
    if (candidate.problems.length > 0) await this.#reloads.start(candidate);
    // Signals may arrive as soon as the pid can be read.
    const release = this.#takeSignals();
    try {
      return await this.#runOnDuty(candidate, inheritance);
    } finally {
      release();
    }
  }

  async #runOnDuty(candidate: NewConfiguration, inheritance?: Inheritance): Promise<number> {
    const duty = this.#duty = inheritance === undefined
      ? Duty.take()
      : Duty.share(inheritance.lock);
    try {
      if (inheritance === undefined) await duty.openLog();
      configureMasterLog();
      this.#control = this.#newControl();
      if (inheritance === undefined) this.#control.open();
      return await this.#live(candidate, inheritance);
    } finally {
      await this.#control?.close();
      takeLastOutput();
      // The log lines of this master may go to its own log service, which needs a turn to receive
      // them.
      await flushLog();
      closeLog();
      await duty.close();
    }
  }

  async #live(candidate: NewConfiguration, inheritance?: Inheritance): Promise<number> {
    // Signal handlers do not keep the runtime running, and there may be no process to wait for.
    const letEnd = keepRunning();
    this.#serviceManager.beat();
    const exitAfterMs = setting(EXIT_AFTER);
    const exitTimer = exitAfterMs > 0
      ? systemClock.setTimer(
        exitAfterMs,
        () => this.#takeover === undefined && this.#requestStop(),
      )
      : undefined;
    try {
      if (inheritance === undefined) {
        if (this.#stops === 0) await this.#reloads.start(candidate);
      } else if (!await this.#takeOver(candidate, inheritance)) {
        await this.#stop();
        return 1;
      }
      this.#enter("serving");
      for (;;) {
        this.#changes.resume();
        while (this.#phase === "serving") await this.#phaseChanged.promise;
        if (this.#phase === "stopping") {
          await this.#stop();
          return 0;
        }
        const code = await this.#drain();
        if (code !== undefined) return code;
      }
    } finally {
      exitTimer?.cancel();
      this.#serviceManager.close();
      letEnd();
      // An embedding program may continue to run.
      this.#takeover?.newMaster.leave();
      this.#oldMaster?.close();
    }
  }

  #newControl(): MasterControl {
    return new MasterControl({
      poller: this.#poller,
      supervisor: this.#supervisor,
      reloads: this.#reloads,
      configDirectory: this.#directory,
      startedAtMs: this.#startedAtMs,
      phase: () => this.#phase,
      reload: (services) => this.#changes.request("reload", () => this.#reload(services)),
      change: (what, services) =>
        this.#changes.request("services", () => this.#reloads.change(what, services)),
      upgrade: () => {
        const obstacle = this.#obstacleToUpgrade();
        if (obstacle !== undefined) throw new ServiceError("busy", `Cannot upgrade: ${obstacle}`);
        return this.#changes.request("upgrade", () => this.#upgrade());
      },
      stop: () => {
        this.#requestStop();
        return this.#stoppedAll.promise;
      },
      log,
    });
  }

  /** Enters another phase, if the current one can lead there. */
  #enter(phase: MasterPhase): void {
    if (!NEXT_PHASES[this.#phase].includes(phase)) return;
    zdebug(`phase ${phase}, after ${this.#phase}`);
    this.#phase = phase;
    this.#phaseChanged.resolve();
    this.#phaseChanged = Promise.withResolvers();
  }

  #takeSignals(): () => void {
    const on = (signal: Deno.Signal, act: () => void) =>
      processSignals.on(signal, () => this.#passOn(signal) || act());
    const stop = () => this.#requestStop();
    this.#releases.push(
      on("SIGHUP", () => this.#request("reload")),
      on("SIGUSR2", () => this.#request("upgrade")),
      on("SIGTTIN", () => this.#supervisor.scale(+1)),
      on("SIGTTOU", () => this.#supervisor.scale(-1)),
      ...(["SIGTERM", "SIGINT", "SIGQUIT"] as const).map((signal) => on(signal, stop)),
      // The new master reports the signal too, as long as it is connected with this one.
      onInspectorSignal(this.#poller, () => {
        if (!this.#passOn("SIGUSR1") || this.#phase === "waiting") this.#reopenLogs();
      }),
    );
    if (this.#reaps) this.#reapOrphans();
    return () => releaseSignals(this.#releases.splice(0));
  }

  /**
   * Passes a signal on to the current master, if this one stays as its parent: the starter of this
   * process knows only this one.
   *
   * @returns Whether it was passed on.
   */
  #passOn(signal: Deno.Signal): boolean {
    const parent = this.#takeover?.parent;
    if (parent === undefined) return false;
    // A requested stop must not make this master resume.
    if (STOP_SIGNALS.has(signal)) this.#dropFallback();
    parent.passOn(signal);
    return true;
  }

  #reapOrphans(): void {
    this.#reaps = true;
    this.#releases.push(reapOrphans({
      onReaped: (pid, status) => {
        zdebug("reaped orphan", pid);
        this.#takeover?.parent?.reaped(pid, status);
      },
    }));
  }

  /** Reopens the log files after a rotation. */
  #reopenLogs(): void {
    this.#duty?.flushLog();
    const changed = this.#outputFiles.reopen((path, { found }) => {
      const expected = "a file that can be made and written; lines still go to the old one";
      zinfo(cannot("open the log file", path, { found, expected }));
    });
    if (changed.length > 0) this.#supervisor.changeOutputs(changed);
    // The old master writes to the same files until its servers have ended.
    this.#oldMaster?.reopen();
    zinfo("reopened the log files");
  }

  /** The first request stops the servers, the second shortens their time. */
  #requestStop(): void {
    this.#stops++;
    this.#stopWanted.resolve();
    if (this.#stops > 1) {
      this.#hurry.resolve();
      this.#supervisor.shortenStop();
      this.#oldMaster?.stop(TERMINATE_GRACE_MS);
    } else if (this.#phase === "draining") this.#limitDrain(setting(MASTER_STOP_TIMEOUT));
    else this.#enter("stopping");
  }

  /**
   * Queues at most one change of each kind. After a takeover, reloads are left to the new master.
   */
  #request(change: "reload" | "upgrade"): void {
    const newMaster = this.#takeover?.newMaster;
    if (newMaster !== undefined && change === "reload") return newMaster.reload();
    const obstacle = change === "upgrade" ? this.#obstacleToUpgrade() : undefined;
    if (obstacle !== undefined) return zinfo(`ignored a SIGUSR2: ${obstacle}`);
    if (this.#changes.isWaiting(change)) return;
    const run = (): Promise<unknown> => change === "upgrade" ? this.#upgrade() : this.#reload();
    this.#changes.request(change, run).catch((error) => {
      // A bug in this program; the master continues, and accepts further changes.
      if (!(error instanceof ServiceError)) zinfo("unexpected error:", error);
    });
  }

  /** Reads the configuration and rolls it out; with services, only their parts of it. */
  async #reload(services?: readonly string[]): Promise<ReloadReport> {
    await this.#duty!.mendLog();
    const report = await this.#reloads.reload(services && new Set(services));
    // The old master would restore an outdated configuration from now on.
    if (isAccepted(report)) this.#oldMaster?.settled();
    return report;
  }

  #obstacleToUpgrade(): string | undefined {
    const newMaster = this.#takeover?.newMaster;
    if (newMaster !== undefined) return `process ${newMaster.pid} has taken over`;
    const isNew = this.#oldMaster !== undefined && this.#phase === "starting";
    return isNew || this.#changes.current === "upgrade" ? "an upgrade is under way" : undefined;
  }

  /**
   * Starts a new master, and hands over to it once it is ready.
   *
   * @returns The pid of the new master; undefined if this one continues.
   */
  async #upgrade(): Promise<number | undefined> {
    this.#workingDirectory.follow();
    this.#supervisor.lookAfterListeners();
    const { cwd, openFiles } = this.#options.command, duty = this.#duty!;
    // A master with an old master relies on that one to stay as the parent.
    const stays = this.#oldMaster === undefined &&
      this.#starter.waits(this.#serviceManager.isTold);
    if (stays && !this.#reaps) {
      adoptOrphans();
      this.#reapOrphans();
    }
    this.#needsNoFallback = false;
    const upgrade = await tryUpgrade({
      generation: this.#supervisor.generation,
      lock: duty.lock,
      logSocket: duty.logSocket,
      activated: this.#listeners.activated,
      listeners: this.#supervisor.listeners.filter(({ owner }) => owner !== "activation"),
      services: this.#supervisor.serving,
    }, {
      command: (fd) => newMasterCommand(this.#options.command, fd),
      // The new master reports errors about relative paths better.
      cwd: this.#lookup.isDirectory(cwd) ? cwd : "/",
      env: { ...this.#serviceManager.environment, ...openFilesVariable(openFiles) },
      spawner: systemSpawner,
      poller: this.#poller,
      log,
      onStop: (timeoutMs) => this.#limitDrain(timeoutMs),
      onBound: (generations) => this.#limitGenerations(generations),
      onReopen: () => this.#reopenLogs(),
      onSettled: () => this.#dropFallback(),
      timeoutMs: setting(MASTER_UPGRADE_TIMEOUT),
      abortMs: setting(MASTER_STOP_TIMEOUT),
      cancelled: this.#stopWanted.promise,
      letGo: () => duty.pause(),
      takeBack: () => duty.resume(),
    });
    if (upgrade !== undefined) this.#retire(upgrade, stays);
    return upgrade?.newMaster.pid;
  }

  #retire({ newMaster, dropped }: Upgrade, stays: boolean): void {
    const duty = this.#duty!;
    duty.leave();
    this.#serviceManager.replacedBy(newMaster.pid);
    const parent = stays ? new StandingParent(newMaster.pid, duty.lock) : undefined;
    const takeover: Takeover = { newMaster, parent, passed: Promise.withResolvers() };
    this.#takeover = takeover;
    // A stop has already decided what happens to the processes.
    if (this.#stops === 0) {
      // This master is the fallback from now on.
      this.#oldMaster?.settled();
      takeover.fallback = this.#supervisor.current;
      for (const [key, slots] of this.#supervisor.retire(dropped)) this.#listeners.keep(key, slots);
      this.#enter("draining");
      if (this.#needsNoFallback) this.#dropFallback();
    }
    if (this.#changes.isWaiting("reload")) newMaster.reload();
    this.#changes.cancel(
      new ServiceError("busy", `Cannot change services: process ${newMaster.pid} has taken over`),
    );
    this.#control?.withdraw();
    const until = stays
      ? "this one stays as its parent"
      : "this one ends when its servers have finished";
    zinfo(`process ${newMaster.pid} has taken over, ${until}`);
  }

  /**
   * Waits until the servers of this master and of older masters have ended; as a parent, until the
   * last master has ended.
   *
   * @returns The exit code; undefined if this master has resumed, because the new master has ended.
   */
  async #drain(): Promise<number | undefined> {
    const { newMaster, parent, passed } = this.#takeover!;
    const timer = systemClock.setTimer(FALLBACK_MS, passed.resolve);
    const finished = Promise.all([
      passed.promise,
      this.#supervisor.stopped,
      this.#oldMaster?.gone,
    ])
      .then(() => undefined);
    const status = await Promise.race([finished, newMaster.exited]);
    if (status !== undefined) {
      timer.cancel();
      if (await this.#resume(status)) return undefined;
      passed.resolve();
      // The starter waits for this process before it can start another one.
      if (parent !== undefined && !parent.hasAdopted) this.#limitDrain(TERMINATE_GRACE_MS);
    }
    await finished;
    this.#dropFallback();
    if (parent === undefined) return status === undefined ? 0 : exitCodeOf(status);
    this.#enter("waiting");
    newMaster.drained();
    zinfo(`its servers have finished, it waits for process ${parent.pid}`);
    return exitCodeOf(await parent.ended(newMaster.exited));
  }

  /**
   * Resumes the services after the new master has ended unexpectedly.
   *
   * @param status The exit status of the new master.
   * @returns Whether that was possible.
   */
  async #resume(status: ExitStatus): Promise<boolean> {
    const takeover = this.#takeover!, { newMaster, fallback } = takeover;
    if (fallback === undefined) return false;
    takeover.fallback = undefined;
    this.#changes.hold();
    const how = `process ${newMaster.pid}, which had taken over, has ended: ${
      describeExit(status)
    }`;
    try {
      if (!await this.#duty!.takeBack()) {
        zinfo(`${how}; another master has its place`);
        this.#dropFallback();
        return false;
      }
      zinfo(`${how}; this one goes on as before the upgrade`);
      this.#takeover = undefined;
      this.#enter("serving");
      this.#serviceManager.resume();
      this.#control?.open();
      await this.#reloads.resume(fallback);
      this.#listeners.own("close");
    } catch (error) {
      zinfo(`${how}; this one can't go on as before:`, isUserError(error) ? error.message : error);
      this.#duty!.giveUp();
      this.#takeover = takeover;
      this.#enter("draining");
      this.#dropFallback();
      return false;
    }
    if (this.#stops > 0) this.#enter("stopping");
    return true;
  }

  /** Closes what was kept in case that the new master ends. */
  #dropFallback(): void {
    this.#needsNoFallback = true;
    if (this.#takeover !== undefined) this.#takeover.fallback = undefined;
    this.#takeover?.passed.resolve();
    this.#listeners.own("leave");
    this.#oldMaster?.settled();
  }

  /**
   * Takes over from the old master.
   *
   * @returns Whether that was possible; if not, the old master continues.
   */
  async #takeOver(candidate: NewConfiguration, { logSocket }: Inheritance): Promise<boolean> {
    const oldMaster = this.#oldMaster!;
    const undone = await Promise.race([
      this.#reloads.succeed(candidate),
      this.#stopWanted.promise.then(() => undefined),
    ]);
    if (undone === undefined) return false;
    if (undone.length > 0) {
      if (!oldMaster.isGone) return false;
      zinfo("the old master is gone, so this one goes on all the same");
      await this.#reloads.start(candidate);
    }
    oldMaster.proven();
    await Promise.race([oldMaster.takeover, this.#stopWanted.promise]);
    if (this.#stops > 0 && !oldMaster.isGone) return false;
    await this.#duty!.assume(logSocket);
    this.#control?.open({ replaces: true });
    const dropped = this.#listeners.atHand();
    // Before the old master is told, so that its servers still accept the connections in their
    // queues.
    this.#listeners.own(oldMaster.isGone ? "close" : "leave");
    oldMaster.taken(dropped);
    oldMaster.bound(setting(MASTER_MAX_GENERATIONS));
    zinfo("this is the master now");
    return true;
  }

  /** Stops everything, including what an old master still runs. */
  async #stop(): Promise<void> {
    const timeoutMs = setting(MASTER_STOP_TIMEOUT), duty = this.#duty!;
    const wasMaster = duty.isHeld;
    if (wasMaster) this.#serviceManager.stopping();
    zinfo(
      `stopping; servers have ${timeoutMs / 1000} s to finish, a second signal shortens that`,
    );
    const stopped = this.#supervisor.stop(timeoutMs);
    if (wasMaster) {
      // Before the servers end, so that another master can start meanwhile.
      duty.giveUp();
      this.#control?.withdraw();
      this.#surrenderWhenTaken(stopped);
    }
    await Promise.all([
      stopped,
      this.#changes.idle,
      wasMaster ? this.#oldMaster?.end(timeoutMs, this.#hurry.promise) : undefined,
    ]);
    zinfo("stopped");
    this.#stoppedAll.resolve();
  }

  /** Gives up the addresses that some servers still hold, once another master has started. */
  async #surrenderWhenTaken(stopped: Promise<void>): Promise<void> {
    let isOver = false;
    stopped.then(() => isOver = true);
    while (!isOver) {
      if (this.#duty!.isTaken()) {
        zinfo("another master has started, the addresses are its own");
        return await this.#supervisor.surrender();
      }
      await new Promise<void>((resolve) => systemClock.setTimer(LOOK_MS, resolve));
    }
  }

  /** Limits the drain time of the processes of a retired master. */
  #limitDrain(timeoutMs: number): void {
    this.#dropFallback();
    this.#supervisor.stop(timeoutMs);
    this.#oldMaster?.stop(timeoutMs);
  }

  #limitGenerations(generations: number): void {
    if (generations < 1) {
      this.#dropFallback();
      this.#supervisor.stop(TERMINATE_GRACE_MS);
    }
    this.#oldMaster?.bound(Math.max(0, generations - 1));
  }
}

/** The exit code of a process that waits for another one. */
function exitCodeOf({ code }: ExitStatus): number {
  return code < 0 ? 1 : code;
}
