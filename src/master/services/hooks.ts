/**
 * What a program of its own around the master can add: types only.
 *
 * @module
 */
import type { LoadConfigHook } from "./load.ts";

/** What a program of its own around the master can add. */
export interface MasterServerHooks {
  /** Called once, when the settings are read and before the pid file is locked. */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Supplies the services in place of the directory of `-C`, at start and at every reload. A server
   * of this framework gets their settings from the master. A program of LIB-ZC gets the file of those
   * from `masterServerLoadConfigFromDirname`, as it stands, and those without a file as arguments.
   */
  readonly loadConfig?: LoadConfigHook;
}
