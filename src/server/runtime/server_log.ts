/**
 * The log of a server, and the start-up line about missing permissions.
 *
 * @module
 */
import type { Config } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { DEBUG, SERVER_LOG } from "../../config/settings.ts";
import { configureLog, zinfoFrom } from "../../log/log.ts";
import { mayStartPrograms, mayUseFfi } from "../../os/ffi/permissions.ts";
import { programName } from "./own_program.ts";

/**
 * Opens the log of this server. Without FFI the log goes to the standard outputs, and one line says what
 * else is different.
 *
 * @param config The server's settings.
 * @param options `isServing`: whether the server can serve without FFI, which needs a master of this kind.
 * @throws {ConfigError} When a setting is wrong.
 */
export function openServerLog(
  config: Config,
  { isServing }: { readonly isServing: boolean },
): void {
  const program = programName();
  const debug = readStrictly(config, DEBUG), target = readStrictly(config, SERVER_LOG);
  const isOutput = target === undefined || target.kind === "stdout";
  if (mayUseFfi()) return configureLog({ program, debug, target });
  configureLog({ program, debug, ...(isOutput && { target }) });
  if (isServing) zinfoFrom(undefined, whatIsLost({ isOutput }));
}

function whatIsLost({ isOutput }: { readonly isOutput: boolean }): string {
  const lost = [
    "node:net serves its sockets",
    "HTTP is without WebSockets",
    ...(isOutput ? [] : ["its log goes to stderr"]),
    ...(mayStartPrograms() ? ["the programs that it starts get its sockets too"] : []),
  ];
  return `without --allow-ffi: ${lost.join(", ")}`;
}
