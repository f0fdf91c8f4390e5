/**
 * The run of one master from its settings to its end, put together of its parts (LIB-ZC section 4).
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import type { ParsedArguments } from "../config/args.ts";
import { defaultConfig } from "../config/config.ts";
import { cannot, type Problem } from "../config/errors.ts";
import {
  CONFIG_DIR,
  DEBUG_CONFIG,
  EXIT_AFTER,
  LOG_FORMAT,
  RUN_CHROOT,
} from "../config/settings.ts";
import { jsonRecord, textRecord } from "../log/formats.ts";
import {
  closeLog,
  flushLog,
  logLine,
  logRecords,
  tapLog,
  zerror,
  zinfo,
  zwarn,
} from "../log/log.ts";
import type { LogLevel } from "../log/record.ts";
import { systemClock } from "../os/clock/clock.ts";
import { keepRunning } from "../os/clock/keep_running.ts";
import { keepDescriptorsFromChildren } from "../os/fd/descriptor.ts";
import { Poller } from "../os/fd/poller.ts";
import { OutputFiles } from "../os/fs/output_files.ts";
import { releaseSignals } from "../os/process/signals.ts";
import { WorkingDirectory } from "../os/process/working_directory.ts";
import { mayGiveTo } from "../os/user/credentials.ts";
import { beginUpgrade } from "./begin_upgrade.ts";
import { ChangeReports } from "./change_reports.ts";
import { Changes } from "./changes.ts";
import { MasterControl } from "./control/master_control.ts";
import { Counters } from "./counters/counters.ts";
import { CurrentPhase } from "./current_phase.ts";
import { Duty } from "./duty.ts";
import { ListenerOwners } from "./listeners/owners.ts";
import { ownActivation, readActivation } from "./listeners/socket_activation.ts";
import { systemListeners } from "./listeners/system.ts";
import type { MasterParts } from "./master_parts.ts";
import { OperatorRequests } from "./operator_requests.ts";
import { Orphans } from "./orphans.ts";
import { masterLockWatch } from "./lock_watch.ts";
import { OutputLog } from "./outputs/output_log.ts";
import { ServerOutputs } from "./outputs/server_outputs.ts";
import type { Listener } from "./policy/listener.ts";
import { Reloads } from "./reload.ts";
import { Retirement } from "./retirement.ts";
import { ServiceChanges } from "./service_changes.ts";
import { metricsUser } from "./services/metrics.ts";
import type { ProgramLookup } from "./services/program_lookup.ts";
import {
  configureMasterLog,
  MasterConfiguration,
  type NewConfiguration,
  setting,
} from "./services/configuration.ts";
import { type MasterServerHooks, ownServerNames } from "./services/hooks.ts";
import { takeSignals } from "./signals.ts";
import { stopEverything } from "./stop.ts";
import { StopRequests } from "./stop_requests.ts";
import { systemLookup, systemSupervisor } from "./supervisor/create.ts";
import type { Supervisor } from "./supervisor/supervisor.ts";
import { SystemdNotify } from "./systemd_notify.ts";
import { takeOver } from "./take_over.ts";
import type { OwnCommand } from "./upgrade/command.ts";
import type { UpgradeFailure } from "./upgrade/new_master.ts";
import { type Inheritance, OldMaster } from "./upgrade/old_master.ts";
import { Starter } from "./upgrade/standing_parent.ts";
import { CounterExchange } from "./counter_exchange.ts";

const log = (text: string, level: LogLevel = "info"): void => logLine(level, text);

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
  readonly #poller = new Poller((error) => zerror("unexpected error:", error));
  readonly #outputFiles = new OutputFiles();
  readonly #outputLog = new OutputLog({
    clock: systemClock,
    now: Date.now,
    write: logRecords,
    mayRotate: () => this.#isOnDuty,
    encoder: () => setting(LOG_FORMAT) === "json" ? jsonRecord : textRecord,
    onLines: (lines) => this.#parts?.control.tellLines(lines),
    log,
  });
  readonly #outputs = new ServerOutputs({
    poller: this.#poller,
    clock: systemClock,
    mayGiveTo,
    now: Date.now,
    onRecords: (service, records) => this.#outputLog.take(service, records),
    log,
  });
  /** The old master, if there was one. */
  readonly #oldMaster?: OldMaster;
  readonly #starter = new Starter();
  readonly #lockWatch = masterLockWatch(this.#poller);
  readonly #orphans = new Orphans((pid, status) => this.#retirement?.reaped(pid, status));
  readonly #serviceManager: SystemdNotify;
  /** The activated listeners of this process; a new master gets those of the old one. */
  readonly #activated: readonly Listener[] = [];
  readonly #phase = new CurrentPhase();
  readonly #stops = new StopRequests();
  readonly #counters = new Counters();
  readonly #counts: CounterExchange;
  readonly #changes = new Changes(() => this.#phase.is("serving"));
  readonly #requests = new OperatorRequests({
    ...{ phase: this.#phase, stops: this.#stops, changes: this.#changes },
    parts: () => this.#parts!,
    retirement: () => this.#retirement,
    upgrade: () => this.#upgrade(),
  });
  readonly #startedAtMs = systemClock.nowMs();
  #supervisor!: Supervisor;
  /** Undefined until this master has the lock, or shares it; so is the retirement. */
  #parts?: MasterParts;
  #retirement?: Retirement;

  /** @param options The options. */
  constructor(options: MasterOptions) {
    this.#options = options;
    this.#counts = new CounterExchange(this.#counters, options.upgradeFd !== undefined);
    this.#serviceManager = new SystemdNotify({
      env: Deno.env,
      pid: Deno.pid,
      clock: systemClock,
      hasBeenReady: options.upgradeFd !== undefined,
      warn: (text) => zwarn(text),
    });
    this.#directory = setting(CONFIG_DIR);
    this.#workingDirectory = new WorkingDirectory(options.directory, log);
    this.#lookup = systemLookup(options.command, ownServerNames(options.hooks));
    this.#configuration = new MasterConfiguration(options.args, {
      directory: this.#directory,
      hook: options.hooks.loadConfig,
      cwd: options.directory,
      lookup: this.#lookup,
    }, options.warnings);
    if (options.upgradeFd === undefined) {
      // Before any process is started, which must not see these variables.
      this.#activated = readActivation(
        ownActivation(options.directory, (text) => zwarn(text)),
      );
    } else {
      this.#oldMaster = new OldMaster(options.upgradeFd, this.#poller, {
        onReload: () => this.#requests.reload(),
        onRecords: (records) => this.#outputLog.adopt(records),
        onCounted: (increments) => this.#counts.fromOld(increments),
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
    tapLog((record) => this.#outputLog.keep(record));
    if (setting(DEBUG_CONFIG)) {
      const { renderSettings } = await import("../config/debug_config.ts");
      console.log(renderSettings(defaultConfig));
    }
    await this.#options.hooks.beforeService?.();
    const inheritance = await this.#oldMaster?.inherited;
    const loaded = await this.#configuration.load(inheritance?.serving);
    const listeners = new ListenerOwners(systemListeners, {
      activated: inheritance?.activated ?? this.#activated,
      inherited: inheritance?.listeners,
    });
    const tell: MasterControl["tell"] = (event) => {
      this.#parts?.control.tell(event);
      if (event.type !== "failed" && event.type !== "recovered") return;
      // What has failed stays in view until a reload.
      const failed = supervisor.failed.map(({ id, reason }) => `${id} has failed: ${reason}`);
      this.#serviceManager.status(failed.join("; ") || `${event.service} is ready again`);
    };
    const supervisor = this.#supervisor = systemSupervisor({
      ...{ listeners, tell, counters: this.#counters },
      generation: inheritance?.generation,
      poller: this.#poller,
      lookup: this.#lookup,
      outputs: this.#outputs,
      lockWatch: this.#lockWatch,
      workingDirectory: this.#workingDirectory,
    });
    const serviceManager = this.#serviceManager;
    const reports = new ChangeReports({
      serviceManager,
      tell,
      // The old master would restore services of before the change. It must know before anybody else does: this
      // master may be killed at any moment.
      onAccepted: () => this.#oldMaster?.settled(),
    });
    const isStopping = () => this.#stops.hasAny || this.#phase.is("draining");
    const serviceChanges = new ServiceChanges(supervisor, reports, isStopping);
    this.#counters.isKnown = (id) => supervisor.knows(id) || serviceChanges.stopped.has(id);
    const reloads = new Reloads({
      ...{ supervisor, listeners, reports, serviceChanges, serviceManager },
      counters: this.#counters,
      configuration: this.#configuration,
      workingDirectory: this.#workingDirectory,
      isStopping,
      taken: inheritance &&
        { pidFile: inheritance.lock.path, startSettings: inheritance.startSettings },
    });
    const candidate = reloads.checked(loaded);
    // A wrong configuration ends the master before the lock, without an empty pid file.
    if (candidate.problems.length > 0) await reloads.start(candidate);
    // Signals may arrive as soon as the pid can be read.
    const releases = this.#takeSignals();
    try {
      const duty = inheritance === undefined ? Duty.take() : Duty.share(inheritance.lock);
      const parts = this.#parts = {
        ...{ phase: this.#phase, stops: this.#stops, changes: this.#changes },
        ...{ duty, supervisor, listeners, reloads, serviceChanges },
        control: this.#newControl({ supervisor, reloads, serviceChanges }),
        ...{ serviceManager },
        oldMaster: this.#oldMaster,
        counts: this.#counts,
      };
      this.#retirement = new Retirement(parts);
      return await this.#runOnDuty(parts, candidate, inheritance);
    } finally {
      releaseSignals([...releases, ...this.#orphans.releases]);
    }
  }

  #takeSignals(): (() => void)[] {
    const releases = takeSignals(this.#poller, {
      reload: () => this.#requests.reload(),
      upgrade: () => this.#requests.upgrade(),
      scale: (by) => this.#supervisor.scale.all(by),
      stop: () => this.#requests.stop(),
      reopenLogs: () => this.#reopenLogs(),
      passOn: (signal) => this.#retirement?.passOn(signal) ?? false,
      hasLostNewMaster: () => this.#phase.is("waiting"),
    });
    this.#orphans.reap();
    return releases;
  }

  async #runOnDuty(
    parts: MasterParts,
    candidate: NewConfiguration,
    inheritance?: Inheritance,
  ): Promise<number> {
    const { duty, control } = parts;
    try {
      if (inheritance === undefined) await duty.openLog();
      configureMasterLog();
      if (inheritance === undefined) control.open();
      return await this.#live(parts, candidate, inheritance);
    } finally {
      await control.close();
      this.#outputs.close();
      this.#lockWatch.close();
      await this.#outputLog.close();
      // The log lines of this master may go to its own log service, which needs a turn to receive
      // them.
      await flushLog();
      tapLog(undefined);
      closeLog();
      await duty.close();
    }
  }

  async #live(
    parts: MasterParts,
    candidate: NewConfiguration,
    inheritance?: Inheritance,
  ): Promise<number> {
    const phase = this.#phase, retirement = this.#retirement!, oldMaster = this.#oldMaster;
    // Signal handlers do not keep the runtime running, and there may be no process to wait for.
    const letEnd = keepRunning();
    this.#serviceManager.beat();
    const exitAfterMs = setting(EXIT_AFTER);
    const exitTimer = exitAfterMs > 0
      ? systemClock.setTimer(
        exitAfterMs,
        () => retirement.newMaster === undefined && this.#requests.stop(),
      )
      : undefined;
    try {
      if (inheritance === undefined || oldMaster === undefined) {
        if (!this.#stops.hasAny) await parts.reloads.start(candidate);
        parts.control.follow();
      } else if (!await takeOver(parts, oldMaster, { ...inheritance, candidate })) {
        await stopEverything(parts);
        return 1;
      }
      phase.enter("serving");
      for (;;) {
        this.#changes.resume();
        await phase.end("serving");
        if (phase.is("stopping")) {
          await stopEverything(parts);
          return 0;
        }
        const code = await retirement.drain();
        if (code !== undefined) return code;
      }
    } finally {
      exitTimer?.cancel();
      this.#serviceManager.close();
      letEnd();
      // An embedding program may continue to run.
      retirement.newMaster?.leave();
      oldMaster?.close();
    }
  }

  /** Whether no other master of an upgrade has the duty. */
  get #isOnDuty(): boolean {
    const phase = this.#phase;
    if (phase.is("draining") || phase.is("waiting")) return false;
    return !(phase.is("starting") && this.#oldMaster?.isGone === false);
  }

  #newControl(
    { supervisor, reloads, serviceChanges }: {
      readonly supervisor: Supervisor;
      readonly reloads: Reloads;
      readonly serviceChanges: ServiceChanges;
    },
  ): MasterControl {
    return new MasterControl({
      ...{ supervisor, reloads, serviceChanges },
      counters: this.#counters,
      poller: this.#poller,
      configDirectory: this.#directory && resolvePath(this.#options.directory, this.#directory),
      hasOwnRoot: setting(RUN_CHROOT) !== undefined,
      startedAtMs: this.#startedAtMs,
      statusUser: () => metricsUser(supervisor.current, this.#lookup),
      phase: () => this.#phase.name,
      ...this.#requests.ofClients,
      lines: (count, service) => this.#outputLog.last(count, service),
      log,
    });
  }

  /**
   * Starts a new master, and hands over to it once it is ready.
   *
   * @returns The pid of the new master, or why this one continues.
   */
  async #upgrade(): Promise<{ readonly pid: number } | UpgradeFailure> {
    const retirement = this.#retirement!;
    this.#workingDirectory.follow();
    // A master with an old master relies on that one to stay as the parent.
    const stays = this.#oldMaster === undefined &&
      this.#starter.waits(this.#serviceManager.isTold);
    if (stays) this.#orphans.adopt();
    retirement.prepare();
    const upgrade = await beginUpgrade(this.#parts!, {
      retirement,
      poller: this.#poller,
      lookup: this.#lookup,
      command: this.#options.command,
      onReopen: () => this.#reopenLogs(),
    });
    if ("failure" in upgrade) return upgrade;
    retirement.begin(upgrade, stays);
    this.#outputLog.forwardTo((records) => upgrade.newMaster.tellRecords(records));
    return { pid: upgrade.newMaster.pid };
  }

  /** Reopens the log files after a rotation. */
  #reopenLogs(): void {
    this.#parts?.duty.flushLog();
    this.#outputLog.flush();
    const changed = this.#outputFiles.reopen((path, { found }) => {
      const expected = "a file that can be made and written; lines still go to the old one";
      zerror(cannot("open the log file", path, { found, expected }));
    });
    if (changed.length > 0) this.#supervisor.changeOutputs(changed);
    // The old master writes to the same files until its servers have ended.
    this.#oldMaster?.reopen();
    zinfo("reopened the log files");
  }
}
