/**
 * The standalone mode (`alone`): a server without a master opens its addresses itself, for debugging and
 * tests.
 *
 * @module
 */
import type { Config } from "../../config/config.ts";
import type { Endpoint } from "../../config/address.ts";
import {
  cannot,
  ConfigError,
  formatProblem,
  type Problem,
  problemAt,
} from "../../config/errors.ts";
import { checkAddresses, readServiceList, validateServices } from "../../config/endpoints.ts";
import { listenRefusal } from "../../config/listen_error.ts";
import { SERVER_SERVICE } from "../../config/settings.ts";
import type { ServiceSocket } from "../../ipc/service_socket.ts";
import { logLine } from "../../log/log.ts";
import { readable } from "../../os/ffi/byte_text.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { SysError } from "../../os/ffi/errors.ts";
import { addressText } from "../../os/net/socket.ts";
import { type OpenedListener, openListener } from "../../os/net/open_listener.ts";
import { removeSocketFile, type SocketFile } from "../../os/net/socket_file.ts";

/** The services that this process has opened itself. */
export interface StandaloneServices {
  readonly services: readonly ServiceSocket[];
  /**
   * Removes the socket files, while the listeners are still open, as {@linkcode removeSocketFile}
   * requires. A second call does nothing.
   */
  close(): void;
}

const NO_ADDRESS = "no address to serve: neither -server-service LIST nor a server-service in a " +
  "-config FILE is given";

/** Describes why an address could not be opened, and the remedy. */
function refusal(endpoint: Endpoint, error: Error): string {
  if (!(error instanceof Deno.errors.NotCapable)) return listenRefusal(endpoint, error);
  const expected = "deno run -A, or a start by a master, whose servers need no permission";
  return cannot("listen on", addressText(endpoint), { found: "no --allow-ffi", expected });
}

/** Removes a socket file; the server may have become a user who may not. */
function remove(file: SocketFile): void {
  try {
    removeSocketFile(file);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    logLine("warn", `a socket file is left: ${error.message}`);
  }
}

/**
 * Opens the addresses of `server-service`.
 *
 * @throws {ConfigError} With every address that is wrong or can't be opened; none is left open.
 */
export function openStandaloneServices(config: Config): StandaloneServices {
  const { endpoints, problems } = readServiceList(config, { cwd: Deno.cwd() });
  const failed: Problem[] = [...problems, ...validateServices([{ endpoints }])];
  for (const warning of checkAddresses(config, endpoints)) {
    logLine("warn", formatProblem(warning));
  }
  // As in LIB-ZC: such a program may have other work to do.
  if (endpoints.length === 0 && failed.length === 0) logLine("warn", NO_ADDRESS);
  const opened: OpenedListener[] = [];
  const services: ServiceSocket[] = [];
  for (const endpoint of failed.length > 0 ? [] : endpoints) {
    try {
      const listener = openListener(endpoint);
      opened.push(listener);
      services.push({ name: readable(endpoint.service), type: endpoint.kind, fd: listener.fd });
    } catch (error) {
      const message = refusal(endpoint, error as Error);
      failed.push(problemAt(endpoint.origin, { key: SERVER_SERVICE.name, message }));
    }
  }
  const close = () => {
    // Later the paths may belong to another server.
    for (const { socketFile } of opened.splice(0)) if (socketFile) remove(socketFile);
  };
  if (failed.length > 0) {
    const fds = opened.map(({ fd }) => fd);
    close();
    fds.forEach(closeFd);
    throw new ConfigError(failed);
  }
  return { services, close };
}
