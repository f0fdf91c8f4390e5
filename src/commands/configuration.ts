/**
 * The configuration of a master, read by another process than the master.
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import { readStrictly } from "../config/effective.ts";
import { isIniFile } from "../config/args.ts";
import { CONFIG_DIR, RUN_CHDIR } from "../config/settings.ts";
import { MasterConfiguration, type NewConfiguration } from "../master/services/configuration.ts";
import type { ProgramPlace } from "../master/services/program_lookup.ts";
import { ownServerNames } from "../master/services/hooks.ts";
import { systemLookup } from "../master/supervisor/create.ts";
import { ownCommand } from "../master/upgrade/command.ts";
import { ifThere } from "../os/fs/path.ts";
import type { CommandCall } from "./command.ts";
import { masterSettings } from "./connect.ts";

/** A configuration, and from where its programs are looked up. */
export interface ReadConfiguration {
  readonly loaded: NewConfiguration;
  readonly place: ProgramPlace;
}

/** Where a running master is. */
export interface MasterPlace {
  readonly directory: string | undefined;
  /** Undefined where it can't be told. */
  readonly cwd: string | undefined;
}

/** The working directory of a process; undefined if it has changed its user, and hides it from this one. */
export function directoryOf(pid: number): string | undefined {
  return ifThere(() => Deno.readLinkSync(`/proc/${pid}/cwd`));
}

/** Whether a call says where the settings of the services are. */
export function namesServices({ settings, hooks }: CommandCall): boolean {
  return hooks.loadConfig !== undefined || settings.configFiles.some(isIniFile) ||
    readStrictly(masterSettings(settings), CONFIG_DIR) !== undefined;
}

/**
 * Reads and resolves everything as a start would, and starts no program that the settings name.
 *
 * @param call The call of the command.
 * @param master The place of a running master, in place of what the arguments say.
 * @throws {ConfigError} When a settings file of the master can't be read.
 */
export async function readConfiguration(
  { settings, warnings, hooks }: CommandCall,
  master?: MasterPlace,
): Promise<ReadConfiguration> {
  const config = masterSettings(settings), command = ownCommand();
  const place: ProgramPlace = {
    cwd: master?.cwd ?? resolvePath(command.cwd, readStrictly(config, RUN_CHDIR) ?? "."),
    lookup: systemLookup(command, ownServerNames(hooks)),
  };
  const directory = master?.directory ?? readStrictly(config, CONFIG_DIR);
  const source = { directory, hook: hooks.loadConfig, ...place };
  return { loaded: await new MasterConfiguration(settings, source, warnings).peek(), place };
}
