/**
 * The hooks of a program that embeds the master: types only.
 *
 * @module
 */
import type { LoadConfigHook } from "./load.ts";

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
}
