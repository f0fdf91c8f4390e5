/**
 * What a program of its own around the master can add: types only.
 *
 * @module
 */
import type { LoadConfigHook } from "./load_services.ts";

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
