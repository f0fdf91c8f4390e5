/**
 * A server program from its command line to its exit code, as both modes share it (LIB-ZC
 * section 5): settings, log, control socket, hooks, services, and then the wait for the end.
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
  DEBUG_CONFIG,
  EXIT_AFTER,
  PRIVILEGE_SETTINGS,
  RUN_SETTINGS,
  SERVER_CONFIG_PATH,
  SERVER_CONTROL,
  SERVER_SERVICE,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
  type Setting,
} from "../../config/settings.ts";
import { isUserError } from "../../ipc/user_error.ts";
import { closeLog, logEnd, zdebug, zinfoFrom } from "../../log/log.ts";
import { guardNodeOutputs, guardOutputs } from "../../log/output_guard.ts";
import { keepDescriptorsFromChildren } from "../../os/fd/descriptor.ts";
import { keepRunning } from "../../os/clock/keep_running.ts";
import { requireSupportedPlatform } from "../../os/ffi/libc.ts";
import { keepInspectorClosed } from "../../os/process/inspector_signal.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { requestParentDeathSignal } from "../../os/process/process.ts";
import { processSignals, releaseSignals } from "../../os/process/signals.ts";
import type { FdType } from "../../os/net/socket.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { MasterLink } from "./master_link.ts";
import { advisePermissions, logFault, permissionAdvice } from "../lifecycle/missing_permission.ts";
import { ownCommand, programName } from "./own_program.ts";
import { openServerLog } from "./server_log.ts";
import type { Softstop } from "../lifecycle/open_work.ts";
import { type GrantedService, noteAddresses } from "../listen/service_address.ts";
import { logUnhandledErrors } from "./unhandled_errors.ts";

/** What a server program adds to the framework. */
export interface ServerHooks {
  /**
   * Called once for each service, when all else is ready: takes the service's descriptor into use.
   *
   * @param service The service's name in `server-service`; may be empty.
   * @param fd The listening socket, or the named pipe itself. It is the hook's from now on.
   * @param fdType Of which sort it is.
   */
  readonly serviceRegister: (service: string, fd: number, fdType: FdType) => void | Promise<void>;
  /**
   * Called once, after settings and log are ready and before the first `serviceRegister`: the place
   * to open what `server-user` may not, and to import what is not in `server-chroot`.
   */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Called once when the server is told to stop, after it has stopped accepting. With it, a
   * `server-stop-on-softstop-after` of less than a second counts as an hour. It is not called in a
   * standby that nobody has needed.
   *
   * @param stop How long the server lives from now on, and what is open in it.
   */
  readonly beforeSoftstop?: (stop: Softstop) => void | Promise<void>;
}

// Here and now: the modules of a program run before its main function.
advisePermissions();

const HOOKS = {
  known: ["serviceRegister", "beforeService", "beforeSoftstop"],
  required: ["serviceRegister"],
};

/** What a server finishes in after its master is gone. */
const ORPHAN_SECONDS = 1;

/**
 * Runs a server program.
 *
 * @param hooks What the program adds.
 * @param args Its command line.
 * @returns The exit code: 0 after an orderly end, 1 when it can't start.
 */
export async function runServer(hooks: ServerHooks, args: readonly string[]): Promise<number> {
  let link: MasterLink | undefined;
  try {
    requireSupportedPlatform();
    // One without FFI was started so that the signal does not reach it.
    if (mayUseFfi()) keepInspectorClosed();
    if (["-h", "-help", "--help"].includes(args[0])) {
      const { renderHelp } = await import("../../config/reference.ts");
      console.log(renderHelp("server"));
      return 0;
    }
    guardOutputs();
    // A master knows what it gives, and a command's own arguments are its own.
    const warnings = args.includes("MASTER") ? [] : await checkOwnArguments(args);
    const parsed = parseArguments(args);
    const mode = modeOf(parsed);
    requireHook(hooks);
    const controlFd = controlDescriptor(mode, parsed);
    const isOwnReader = controlFd === undefined;
    // First, since the program may begin once more, and needs what it has inherited then.
    if (isOwnReader) warnings.push(...await loadOwnSettings(parsed));
    if (mayUseFfi()) keepDescriptorsFromChildren();
    if (controlFd !== undefined) {
      link = await connectToMaster(controlFd);
      replaceSettings(defaultConfig, settingsFromMaster(parsed, await link.settings));
    }
    // A master of this kind has told of them.
    const forgiven = forgive(defaultConfig, { isByHand: mode === "alone" });
    if (isOwnReader) warnings.push(...forgiven);
    if (isAnySet(defaultConfig, RUN_SETTINGS)) await changeSelf(isOwnReader ? warnings : undefined);
    openServerLog(defaultConfig, { isServing: !isOwnReader });
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

/** Looks for slips of a person who starts a server by hand. */
async function checkOwnArguments(args: readonly string[]): Promise<Problem[]> {
  const { checkArguments } = await import("../../config/check_arguments.ts");
  const { problems, warnings } = checkArguments(args, { scope: "server", isOpen: true });
  if (problems.length > 0) throw new ConfigError(problems);
  return [...warnings];
}

/** Of a server that nobody has handed its settings; most have no use for what reads them. */
async function loadOwnSettings(args: ParsedArguments): Promise<readonly Problem[]> {
  const { loadSettings } = await import("../../config/load_settings.ts");
  const warnings = loadSettings(defaultConfig, args, SERVER_CONFIG_PATH);
  if (mayUseFfi() && isAnySet(defaultConfig, [...RUN_SETTINGS, ...PRIVILEGE_SETTINGS])) {
    const { startAgainIfPrivileged } = await import("../../config/run_settings.ts");
    startAgainIfPrivileged(defaultConfig, { gainsNothing: true });
  }
  return warnings;
}

/** @param warnings Where a limit that is not permitted is told; without it that is an error. */
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

/** Finds the control socket that a master of this kind has given, if one has. */
function controlDescriptor(mode: Mode, { settings }: ParsedArguments): number | undefined {
  if (mode !== "MASTER") return undefined;
  const config = new Config();
  for (const { key, value } of settings) config.set(key, value, "argument");
  return readStrictly(config, SERVER_CONTROL);
}

async function connectToMaster(controlFd: number): Promise<MasterLink> {
  const handlers = {
    onSoftstop: (closing: ReadonlySet<number>) => serverLifecycle.softstop(closing),
    onGone: () => serverLifecycle.finishWithin(ORPHAN_SECONDS),
  };
  if (mayUseFfi()) return new MasterLink(controlFd, handlers);
  const { StreamChannel } = await import("../../ipc/stream_channel.ts");
  return new MasterLink(controlFd, handlers, {
    open: (fd, handlers) => new StreamChannel(fd, handlers),
  });
}

/** Loads what is imported only where it is needed, and may be out of reach when it is. */
async function loadAll(): Promise<void> {
  await Promise.all([
    import("../listen/node_net.ts"),
    import("../http1/node_http.ts"),
    import("../tls/node.ts"),
  ]);
}

type Mode = "MASTER" | "alone";

/** A program that is not type-checked may lack it, which would be seen only when it is called. */
function requireHook({ serviceRegister }: ServerHooks): void {
  if (typeof serviceRegister === "function") return;
  throw new ConfigError([{
    message: cannot("start", programName(), {
      found: "no function serviceRegister in its hooks",
      expected: "{ serviceRegister(service, fd, fdType) { … } }",
    }),
  }]);
}

function modeOf({ rest, settings }: ParsedArguments): Mode {
  // Plain arguments of the command itself stand before those of the master.
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

/** Where the services of a server come from, and who is told how it fares. */
interface ServiceSource {
  /** What to register, as soon as it is known. */
  services(): Promise<readonly GrantedService[]>;
  /** Takes the privileges that the settings don't leave to this process. */
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
   * Whether the next SIGTERM says nothing new: to a server whose addresses are all gone a C master
   * sends one beside closing the status pipe, and which comes first is a matter of chance.
   */
  #saidTwice = false;
  #letGoOfErrors?: () => void;

  readonly #link: MasterLink | undefined;

  constructor(hooks: ServerHooks, link: MasterLink | undefined) {
    this.#hooks = hooks;
    this.#link = link;
  }

  async run(mode: Mode): Promise<void> {
    // First of all, so that a wrong one leaves nothing behind.
    const softstopMs = setting(SERVER_STOP_ON_SOFTSTOP_AFTER);
    const exitAfterMs = setting(EXIT_AFTER);
    const source = await (mode === "MASTER" ? this.#master() : this.#alone());
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
    // Nothing else may keep the runtime going: no client, no service that listens.
    const letEnd = keepRunning();
    try {
      // One that is stopped before it serves does not wait until its hooks are done.
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
    // Ahead of hooks that may change the directory. A standby, which has no services yet, asks the system.
    if (!mayUseFfi()) noteAddresses(await source.services());
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
      // The line opens the log as well, which may be out of reach later.
      zinfoFrom(undefined, `changing to ${change}`);
      await loadAll();
    });
  }

  async #master(): Promise<ServiceSource> {
    // After run-user, since the signal is lost on a change of user.
    if (mayUseFfi()) requestParentDeathSignal("SIGHUP");
    const dropPrivileges = async () => {
      if (await this.#dropPrivileges()) requestParentDeathSignal("SIGHUP");
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
    // Only standbys have time for it; and later it may be out of reach.
    const warmUp = this.#lifecycle.isStandby ? import("./warm_up.ts") : undefined;
    const warmedUp = async () => await (await warmUp)?.warmUp();
    return {
      services: async () => {
        if (this.#lifecycle.isStandby) await Promise.race([warmedUp(), link.started]);
        link.loaded();
        return (await link.started).services;
      },
      // One that inherits its sockets is started as whom it is to be; a standby never does.
      dropPrivileges: async () => {
        if (this.#lifecycle.isStandby || !(await link.started).isInherited) await dropPrivileges();
      },
      ready: () => link.ready(),
      draining: (seconds) => link.draining(seconds),
      detach: () => link.detach(),
      close: () => link.close(),
    };
  }

  async #alone(): Promise<ServiceSource> {
    const { openAloneServices } = await import("./standalone.ts");
    const { services, close } = openAloneServices(defaultConfig);
    // Ahead of the listeners, which are registered later.
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
    // The first one asks, the second one does not ask again.
    const stop = () => {
      if (this.#saidTwice) this.#saidTwice = false;
      else if (this.#lifecycle.accepting) this.#lifecycle.softstop();
      else this.#lifecycle.stopNotify(0);
    };
    const parent = Deno.ppid;
    const releases = [
      processSignals.on("SIGTERM", stop),
      // What a terminal sends reaches the master as well, which says what is to be done.
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
