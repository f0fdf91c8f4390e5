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
  MASTER_MAX_GENERATIONS,
  MASTER_STOP_TIMEOUT,
  MASTER_UPGRADE_TIMEOUT,
} from "../config/settings.ts";
import { closeLog, flushLog, zdebug, zinfo, zinfoFrom } from "../log/log.ts";
import type { ServiceConfig } from "../config/service.ts";
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
import {
  type ActivatedListener,
  ownActivation,
  readActivation,
} from "./listeners/socket_activation.ts";
import {
  type Candidate,
  configureMasterLog,
  MasterConfiguration,
  setting,
} from "./services/configuration.ts";
import { Duty } from "./duty.ts";
import { ActivatedListeners } from "./listeners/activated.ts";
import { type InheritedListeners, inheritedListeners } from "./listeners/inherited.ts";
import type { MasterServerHooks } from "./services/hooks.ts";
import { systemListeners } from "./listeners/system.ts";
import { type MasterPhase, NEXT_PHASES } from "./phase.ts";
import { TERMINATE_GRACE_MS } from "./policy/decide.ts";
import { type Inheritance, OldMaster } from "./upgrade/old_master.ts";
import type { ReloadPlan } from "./policy/reload_plan.ts";
import { type ReloadReport, Reloads } from "./reload.ts";
import { takeLastOutput } from "./workers/outputs.ts";
import { SystemdNotify } from "./systemd_notify.ts";
import { type NewMaster, tryUpgrade, type Upgrade } from "./upgrade/new_master.ts";
import { StandingParent, Starter } from "./upgrade/standing_parent.ts";
import type { Supervisor } from "./supervisor/supervisor.ts";
import { systemLookup, systemSupervisor } from "./supervisor/create.ts";
import type { ProgramLookup } from "./services/command.ts";
import { type OwnCommand, successorCommand } from "./upgrade/command.ts";

const log = (text: string): void => zinfoFrom(undefined, text);

/** How long an old master is the way back at least, however soon its servers have finished. */
const WAY_BACK_MS = 2_000;

/** How often a master that ends looks whether another one has started. */
const LOOK_MS = 50;

const STOP_SIGNALS: ReadonlySet<Deno.Signal> = new Set(["SIGTERM", "SIGINT", "SIGQUIT"]);

/** Another master, which has the duty. */
interface Succession {
  readonly newMaster: NewMaster;
  /** Set where this process has to stay for as long as any master after it. */
  readonly parent?: StandingParent;
  /**
   * What this master takes up again if the other one ends without a word; undefined once there is no
   * way back.
   */
  fallback?: readonly ServiceConfig[];
  /** Fulfilled when there need not be a way back any more. */
  readonly passed: PromiseWithResolvers<void>;
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
  readonly #stopWanted = Promise.withResolvers<void>();
  readonly #hurry = Promise.withResolvers<void>();
  readonly #outputFiles = new OutputFiles();
  /** The master whose place this one takes, until it has ended. */
  readonly #oldMaster?: OldMaster;
  readonly #starter = new Starter();
  /** Whether it reaps orphans. */
  #reaps = adoptsOrphans();
  /** Whether the new master has said, in an upgrade, that this one need not be the way back. */
  #isSettled = false;
  /** The master that has taken this one's place, while it has it. */
  #succession?: Succession;
  readonly #serviceManager: SystemdNotify;
  /** What this process was started with; a new master has that of the old one. */
  readonly #given: readonly ActivatedListener[] = [];
  #listeners!: ActivatedListeners;
  #supervisor!: Supervisor;
  #reloads!: Reloads;
  #inherited!: InheritedListeners;
  #duty?: Duty;
  #phase: MasterPhase = "starting";
  #phaseChanged = Promise.withResolvers<void>();
  /** How often a stop was asked for. */
  #stops = 0;
  readonly #releases: (() => void)[] = [];
  readonly #wanted = new Set<"reload" | "upgrade">();
  /** What is under way; the start counts as a change, so that what is asked for meanwhile comes after it. */
  #change: "start" | "reload" | "upgrade" | undefined = "start";
  #changes = Promise.resolve();

  /** @param options What it is started with. */
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
      // Here and now: no process that is started may see what is read.
      this.#given = readActivation(
        ownActivation(options.directory, (text) => zinfo("warning:", text)),
      );
    } else {
      this.#oldMaster = new OldMaster(options.upgradeFd, this.#poller, {
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
    const inheritance = await this.#oldMaster?.inherited;
    const candidate = await this.#configuration.load(inheritance?.serving);
    this.#inherited = inheritedListeners(systemListeners, inheritance?.listeners ?? new Map());
    this.#listeners = new ActivatedListeners(inheritance?.given ?? this.#given, this.#inherited);
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
      isStopping: () => this.#stops > 0 || this.#phase === "draining",
    });
    // A mistake ends it here, before the lock: that leaves not even an empty pid file behind.
    if (candidate.problems.length > 0) await this.#reloads.start(candidate);
    // Signals may come as soon as the pid can be read.
    const release = this.#takeSignals();
    try {
      return await this.#runOnDuty(candidate, inheritance);
    } finally {
      release();
    }
  }

  async #runOnDuty(candidate: Candidate, inheritance?: Inheritance): Promise<number> {
    const duty = this.#duty = inheritance === undefined
      ? Duty.take()
      : Duty.share(inheritance.lock);
    try {
      if (inheritance === undefined) await duty.openLog();
      configureMasterLog();
      return await this.#live(candidate, inheritance);
    } finally {
      takeLastOutput();
      // The lines of this master may go to its own log service, which needs a turn to take them.
      await flushLog();
      closeLog();
      await duty.close();
    }
  }

  async #live(candidate: Candidate, inheritance?: Inheritance): Promise<number> {
    // Signals alone don't keep the runtime from ending, and there may be no process to wait for.
    const letEnd = keepRunning();
    this.#serviceManager.beat();
    const exitAfterMs = setting(EXIT_AFTER);
    const exitTimer = exitAfterMs > 0
      ? systemClock.setTimer(
        exitAfterMs,
        () => this.#succession === undefined && this.#requestStop(),
      )
      : undefined;
    try {
      if (inheritance === undefined) {
        if (this.#stops === 0) await this.#reloads.start(candidate);
      } else if (!await this.#succeed(candidate, inheritance)) {
        await this.#stop();
        return 1;
      }
      this.#enter("serving");
      for (;;) {
        this.#changes = this.#work();
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
      // A program around this one may have more to do, or just come to its end.
      this.#succession?.newMaster.leave();
      this.#oldMaster?.close();
    }
  }

  /** Goes on to another phase, if the present one can lead there. */
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
      // The new master says so in turn, as long as it knows this one.
      onInspectorSignal(this.#poller, () => {
        if (!this.#passOn("SIGUSR1") || this.#phase === "waiting") this.#reopenLogs();
      }),
    );
    if (this.#reaps) this.#reapOrphans();
    return () => releaseSignals(this.#releases.splice(0));
  }

  /**
   * Passes a signal on to the master that has the duty, where this one stays as its parent: whoever has
   * started this process knows no other one.
   *
   * @returns Whether it was passed on.
   */
  #passOn(signal: Deno.Signal): boolean {
    const parent = this.#succession?.parent;
    if (parent === undefined) return false;
    // The end of that one is wanted then.
    if (STOP_SIGNALS.has(signal)) this.#giveUpWayBack();
    parent.passOn(signal);
    return true;
  }

  #reapOrphans(): void {
    this.#reaps = true;
    this.#releases.push(reapOrphans({
      onReaped: (pid, status) => {
        zdebug("reaped orphan", pid);
        this.#succession?.parent?.reaped(pid, status);
      },
    }));
  }

  /** For who has renamed log files, to begin new ones. */
  #reopenLogs(): void {
    this.#duty?.flushLog();
    const changed = this.#outputFiles.reopen((path, { found }) => {
      const expected = "a file that can be made and written; lines still go to the old one";
      zinfo(cannot("open the log file", path, { found, expected }));
    });
    if (changed.length > 0) this.#supervisor.changeOutputs(changed);
    // It writes to the same files for as long as its servers finish.
    this.#oldMaster?.reopen();
    zinfo("reopened the log files");
  }

  /** The first time it asks, the second time it hurries. */
  #requestStop(): void {
    this.#stops++;
    this.#stopWanted.resolve();
    if (this.#stops > 1) {
      this.#hurry.resolve();
      this.#supervisor.shortenStop();
      this.#oldMaster?.stop(TERMINATE_GRACE_MS);
    } else if (this.#phase === "draining") this.#boundEnd(setting(MASTER_STOP_TIMEOUT));
    else this.#enter("stopping");
  }

  /**
   * However many signals come: one change runs, and at most one of each kind waits. Once another
   * master has taken over, reloads are its business.
   */
  #request(change: "reload" | "upgrade"): void {
    const newMaster = this.#succession?.newMaster;
    if (newMaster !== undefined && change === "reload") return newMaster.reload();
    const obstacle = change === "upgrade" ? this.#obstacleToUpgrade() : undefined;
    if (obstacle !== undefined) return zinfo(`ignored a SIGUSR2: ${obstacle}`);
    this.#wanted.add(change);
    if (this.#change === undefined) this.#changes = this.#work();
  }

  async #work(): Promise<void> {
    while (this.#wanted.size > 0 && this.#phase === "serving") {
      try {
        this.#change = this.#wanted.has("reload") ? "reload" : "upgrade";
        this.#wanted.delete(this.#change);
        if (this.#change === "upgrade") await this.#upgrade();
        else {
          await this.#duty!.mendLog();
          // From then on the old master would bring back what is not wanted any more.
          if (await this.#reloads.reload()) this.#oldMaster?.settled();
        }
      } catch (error) {
        // A fault of this program; it is no reason to end, nor to refuse the next change.
        zinfo("unexpected error:", error);
      }
    }
    this.#change = undefined;
  }

  #obstacleToUpgrade(): string | undefined {
    const newMaster = this.#succession?.newMaster;
    if (newMaster !== undefined) return `process ${newMaster.pid} has taken over`;
    const isNew = this.#oldMaster !== undefined && this.#phase === "starting";
    return isNew || this.#change === "upgrade" ? "an upgrade is under way" : undefined;
  }

  /** Starts another master, and leaves everything to it as soon as it can do it as well. */
  async #upgrade(): Promise<void> {
    this.#workingDirectory.follow();
    this.#supervisor.lookAfterListeners();
    const { cwd, openFiles } = this.#options.command, duty = this.#duty!;
    // A master that was started by another one has left that to it.
    const stays = this.#oldMaster === undefined &&
      this.#starter.waits(this.#serviceManager.isTold);
    if (stays && !this.#reaps) {
      adoptOrphans();
      this.#reapOrphans();
    }
    this.#isSettled = false;
    const upgrade = await tryUpgrade({
      generation: this.#supervisor.generation,
      lock: duty.lock,
      logSocket: duty.logSocket,
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
      onSettled: () => this.#giveUpWayBack(),
      timeoutMs: setting(MASTER_UPGRADE_TIMEOUT),
      abortMs: setting(MASTER_STOP_TIMEOUT),
      cancelled: this.#stopWanted.promise,
      letGo: () => duty.pause(),
      takeBack: () => duty.resume(),
    });
    if (upgrade !== undefined) this.#retire(upgrade, stays);
  }

  #retire({ newMaster, dropped }: Upgrade, stays: boolean): void {
    const duty = this.#duty!;
    duty.leave();
    this.#serviceManager.replacedBy(newMaster.pid);
    const parent = stays ? new StandingParent(newMaster.pid, duty.lock) : undefined;
    const succession: Succession = { newMaster, parent, passed: Promise.withResolvers() };
    this.#succession = succession;
    // A stop has said already what is to become of everything.
    if (this.#stops === 0) {
      // This one is the way back from now on.
      this.#oldMaster?.settled();
      succession.fallback = this.#supervisor.current;
      for (const [key, slots] of this.#supervisor.retire(dropped)) this.#listeners.keep(key, slots);
      this.#enter("draining");
      if (this.#isSettled) this.#giveUpWayBack();
    }
    if (this.#wanted.delete("reload")) newMaster.reload();
    const until = stays
      ? "this one stays as its parent"
      : "this one ends when its servers have finished";
    zinfo(`process ${newMaster.pid} has taken over, ${until}`);
  }

  /**
   * Waits until its servers have finished, and those of the masters before it; as a parent, until the
   * last master has ended.
   *
   * @returns The exit code; undefined where it has come back: the other master has ended meanwhile.
   */
  async #drain(): Promise<number | undefined> {
    const { newMaster, parent, passed } = this.#succession!;
    const timer = systemClock.setTimer(WAY_BACK_MS, passed.resolve);
    const finished = Promise.all([
      passed.promise,
      this.#supervisor.stopped,
      this.#oldMaster?.gone,
    ])
      .then(() => undefined);
    const status = await Promise.race([finished, newMaster.exited]);
    if (status !== undefined) {
      timer.cancel();
      if (await this.#comeBack(status)) return undefined;
      passed.resolve();
      // Whoever waits for this process can start another one only then.
      if (parent !== undefined && !parent.hasAdopted) this.#boundEnd(TERMINATE_GRACE_MS);
    }
    await finished;
    this.#giveUpWayBack();
    if (parent === undefined) return status === undefined ? 0 : exitCodeOf(status);
    this.#enter("waiting");
    newMaster.drained();
    zinfo(`its servers have finished, it waits for process ${parent.pid}`);
    return exitCodeOf(await parent.ended(newMaster.exited));
  }

  /**
   * Takes everything up again that another master had, which has ended without a word.
   *
   * @param status How it has ended.
   * @returns Whether it could be done.
   */
  async #comeBack(status: ExitStatus): Promise<boolean> {
    const succession = this.#succession!, { newMaster, fallback } = succession;
    if (fallback === undefined) return false;
    succession.fallback = undefined;
    this.#change = "start";
    const how = `process ${newMaster.pid}, which had taken over, has ended: ${
      describeExit(status)
    }`;
    try {
      if (!await this.#duty!.takeBack()) {
        zinfo(`${how}; another master has its place`);
        this.#giveUpWayBack();
        return false;
      }
      zinfo(`${how}; this one goes on as before the upgrade`);
      this.#succession = undefined;
      this.#enter("serving");
      this.#serviceManager.resume();
      await this.#reloads.resume(fallback);
      this.#inherited.own("close");
    } catch (error) {
      zinfo(`${how}; this one can't go on as before:`, isUserError(error) ? error.message : error);
      this.#duty!.giveUp();
      this.#succession = succession;
      this.#enter("draining");
      this.#giveUpWayBack();
      return false;
    }
    if (this.#stops > 0) this.#enter("stopping");
    return true;
  }

  /** Closes what was kept for the case that the other master ends. */
  #giveUpWayBack(): void {
    this.#isSettled = true;
    if (this.#succession !== undefined) this.#succession.fallback = undefined;
    this.#succession?.passed.resolve();
    this.#inherited.own("leave");
    this.#oldMaster?.settled();
  }

  /**
   * Takes the place of the predecessor.
   *
   * @returns Whether it could be done; if not, the predecessor goes on.
   */
  async #succeed(candidate: Candidate, { logSocket }: Inheritance): Promise<boolean> {
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
    const dropped = this.#inherited.atHand();
    // First: who stops there accepts what has come to it before.
    this.#inherited.own(oldMaster.isGone ? "close" : "leave");
    oldMaster.taken(dropped);
    oldMaster.bound(setting(MASTER_MAX_GENERATIONS));
    zinfo("this is the master now");
    return true;
  }

  /** Stops everything, and whatever an old master still has. */
  async #stop(): Promise<void> {
    const timeoutMs = setting(MASTER_STOP_TIMEOUT), duty = this.#duty!;
    const wasMaster = duty.isHeld;
    if (wasMaster) this.#serviceManager.stopping();
    zinfo(
      `stopping; servers have ${timeoutMs / 1000} s to finish, a second signal shortens that`,
    );
    const stopped = this.#supervisor.stop(timeoutMs);
    if (wasMaster) {
      // At once, so that another one can start while the servers of this one finish.
      duty.giveUp();
      this.#surrenderWhenTaken(stopped);
    }
    await Promise.all([
      stopped,
      this.#changes,
      wasMaster ? this.#oldMaster?.end(timeoutMs, this.#hurry.promise) : undefined,
    ]);
    zinfo("stopped");
  }

  /** Gives up the addresses that some servers still have, once another master has started. */
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

  /** Bounds the time in which the processes of a master finish that has retired. */
  #boundEnd(timeoutMs: number): void {
    this.#giveUpWayBack();
    this.#supervisor.stop(timeoutMs);
    this.#oldMaster?.stop(timeoutMs);
  }

  #boundGenerations(generations: number): void {
    if (generations < 1) {
      this.#giveUpWayBack();
      this.#supervisor.stop(TERMINATE_GRACE_MS);
    }
    this.#oldMaster?.bound(Math.max(0, generations - 1));
  }
}

/** How a process that stands for another one is to end. */
function exitCodeOf({ code }: ExitStatus): number {
  return code < 0 ? 1 : code;
}
