/**
 * The run of a server program in either mode, from its command line to its exit code (LIB-ZC section 5):
 * settings, log, control socket, hooks, services, and the wait for the end.
 *
 * @module
 */
import { parseArguments, type ParsedArguments } from "../../config/args.ts";
import { checkHooks } from "../../config/check_hooks.ts";
import { Config, defaultConfig } from "../../config/config.ts";
import {
  isAnySet,
  readStrictly,
  replaceSettings,
  settingsFromMaster,
} from "../../config/effective.ts";
import {
  asWarning,
  cannot,
  ConfigError,
  formatProblem,
  type Problem,
} from "../../config/errors.ts";
import { forgive } from "../../config/forgive.ts";
import {
  DEBUG,
  DEBUG_CONFIG,
  EXIT_AFTER,
  PRIVILEGE_SETTINGS,
  RUN_SETTINGS,
  SERVER_CONFIG_PATH,
  SERVER_CONTROL,
  SERVER_LOG,
  SERVER_SERVICE,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
  type Setting,
} from "../../config/settings.ts";
import { isUserError } from "../../ipc/user_error.ts";
import type { ServiceSocket } from "../../ipc/service_socket.ts";
import { closeLog, logEnd, zdebug, zinfoFrom } from "../../log/log.ts";
import { guardNodeOutputs, guardOutputs } from "../../log/output_guard.ts";
import { keepRunning } from "../../os/clock/keep_running.ts";
import { requireSupportedPlatform } from "../../os/ffi/libc.ts";
import { processSignals, releaseSignals } from "../../os/process/signals.ts";
import type { FdType } from "../../os/net/socket.ts";
import { backend, chooseBackend, keepControlFromChildren } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { MasterLink } from "./master_link.ts";
import { advisePermissions, logFault, permissionAdvice } from "../lifecycle/missing_permission.ts";
import { ownCommand, programName } from "./own_program.ts";
import type { Softstop } from "../lifecycle/open_work.ts";
import { logUnhandledErrors } from "./unhandled_errors.ts";

/** The hooks of a server program. */
export interface ServerHooks {
  /**
   * Called once for each service, after all other preparations: starts to serve the service's
   * descriptor.
   *
   * @param service The service's name in `server-service`; may be empty.
   * @param fd The listening socket, or the named pipe itself. The hook owns it from now on.
   * @param fdType The type of the descriptor.
   */
  readonly serviceRegister: (service: string, fd: number, fdType: FdType) => void | Promise<void>;
  /**
   * Called once, after settings and log are ready and before the first `serviceRegister`. Open here the
   * files that `server-user` may not open, and import the modules that are outside `server-chroot`.
   */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Called once when the server is told to stop, after it has stopped accepting. With this hook, a
   * `server-stop-on-softstop-after` of less than a second counts as an hour. It is not called in a
   * standby that was never started.
   *
   * @param stop The time limit from now on, and the open work.
   */
  readonly beforeSoftstop?: (stop: Softstop) => void | Promise<void>;
}

// At import: the modules of a program run before its main function.
advisePermissions();
keepControlFromChildren(`-${SERVER_CONTROL.name}`);

const HOOKS = {
  known: ["serviceRegister", "beforeService", "beforeSoftstop"],
  required: ["serviceRegister"],
};

/** The time in which a server finishes its work after its master is gone. */
const ORPHAN_SECONDS = 1;

/**
 * Runs a server program.
 *
 * @param hooks The program's hooks.
 * @param args Its command line.
 * @returns The exit code: 0 after an orderly end, 1 when it can't start.
 */
export async function runServer(hooks: ServerHooks, args: readonly string[]): Promise<number> {
  let link: MasterLink | undefined;
  try {
    requireSupportedPlatform();
    (await chooseBackend()).keepInspectorClosed();
    if (["-h", "-help", "--help"].includes(args[0])) {
      const { renderHelp } = await import("../../config/reference.ts");
      console.log(renderHelp("server"));
      return 0;
    }
    guardOutputs();
    // A master passes valid settings, and the arguments of a command belong to the command.
    const warnings = args.includes("MASTER") ? [] : await checkOwnArguments(args);
    const parsed = parseArguments(args);
    const mode = modeOf(parsed);
    const controlFd = controlDescriptor(mode, parsed);
    const isOwnReader = controlFd === undefined;
    // First, since the program may re-execute itself and then needs its inherited descriptors.
    if (isOwnReader) warnings.push(...await loadOwnSettings(parsed));
    backend().keepDescriptorsFromChildren();
    if (controlFd !== undefined) {
      link = connectToMaster(controlFd);
      replaceSettings(defaultConfig, settingsFromMaster(parsed, await link.settings));
    }
    // A master of this kind has reported these errors already.
    const forgiven = forgive(defaultConfig, { isByHand: mode === "alone" });
    if (isOwnReader) warnings.push(...forgiven);
    if (isAnySet(defaultConfig, RUN_SETTINGS)) await changeSelf(isOwnReader ? warnings : undefined);
    backend().openLog({
      program: programName(),
      debug: setting(DEBUG),
      target: setting(SERVER_LOG),
      isServing: !isOwnReader,
    });
    for (const warning of warnings) zinfoFrom(undefined, `warning: ${formatProblem(warning)}`);
    if (setting(DEBUG_CONFIG)) await printSettings();
    checkHooks(hooks, HOOKS);
    await new Server(hooks, link).run(mode);
    return 0;
  } catch (error) {
    const text = isUserError(error) ? error.message : String((error as Error)?.stack ?? error);
    const advice = permissionAdvice(error, args);
    logEnd(advice === undefined ? text : `${text}\n${advice}`);
    return 1;
  } finally {
    link?.close();
    closeLog();
  }
}

/** Looks for mistakes in a command line that a person has typed. */
async function checkOwnArguments(args: readonly string[]): Promise<Problem[]> {
  const { checkArguments } = await import("../../config/check_arguments.ts");
  const { problems, warnings } = checkArguments(args, { scope: "server", isOpen: true });
  if (problems.length > 0) throw new ConfigError(problems);
  return [...warnings];
}

/** Reads the settings of a server that received none; loaded only here, as most servers need no reader. */
async function loadOwnSettings(args: ParsedArguments): Promise<readonly Problem[]> {
  const { loadSettings } = await import("../../config/load_settings.ts");
  const warnings = loadSettings(defaultConfig, args, SERVER_CONFIG_PATH);
  const isChanging = isAnySet(defaultConfig, [...RUN_SETTINGS, ...PRIVILEGE_SETTINGS]);
  if (isChanging && backend().canStartAgain) {
    const { startAgainIfPrivileged } = await import("../../config/run_settings.ts");
    startAgainIfPrivileged(defaultConfig, { gainsNothing: true });
  }
  return warnings;
}

/** @param warnings Receives a limit that is not permitted; without it that is an error. */
async function changeSelf(warnings?: Problem[]): Promise<void> {
  const { applyRunSettings } = await import("../../config/run_settings.ts");
  await applyRunSettings(defaultConfig, {
    isServer: true,
    onRefusedLimit: warnings && ((problem) => warnings.push(asWarning(problem))),
  });
}

async function printSettings(): Promise<void> {
  const { renderSettings } = await import("../../config/debug_config.ts");
  console.log(renderSettings(defaultConfig));
}

/** Returns the control socket that a master of this kind has passed, if there is one. */
function controlDescriptor(mode: Mode, { settings }: ParsedArguments): number | undefined {
  if (mode !== "MASTER") return undefined;
  const config = new Config();
  for (const { key, value } of settings) config.set(key, value, "argument");
  return readStrictly(config, SERVER_CONTROL);
}

function connectToMaster(controlFd: number): MasterLink {
  return new MasterLink(controlFd, {
    onSoftstop: (closing) => serverLifecycle.softstop(closing),
    onGone: () => serverLifecycle.finishWithin(ORPHAN_SECONDS),
  });
}

/** Loads the modules that are imported late and may be out of reach by then. */
async function loadAll(): Promise<void> {
  await Promise.all([
    import("../backend/node_net.ts"),
    import("../backend/node_tls.ts"),
    import("../http1/node_http.ts"),
  ]);
}

type Mode = "MASTER" | "alone";

function modeOf({ rest, settings }: ParsedArguments): Mode {
  // Plain arguments of the command itself precede those of the master.
  if (settings.some(({ key }) => key === SERVER_CONTROL.name)) return "MASTER";
  const [mode] = rest;
  if (mode === "MASTER" || mode === "alone") return mode;
  throw new ConfigError([{
    message: cannot("start", mode ?? programName(), {
      found: mode === undefined ? "no mode" : "an unknown mode",
      expected: `a start by a master, or by hand ${programName()} alone -server-service LIST, ` +
        `such as: ${ownCommand()} alone -server-service 127.0.0.1:8899`,
    }),
  }]);
}

const setting = <T>(record: Setting<T>): T => readStrictly(defaultConfig, record);

/** The source of a server's services, and the receiver of its reports. */
interface ServiceSource {
  /** The services to register, as soon as they are known. */
  services(): Promise<readonly ServiceSocket[]>;
  /** Drops the privileges that the settings do not leave to this process. */
  dropPrivileges(): Promise<void>;
  ready(): void;
  draining(seconds: number): void;
  detach(): void;
  close(): void;
}

const nothing = (): void => {};

/** One run of a server, from its settings to its end. */
class Server {
  readonly #hooks: ServerHooks;
  readonly #lifecycle = serverLifecycle;
  /**
   * Whether the next SIGTERM is redundant: a C master sends one and closes the status pipe to a server
   * whose addresses are all removed, in either order.
   */
  #saidTwice = false;
  #letGoOfErrors?: () => void;

  readonly #link: MasterLink | undefined;

  constructor(hooks: ServerHooks, link: MasterLink | undefined) {
    this.#hooks = hooks;
    this.#link = link;
  }

  async run(mode: Mode): Promise<void> {
    // First of all, so that a wrong setting has no side effects.
    const softstopMs = setting(SERVER_STOP_ON_SOFTSTOP_AFTER);
    const exitAfterMs = setting(EXIT_AFTER);
    const source = await (mode === "MASTER" ? this.#master() : this.#standalone());
    try {
      this.#lifecycle.own({
        softstopSeconds: softstopMs === undefined ? undefined : softstopMs / 1000,
        beforeSoftstop: this.#hooks.beforeSoftstop,
        onDraining: (seconds) => source.draining(seconds),
        onDetach: () => source.detach(),
        onError: (error) => logFault("error while stopping:", error),
      });
      await this.#live({ mode, source, exitAfterMs });
    } finally {
      source.close();
    }
  }

  async #live(
    { mode, source, exitAfterMs }: { mode: Mode; source: ServiceSource; exitAfterMs: number },
  ): Promise<void> {
    const release = this.#takeSignals(mode);
    // Nothing else may keep the runtime running: no client, no listening service.
    const letEnd = keepRunning();
    try {
      // A server that is stopped before it serves does not wait for its hooks.
      await Promise.race([this.#register(source), this.#lifecycle.stopped]);
      if (exitAfterMs > 0) this.#lifecycle.stopNotify(exitAfterMs / 1000);
      await this.#lifecycle.stopped;
    } finally {
      letEnd();
      release();
      this.#letGoOfErrors?.();
      this.#lifecycle.close();
    }
  }

  async #register(source: ServiceSource): Promise<void> {
    // Before hooks that may change the directory. A standby has no services yet and asks the system later.
    await backend().learnAddresses(() => source.services());
    await this.#hooks.beforeService?.();
    await source.dropPrivileges();
    const services = await source.services();
    for (const { name, fd, type } of services) await this.#hooks.serviceRegister(name, fd, type);
    this.#letGoOfErrors = logUnhandledErrors(services.map(({ name }) => name));
    guardNodeOutputs();
    source.ready();
  }

  async #dropPrivileges(): Promise<boolean> {
    if (!isAnySet(defaultConfig, PRIVILEGE_SETTINGS)) return false;
    const { dropPrivileges } = await import("../../config/run_settings.ts");
    return await dropPrivileges(defaultConfig, async (change) => {
      // The line also opens the log, which may be out of reach later.
      zinfoFrom(undefined, `changing to ${change}`);
      await loadAll();
    });
  }

  async #master(): Promise<ServiceSource> {
    // After run-user, since a change of user clears the signal.
    backend().watchParent();
    const dropPrivileges = async () => {
      if (await this.#dropPrivileges()) backend().watchParent();
    };
    const link = this.#link;
    if (link === undefined) {
      const { LibzcLink } = await import("./libzc_link.ts");
      const libzc = new LibzcLink(defaultConfig.getStr(SERVER_SERVICE.name), {
        onSoftstop: () => {
          this.#saidTwice = this.#lifecycle.accepting;
          this.#lifecycle.softstop();
        },
        onGone: () => this.#lifecycle.finishWithin(ORPHAN_SECONDS),
      });
      return {
        services: () => Promise.resolve(libzc.services),
        dropPrivileges,
        ready: nothing,
        draining: nothing,
        detach: () => libzc.detach(),
        close: () => libzc.close(),
      };
    }
    // Only a standby has time for it, and the module may be out of reach later.
    const warmUp = this.#lifecycle.isStandby ? import("./warm_up.ts") : undefined;
    const warmedUp = async () => await (await warmUp)?.warmUp();
    return {
      services: async () => {
        if (this.#lifecycle.isStandby) await Promise.race([warmedUp(), link.started]);
        link.loaded();
        return (await link.started).services;
      },
      // A server that inherits its sockets was started with its final user; a standby never inherits them.
      dropPrivileges: async () => {
        if (this.#lifecycle.isStandby || !(await link.started).isInherited) await dropPrivileges();
      },
      ready: () => link.ready(),
      draining: (seconds) => link.draining(seconds),
      detach: () => link.detach(),
      close: () => link.close(),
    };
  }

  async #standalone(): Promise<ServiceSource> {
    const { openStandaloneServices } = await import("./standalone.ts");
    const { services, close } = openStandaloneServices(defaultConfig);
    // Before the listeners, which are registered later.
    this.#lifecycle.onStopAccepting(close);
    return {
      services: () => Promise.resolve(services),
      dropPrivileges: async () => {
        await this.#dropPrivileges();
      },
      ready: nothing,
      draining: nothing,
      detach: nothing,
      close,
    };
  }

  #takeSignals(mode: Mode): () => void {
    // The first signal starts the soft stop, the second one ends the server at once.
    const stop = () => {
      if (this.#saidTwice) this.#saidTwice = false;
      else if (this.#lifecycle.accepting) this.#lifecycle.softstop();
      else this.#lifecycle.stopNotify(0);
    };
    const parent = Deno.ppid;
    const releases = [
      processSignals.on("SIGTERM", stop),
      // A terminal sends these to the master as well, which tells its servers to stop.
      processSignals.on("SIGINT", () => mode === "alone" && stop()),
      processSignals.on("SIGQUIT", () => mode === "alone" && stop()),
    ];
    if (mode === "MASTER") {
      releases.push(processSignals.on("SIGHUP", () => {
        if (Deno.ppid !== parent) this.#lifecycle.finishWithin(ORPHAN_SECONDS);
        else zdebug("ignored a SIGHUP: the master still runs, and reloads are its business");
      }));
    }
    return () => releaseSignals(releases);
  }
}
