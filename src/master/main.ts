/**
 * The start of a master from its command line.
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import type { ParsedArguments } from "../config/args.ts";
import { checkHooks } from "../config/check_hooks.ts";
import { type Config, defaultConfig } from "../config/config.ts";
import { loadServiceFiles } from "../config/directory.ts";
import { commandLineSettings, readStrictly, replaceSettings } from "../config/effective.ts";
import { ConfigError } from "../config/errors.ts";
import { readMasterFile } from "../config/ini.ts";
import { loadSettings } from "../config/load_settings.ts";
import {
  applyDirectory,
  applyRunSettings,
  startAgainIfPrivileged,
} from "../config/run_settings.ts";
import { CONFIG_DIR, RUN_CHDIR, RUN_CHROOT, SLEEP, TRY_LOCK } from "../config/settings.ts";
import { zdebug } from "../log/log.ts";
import { guardOutputs } from "../log/output_guard.ts";
import { delay } from "../os/clock/clock.ts";
import { withCachesAgain } from "../os/process/deno_dir.ts";
import { leaveSession } from "../os/process/process.ts";
import { leaveSessionKeyring } from "../os/user/session_keyring.ts";
import { looseMode, mainFile } from "../os/process/program_lookup.ts";
import type { MasterServerHooks } from "./services/hooks.ts";
import type { MasterArguments } from "./arguments.ts";
import { Master } from "./master.ts";
import { tryPidFile } from "./pid_file.ts";
import {
  worldWritableFiles,
  worldWritableProblems,
  worldWritableProgram,
} from "./services/file_permissions.ts";
import { ownCommand, splitUpgrade } from "./upgrade/command.ts";

/**
 * Reads all service files of a directory, for a `loadConfig` hook that adds to them or changes them
 * (LIB-ZC's `zmaster_server_load_config_from_dirname`).
 *
 * Needs `--allow-read`.
 *
 * @param dir The directory; each `*.cf` in it is a service.
 * @returns The settings of each service, sorted by file name.
 * @throws {ConfigError} When the directory or a file can't be read, or when every user may write to
 * it and the master runs as root.
 *
 * @example Two processes more for each service
 * ```ts
 * import { masterServerLoadConfigFromDirname, masterServerMain } from "@zc/master/master";
 *
 * function loadConfig() {
 *   const services = masterServerLoadConfigFromDirname("conf");
 *   for (const service of services) {
 *     service.set("server-proc-count", `${service.getInt("server-proc-count", 1) + 2}`);
 *   }
 *   return services;
 * }
 *
 * if (import.meta.main) Deno.exit(await masterServerMain({ loadConfig }));
 * ```
 */
export function masterServerLoadConfigFromDirname(dir: string): Config[] {
  return loadServiceFiles(dir, (path) => worldWritableProblems(path, { looseMode }));
}

/**
 * Runs a master until it has stopped.
 *
 * @param hooks Hooks of the embedding program.
 * @param args The command line.
 * @returns The exit code: 0 after an orderly stop, 1 if another master runs with `--try-lock`.
 * @throws {ConfigError} When the settings have problems.
 */
export async function runMaster(
  hooks: MasterServerHooks,
  { parsed: given, warnings }: MasterArguments,
): Promise<number> {
  guardOutputs();
  checkHooks({ ...hooks, servers: undefined }, {
    known: ["beforeService", "loadConfig", "servers"],
  });
  const command = ownCommand();
  const { fd: upgradeFd } = splitUpgrade(Deno.args);
  // The files may name the user of the master.
  const worldWritable = [
    ...worldWritableProgram(mainFile(), { looseMode }),
    ...worldWritableFiles(given, { looseMode }),
  ];
  if (worldWritable.length > 0) throw new ConfigError(worldWritable);
  replaceSettings(defaultConfig, commandLineSettings(given, readMasterFile));
  const parsed = withReachableFiles(given, command.cwd);
  const noKeyrings = leaveSessionKeyring();
  if (noKeyrings) zdebug("kept the session keyring:", noKeyrings.message);
  // User, root and limits are already those of the old master, and can't be changed twice.
  if (upgradeFd !== undefined) {
    applyDirectory(defaultConfig);
    // The old master passes signals on, so the terminal's must not arrive here directly.
    leaveSession();
  } else {
    // The module is out of reach in another root.
    if (readStrictly(defaultConfig, RUN_CHROOT)) await import("../log/log_service.ts");
    // Before the shared settings, whose user is that of the servers and not of the master.
    startAgainIfPrivileged(defaultConfig, { gainsNothing: false });
    await applyRunSettings(defaultConfig, { isServer: false });
    withCachesAgain();
  }
  const hasOwnRoot = readStrictly(defaultConfig, RUN_CHROOT) !== undefined;
  loadSettings(defaultConfig, parsed, CONFIG_DIR, readMasterFile);
  const sleepMs = readStrictly(defaultConfig, SLEEP);
  if (sleepMs !== undefined) {
    await delay(sleepMs);
    return 0;
  }
  if (readStrictly(defaultConfig, TRY_LOCK)) return tryLockOnly();
  // The directory in which this process was started is out of reach in another root.
  const cwd = hasOwnRoot ? "/" : command.cwd;
  return await new Master({
    hooks,
    args: parsed,
    warnings,
    command: { ...command, cwd },
    directory: resolvePath(cwd, readStrictly(defaultConfig, RUN_CHDIR) ?? "."),
    upgradeFd,
  }).run();
}

/** The arguments with files that are still found after a change of the directory, at every reload. */
function withReachableFiles(args: ParsedArguments, cwd: string): ParsedArguments {
  const isElsewhere = readStrictly(defaultConfig, RUN_CHDIR) !== undefined &&
    readStrictly(defaultConfig, RUN_CHROOT) === undefined;
  if (!isElsewhere) return args;
  return { ...args, configFiles: args.configFiles.map((path) => resolvePath(cwd, path)) };
}

/** `--try-lock`: the exit code tells whether a master runs. */
function tryLockOnly(): number {
  const lock = tryPidFile();
  lock?.release();
  return lock === undefined ? 1 : 0;
}
