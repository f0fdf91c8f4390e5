/**
 * A server program in either mode, from its command line to its exit code (LIB-ZC section 5): settings, log and
 * worker socket. `server.ts` has the run between.
 *
 * @module
 */
import { parseArguments, type ParsedArguments } from "../../config/args.ts";
import { checkHooks } from "../../config/check_hooks.ts";
import { Config, defaultConfig, setFrom } from "../../config/config.ts";
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
  EX_CONFIG,
  formatProblem,
  isOfSettings,
  type Problem,
} from "../../config/errors.ts";
import { forgive } from "../../config/forgive.ts";
import {
  DEBUG,
  DEBUG_CONFIG,
  LOG_FORMAT,
  LOG_LEVEL,
  PRIVILEGE_SETTINGS,
  RUN_SETTINGS,
  SERVER_CONFIG_PATH,
  SERVER_CONTROL,
  SERVER_LOG,
  type Setting,
} from "../../config/settings.ts";
import { splitOwnServer } from "../../config/own_server.ts";
import { isUserError } from "../../ipc/user_error.ts";
import { closeLog, logEnd, logLine } from "../../log/log.ts";
import { guardOutputs } from "../../log/output_guard.ts";
import { requireSupportedPlatform } from "../../os/ffi/libc.ts";
import { backend, chooseBackend, keepControlFromChildren } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { MasterLink } from "./master_link.ts";
import { advisePermissions, permissionAdvice } from "../lifecycle/missing_permission.ts";
import { ownCommand, programName } from "./own_program.ts";
import { markUncaughtErrors } from "./unhandled_errors.ts";
import {
  type Mode,
  ORPHAN_SECONDS,
  Server,
  type ServerHooks,
  type UnchangedProgram,
} from "./server.ts";

const CONTROL_ARGUMENT = `-${SERVER_CONTROL.name}`;

// At import: the modules of a program run before its main function.
advisePermissions();
keepControlFromChildren(CONTROL_ARGUMENT);
if (Deno.args.at(-2) === CONTROL_ARGUMENT) markUncaughtErrors();

const HOOKS = {
  known: ["serviceRegister", "beforeService", "beforeSoftstop"],
  required: ["serviceRegister"],
};

/**
 * Runs a server program.
 *
 * @param hooks The program's hooks.
 * @param given Its command line.
 * @param program The program, if it knows nothing of its master.
 * @returns The exit code: 0 after an orderly end, 1 when it can't start; 78 when its settings are wrong and a master
 * of this kind has started it, which then waits for other settings.
 */
export async function runServer(
  hooks: ServerHooks,
  given: readonly string[],
  program?: UnchangedProgram,
): Promise<number> {
  const { args } = splitOwnServer(given);
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
      link = connectToMaster(controlFd, program);
      replaceSettings(defaultConfig, settingsFromMaster(parsed, await link.settings));
    }
    // A master of this kind has reported these errors already.
    const forgiven = forgive(defaultConfig, { isByHand: mode === "alone" });
    if (isOwnReader) warnings.push(...forgiven);
    if (isAnySet(defaultConfig, RUN_SETTINGS)) await changeSelf(isOwnReader ? warnings : undefined);
    backend().openLog({
      program: programName(),
      level: setting(DEBUG) ? "debug" : setting(LOG_LEVEL),
      format: setting(LOG_FORMAT),
      target: setting(SERVER_LOG),
      isServing: !isOwnReader,
    });
    program?.logIsOpen();
    for (const warning of warnings) logLine("warn", formatProblem(warning));
    if (setting(DEBUG_CONFIG)) await printSettings();
    checkHooks(hooks, HOOKS);
    await new Server(hooks, link, program).run(mode);
    return 0;
  } catch (error) {
    const text = isUserError(error) ? error.message : String((error as Error)?.stack ?? error);
    const advice = permissionAdvice(error, args);
    logEnd(advice === undefined ? text : `${advice}\n${text}`);
    return link !== undefined && isOfSettings(error) ? EX_CONFIG : 1;
  } finally {
    if (program?.goesOn()) link?.leave();
    else link?.close();
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

/** Returns the worker socket that a master of this kind has passed, if there is one. */
function controlDescriptor(mode: Mode, { settings }: ParsedArguments): number | undefined {
  if (mode !== "MASTER") return undefined;
  const config = new Config();
  for (const { key, value } of settings) setFrom(config, key, value, "argument");
  return readStrictly(config, SERVER_CONTROL);
}

function connectToMaster(controlFd: number, program?: UnchangedProgram): MasterLink {
  return new MasterLink(controlFd, {
    onSoftstop(closing) {
      program?.onStop();
      serverLifecycle.softstop(closing);
    },
    onGone() {
      program?.onStop();
      serverLifecycle.finishWithin(ORPHAN_SECONDS);
    },
  });
}

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
