/**
 * The hooks of a program that embeds the master.
 *
 * @module
 */
import type { LoadConfigHook } from "./load.ts";

/**
 * One of the servers of a program: calls `coroutineServerMain` or `aioServerMain`, and returns its exit
 * code.
 */
export type OwnServer = () => number | Promise<number>;

/** The hooks of a program that embeds the master. */
export interface MasterServerHooks {
  /** Called once, after the settings are read and before the pid file is locked. */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Supplies the services instead of the directory of `-C`, at start and at every reload. A server
   * of this framework receives these settings from the master. A LIB-ZC program receives the
   * unchanged file for a service from `masterServerLoadConfigFromDirname`, and arguments for a
   * service without a file.
   */
  readonly loadConfig?: LoadConfigHook;
  /**
   * The servers that are in the same program, by name. `server-command = self NAME` starts the program
   * again, and there `masterServerMain` calls the function of that name, and no other hook. A name has
   * letters, digits, `.`, `_` and `-`, and is none of the commands.
   */
  readonly servers?: Readonly<Record<string, OwnServer>>;
}

/** The names of a program's servers; undefined if the program chooses between them itself. */
export function ownServerNames({ servers }: MasterServerHooks): readonly string[] | undefined {
  return servers && Object.keys(servers);
}
