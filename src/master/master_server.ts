/**
 * The master as a program: settings, lock, signals, and the supervisor between start and stop
 * (LIB-ZC section 4).
 *
 * @module
 */
import { parseArguments, type ParsedArguments } from "../config/args.ts";
import { Config, defaultConfig } from "../config/config.ts";
import { loadServiceFiles } from "../config/directory.ts";
import {
  commandLineSettings,
  loadSettings,
  readStrictly,
  renderSettings,
  replaceSettings,
} from "../config/effective.ts";
import { cannot, ConfigError, formatProblem, gather, problemAt } from "../config/errors.ts";
import { renderHelp } from "../config/reference.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  CONFIG_DIR,
  DEBUG,
  DEBUG_CONFIG,
  EXIT_AFTER,
  LOG_SERVICE,
  MASTER_DEBUG,
  MASTER_STOP_TIMEOUT,
  PID_FILE,
  RUN_CHROOT,
  SERVER_LOG,
  type Setting,
  SLEEP,
  TRY_LOCK,
} from "../config/settings.ts";
import { applyRunSettings } from "../config/run_settings.ts";
import type { LogServiceConfig } from "../config/log_target.ts";
import { closeLog, configureLog, flushLog, isDebugLog, zinfo, zinfoFrom } from "../log/log.ts";
import type { LogService } from "../log/log_service.ts";
import { systemClock } from "../os/clock.ts";
import { mayChangeRoot, mayChangeUser } from "../os/credentials.ts";
import { keepDescriptorsFromChildren } from "../os/descriptor.ts";
import { SysError } from "../os/errors.ts";
import { guardedSpawner, Guardian } from "../os/guardian.ts";
import { identityOf, isIdentity } from "../os/identity.ts";
import { requireSupportedPlatform } from "../os/libc.ts";
import { PidFile } from "../os/lock_file.ts";
import { Poller } from "../os/poller.ts";
import { execPath } from "../os/proc_self.ts";
import {
  denoPath,
  interpreterLine,
  isDirectory,
  isExecutable,
  isFile,
  searchPath,
} from "../os/program_lookup.ts";
import { processSignals } from "../os/signals.ts";
import { systemSpawner } from "../os/spawn.ts";
import { runShim, SHIM_ARGUMENT } from "./exec_shim.ts";
import { createLauncher } from "./launcher.ts";
import { systemListeners } from "./listeners.ts";
import { type LoadConfigHook, type LoadedServices, loadServices } from "./load_services.ts";
import { describePlan } from "./reload_plan.ts";
import { Supervisor } from "./supervisor.ts";

/** What a program of its own around the master can add. */
export interface MasterServerHooks {
  /** Called once, when the settings are read and before the pid file is locked. */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Supplies the services in place of the directory of `-C`, at start and at every reload. They
   * have no file, so that each of their settings reaches the servers as an argument.
   */
  readonly loadConfig?: LoadConfigHook;
}

/**
 * Runs a master until it is stopped (LIB-ZC's `zmaster_server_main`).
 *
 * SIGHUP reloads, SIGTERM and SIGINT stop, and either of these a second time shortens the wait for
 * the servers. What is wrong at the start is told on standard error, and what is wrong at a reload in
 * the log.
 *
 * Needs Linux on x86-64 or arm64, and all permissions: `-A`.
 *
 * @param hooks What to add.
 * @param args The command line; `--help` lists what it takes.
 * @returns The exit code: 0 after an orderly stop, 1 when the master can't start.
 *
 * @example
 * ```ts
 * import { masterServerMain } from "jsr:@zc/master";
 *
 * Deno.exit(await masterServerMain());
 * ```
 */
export async function masterServerMain(
  hooks: MasterServerHooks = {},
  args: readonly string[] = Deno.args,
): Promise<number> {
  try {
    requireSupportedPlatform();
    if (Deno.args[0] === SHIM_ARGUMENT) runShim(Deno.args);
    return await runMaster(hooks, args);
  } catch (error) {
    if (!isUserError(error)) throw error;
    console.error(error.message);
    return 1;
  }
}

/** What the user can mend, in contrast to a fault of this program, which deserves its stack. */
function isUserError(error: unknown): error is Error {
  return error instanceof ConfigError || error instanceof SysError ||
    error instanceof Deno.errors.NotSupported || error instanceof Deno.errors.NotCapable;
}

/**
 * Reads all service files of a directory, for a `loadConfig` hook that adds to them or changes them
 * (LIB-ZC's `zmaster_server_load_config_from_dirname`).
 *
 * Needs `--allow-read`.
 *
 * @param dir The directory; each `*.cf` in it is a service.
 * @returns The settings of each service, sorted by file name.
 * @throws {ConfigError} When the directory or a file can't be read.
 */
export function masterServerLoadConfigFromDirname(dir: string): Config[] {
  return loadServiceFiles(dir);
}

async function runMaster(hooks: MasterServerHooks, args: readonly string[]): Promise<number> {
  if (["-h", "-help", "--help"].includes(args[0])) {
    console.log(renderHelp("master"));
    return 0;
  }
  const parsed = parseArguments(args);
  replaceSettings(defaultConfig, commandLineSettings(parsed));
  // Out of reach later.
  if (setting(RUN_CHROOT) !== undefined) await import("../log/log_service.ts");
  // Before the shared settings: the user that they name is the servers', and not the master's.
  await applyRunSettings(defaultConfig);
  loadSettings(defaultConfig, parsed, CONFIG_DIR);
  const sleepMs = setting(SLEEP);
  if (sleepMs !== undefined) {
    await new Promise((resolve) => systemClock.setTimer(sleepMs, () => resolve(undefined)));
    return 0;
  }
  if (setting(TRY_LOCK)) return tryLockOnly();
  return await new Master(hooks, parsed).run();
}

/** `--try-lock`: tells by its exit code whether a master runs. */
function tryLockOnly(): number {
  const lock = tryPidFile();
  lock?.release();
  return lock === undefined ? 1 : 0;
}

const setting = <T>(record: Setting<T>): T => readStrictly(defaultConfig, record);

/** What the master's own log depends on. */
const logSettings = (): string =>
  JSON.stringify([SERVER_LOG, DEBUG, MASTER_DEBUG].map(({ name }) => defaultConfig.getStr(name)));

/** What the master reads on its command line. */
const MASTER_SETTINGS = ALL_SETTINGS.filter(({ scopes }) => scopes.includes("master"));

/** A configuration as it was found. */
interface Candidate extends LoadedServices {
  /** The settings of the master itself. */
  readonly settings: Config;
}

/** One run of the master, from its settings to its end. */
class Master {
  readonly #hooks: MasterServerHooks;
  readonly #args: ParsedArguments;
  readonly #directory: string | undefined;
  readonly #cwd = Deno.cwd();
  readonly #lookup = {
    denoPath: denoPath(),
    selfPath: execPath(),
    searchPath: searchPath(),
    isExecutable,
    isFile,
    isDirectory,
    interpreterLine,
    mayChangeRoot,
    mayChangeUser,
    identityOf,
    isIdentity,
  };
  readonly #guardian = new Guardian((error) =>
    zinfo("no guardian, servers may outlive a killed master:", error)
  );
  readonly #stopRequested = Promise.withResolvers<void>();
  readonly #supervisor: Supervisor;
  #stopping = false;
  #reloadWanted = false;
  /** The start counts as a reload: one that is asked for meanwhile comes after it. */
  #reloading = true;

  constructor(hooks: MasterServerHooks, args: ParsedArguments) {
    this.#hooks = hooks;
    this.#args = args;
    this.#directory = setting(CONFIG_DIR);
    const log = (text: string) => zinfoFrom(undefined, text);
    this.#supervisor = new Supervisor({
      clock: systemClock,
      listeners: systemListeners,
      launcher: createLauncher({
        spawner: guardedSpawner(systemSpawner, this.#guardian),
        poller: new Poller((error) => zinfo("unexpected error:", error)),
        lookup: this.#lookup,
        configPath: this.#directory,
        cwd: this.#cwd,
        log,
      }),
      log,
      debug: (text) => {
        if (isDebugLog()) log(text);
      },
    });
  }

  async run(): Promise<number> {
    keepDescriptorsFromChildren();
    if (setting(DEBUG_CONFIG)) console.log(renderSettings(defaultConfig));
    await this.#hooks.beforeService?.();
    const candidate = await this.#load();
    // A mistake ends it here, before the lock: that leaves not even an empty pid file behind.
    if (candidate.problems.length > 0) this.#apply(candidate);
    // Signals may come as soon as the pid can be read.
    const release = this.#takeSignals();
    try {
      await this.#runLocked(candidate);
    } finally {
      release();
    }
    return 0;
  }

  async #runLocked(candidate: Candidate): Promise<void> {
    const lock = lockPidFile();
    try {
      const logService = setting(LOG_SERVICE);
      const received = logService && await openLogService(logService);
      try {
        this.#configureLog();
        await this.#supervise(candidate);
      } finally {
        // The lines of this master may go to its own log service, which needs a turn to take them.
        await flushLog();
        closeLog();
        await received?.close();
      }
    } finally {
      lock.clear();
      lock.release();
    }
  }

  async #supervise(candidate: Candidate): Promise<void> {
    // Signals alone don't keep the runtime from ending, and there may be no process to wait for.
    const alive = setInterval(() => {}, 2 ** 31 - 1);
    const exitAfterMs = setting(EXIT_AFTER);
    const exitTimer = exitAfterMs > 0
      ? systemClock.setTimer(exitAfterMs, () => this.#requestStop())
      : undefined;
    try {
      if (!this.#stopping) this.#apply(candidate);
      this.#reloading = false;
      if (this.#reloadWanted) this.#requestReload();
      await this.#stopRequested.promise;
      const timeoutMs = setting(MASTER_STOP_TIMEOUT);
      zinfo(
        `stopping; servers have ${timeoutMs / 1000} s to finish, a second signal shortens that`,
      );
      await this.#supervisor.stop(timeoutMs);
      zinfo("stopped");
    } finally {
      exitTimer?.cancel();
      clearInterval(alive);
    }
  }

  #takeSignals(): () => void {
    const releases = [
      processSignals.on("SIGHUP", () => this.#requestReload()),
      processSignals.on("SIGTERM", () => this.#requestStop()),
      processSignals.on("SIGINT", () => this.#requestStop()),
    ];
    return () => releases.forEach((release) => release());
  }

  /** Reads everything again, and finds everything that is wrong in it. */
  async #load(): Promise<Candidate> {
    const loaded = await loadServices({
      directory: this.#directory,
      hook: this.#hooks.loadConfig,
      cwd: this.#cwd,
      lookup: this.#lookup,
    });
    const problems = [...loaded.problems];
    const own = gather(problems, () => commandLineSettings(this.#args)) ?? new Config();
    problems.push(...checkSettings(own, MASTER_SETTINGS));
    return { ...loaded, problems, settings: new Config().merge(loaded.shared).merge(own) };
  }

  /** Puts a configuration into force, or throws with all that is wrong and changes nothing. */
  #apply({ services, settings, problems, warnings }: Candidate): void {
    const plan = this.#supervisor.apply(services, problems);
    replaceSettings(defaultConfig, settings);
    for (const warning of warnings) zinfo(`warning: ${formatProblem(warning)}`);
    zinfo(describePlan(plan));
  }

  #configureLog(): void {
    const debug = setting(DEBUG) || setting(MASTER_DEBUG);
    configureLog({ program: "master", debug, target: setting(SERVER_LOG) });
  }

  #requestStop(): void {
    if (this.#stopping) this.#supervisor.hasten();
    this.#stopping = true;
    this.#stopRequested.resolve();
  }

  /** However many signals come: one reload runs, and at most one more waits. */
  async #requestReload(): Promise<void> {
    this.#reloadWanted = true;
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#reloadWanted && !this.#stopping) {
      this.#reloadWanted = false;
      try {
        const candidate = await this.#load();
        // The hook may have taken its time.
        if (this.#stopping) break;
        const logBefore = logSettings();
        this.#apply(candidate);
        // Only then: closing a log that is full waits, and drops what it holds.
        if (logSettings() !== logBefore) this.#configureLog();
        zinfo("reloaded");
      } catch (error) {
        const text = isUserError(error) ? error.message : error;
        zinfo("reload refused, all goes on as before:", text);
      }
    }
    this.#reloading = false;
  }
}

/** Takes the lock and writes the pid. */
function lockPidFile(): PidFile {
  const lock = tryPidFile();
  if (lock === undefined) {
    const about = { found: "another process holds the lock", expected: "no running master" };
    throw unusable(PID_FILE, cannot("lock", setting(PID_FILE), about));
  }
  lock.write(Deno.pid);
  return lock;
}

/** Takes the lock, if nobody else has it. */
function tryPidFile(): PidFile | undefined {
  const path = setting(PID_FILE);
  try {
    return PidFile.tryLock(path);
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    const expected = "a file that can be made and written, in a directory that exists";
    const about = { found: cause.found, expected };
    throw unusable(PID_FILE, cannot("lock", path, about), cause);
  }
}

/** Loaded only where it is used: most masters leave logging to others. */
async function openLogService(config: LogServiceConfig): Promise<LogService> {
  const { LogService } = await import("../log/log_service.ts");
  try {
    return LogService.open(config);
  } catch (cause) {
    // A file of another kind is in the way.
    if (cause instanceof TypeError) throw unusable(LOG_SERVICE, cause.message, cause);
    if (!(cause instanceof SysError)) throw cause;
    const about = { found: cause.found, expected: "a free path in a directory that exists" };
    throw unusable(LOG_SERVICE, cannot("receive log lines at", config.socket, about), cause);
  }
}

/** The error for a setting that is well written, but that the system refuses. */
function unusable({ name: key }: Setting<unknown>, message: string, cause?: unknown): ConfigError {
  return new ConfigError([problemAt(defaultConfig.origin(key), { key, message })], { cause });
}
