/**
 * How an upgrade begins: this master starts a new one, and hands everything over to it.
 *
 * @module
 */
import { MASTER_STOP_TIMEOUT, MASTER_UPGRADE_TIMEOUT } from "../config/settings.ts";
import { logLine } from "../log/log.ts";
import type { Poller } from "../os/fd/poller.ts";
import { openFilesVariable } from "../os/process/limits.ts";
import { systemSpawner } from "../os/process/spawn.ts";
import type { MasterParts } from "./master_parts.ts";
import type { Retirement } from "./retirement.ts";
import { requireTrustedMaster } from "./services/file_permissions.ts";
import type { ProgramLookup } from "./services/program_lookup.ts";
import { setting } from "./services/configuration.ts";
import { newMasterCommand, newProcessCommand, type OwnCommand } from "./upgrade/command.ts";
import { tryUpgrade, type Upgrade, type UpgradeFailure } from "./upgrade/new_master.ts";

/** What an upgrade uses beside the parts of the master. */
export interface BeginUpgradeOptions {
  readonly retirement: Retirement;
  readonly poller: Poller;
  readonly lookup: ProgramLookup;
  /** How this process was started. */
  readonly command: OwnCommand;
  /** Reopens the log files. */
  onReopen(): void;
}

/**
 * Starts a new master, and waits until it has taken over or has failed.
 *
 * @param parts The parts of this master.
 * @param options What it uses beside them.
 * @returns The upgrade, or why it has failed.
 */
export async function beginUpgrade(
  { supervisor, listeners, duty, control, reloads, serviceManager, stops, counts }: MasterParts,
  { retirement, poller, lookup, command, onReopen }: BeginUpgradeOptions,
): Promise<Upgrade | UpgradeFailure> {
  supervisor.lookAfterListeners();
  const { cwd, openFiles } = command;
  const upgrade = await tryUpgrade({
    generation: supervisor.generation,
    lock: duty.lock,
    logSocket: duty.logSocket,
    activated: listeners.activated,
    listeners: supervisor.listeners.filter(({ owner }) => owner !== "activation"),
    services: supervisor.serving,
    startSettings: reloads.startSettings.ofStart,
    ...control.socketFiles,
  }, {
    command: (fd) => {
      requireTrustedMaster(newProcessCommand(command, []), { cwd, lookup });
      return newMasterCommand(command, fd);
    },
    // The new master reports errors about relative paths better.
    cwd: lookup.isDirectory(cwd) ? cwd : "/",
    env: { ...serviceManager.environment, ...openFilesVariable(openFiles) },
    spawner: systemSpawner,
    poller,
    log: (text, level = "info") => logLine(level, text),
    onStop: (timeoutMs) => retirement.limitDrain(timeoutMs),
    onBound: (generations) => retirement.limitGenerations(generations),
    onReopen,
    onSettled: () => retirement.dropFallback(),
    timeoutMs: setting(MASTER_UPGRADE_TIMEOUT),
    abortMs: setting(MASTER_STOP_TIMEOUT),
    cancelled: stops.first,
    letGo: () => {
      duty.pause();
      counts.beforeTakeover();
    },
    takeBack: async () => {
      await duty.resume();
      if (duty.isHeld) control.repair();
    },
    onStarted: (newMaster) => counts.started(newMaster),
    onCounted: (increments) => counts.fromNew(increments),
  });
  if ("failure" in upgrade) counts.failed();
  return upgrade;
}
