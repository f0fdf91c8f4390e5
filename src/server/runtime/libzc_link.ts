/**
 * A server's side of LIB-ZC's own protocol, for one that was started by a C master: two status
 * pipes in place of a worker socket (LIB-ZC section 5).
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { cannot, ConfigError } from "../../config/errors.ts";
import { SERVER_SERVICE } from "../../config/settings.ts";
import { CHILD_STATUS_FD, MASTER_STATUS_FD, parseServiceList } from "../../ipc/service_list.ts";
import type { ServiceSocket } from "../../ipc/service_socket.ts";
import { readable } from "../../os/ffi/byte_text.ts";
import { closeFd, isPipe } from "../../os/fd/descriptor.ts";
import { ERRORS_ONLY, type Watch } from "../../os/fd/poller.ts";
import type { ServerLifecycle } from "../lifecycle/lifecycle.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import type { ServiceSource } from "./service_source.ts";

const nothing = (): void => {};

/** The server of a {@linkcode openLibzcSource}. */
interface LibzcServer {
  readonly lifecycle: Pick<ServerLifecycle, "accepting" | "softstop" | "finishWithin">;
  /** The time in which it finishes its work after its master is gone. */
  readonly orphanSeconds: number;
  readonly dropPrivileges: () => Promise<void>;
}

/**
 * Connects a server to its C master.
 *
 * @throws {ConfigError} As the constructor of {@linkcode LibzcLink}.
 */
export function openLibzcSource(
  { lifecycle, orphanSeconds, dropPrivileges }: LibzcServer,
): ServiceSource {
  // A C master sends SIGTERM and closes the status pipe to a server whose addresses are all removed, in either
  // order.
  let isRepeated = false;
  const link = new LibzcLink(defaultConfig.getStr(SERVER_SERVICE.name), {
    onSoftstop: () => {
      isRepeated = lifecycle.accepting;
      lifecycle.softstop();
    },
    onGone: () => lifecycle.finishWithin(orphanSeconds),
  });
  return {
    services: () => Promise.resolve(link.services),
    dropPrivileges,
    ready: nothing,
    draining: nothing,
    detach: () => link.detach(),
    isRepeated() {
      const was = isRepeated;
      isRepeated = false;
      return was;
    },
    close: () => link.close(),
  };
}

/** The events that the pipes report. */
export interface LibzcLinkHandlers {
  /** The master reloads or ends: stop accepting, drain, exit. */
  onSoftstop(): void;
  /** The master is gone. */
  onGone(): void;
}

/** A server's connection to a C master. */
export class LibzcLink {
  /** The services that this server serves. */
  readonly services: readonly ServiceSocket[];
  readonly #masterStatus: Watch;
  readonly #childStatus: Watch;
  #attached = true;

  /**
   * @param list The value of `-server-service`.
   * @param handlers The receiver of the events, each reported at most once.
   * @throws {ConfigError} When no master has started this process, or the master is gone already.
   * @throws {TypeError} When the list is malformed.
   */
  constructor(list: string, handlers: LibzcLinkHandlers) {
    requireMaster();
    this.services = parseServiceList(list).map((one) => ({ ...one, name: readable(one.name) }));
    // The write end of a pipe reports an error when its last reader closes, the read end a hang-up when its
    // last writer closes.
    this.#masterStatus = watchOnce(MASTER_STATUS_FD, () => handlers.onSoftstop());
    this.#childStatus = watchOnce(CHILD_STATUS_FD, () => handlers.onGone());
  }

  /** Makes the master treat this server as ended. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#childStatus.stop();
    closeFd(CHILD_STATUS_FD);
  }

  /** Closes the connection, which looks like the end of the process to the master. */
  close(): void {
    this.#masterStatus.stop();
    this.detach();
  }
}

function watchOnce(fd: number, callback: () => void): Watch {
  const watch = serverPoller.watch(fd, ERRORS_ONLY, () => {
    watch.stop();
    callback();
  });
  return watch;
}

/** The runtime has its own descriptors at 3 and 4 when a person starts it with these arguments. */
function requireMaster(): void {
  const found = Deno.ppid === 1
    ? "the parent is process 1"
    : !isPipe(MASTER_STATUS_FD) || !isPipe(CHILD_STATUS_FD)
    ? `no -server-control, and descriptors ${MASTER_STATUS_FD} and ${CHILD_STATUS_FD} are no pipes`
    : undefined;
  if (found === undefined) return;
  const expected = 'a start by a running master, or by hand "alone -server-service LIST"';
  throw new ConfigError([{ message: cannot("start", "MASTER", { found, expected }) }]);
}
