/**
 * A server's side of LIB-ZC's own protocol, for one that was started by a C master: two status
 * pipes in place of a control socket (LIB-ZC section 5).
 *
 * @module
 */
import { cannot, ConfigError } from "../../config/errors.ts";
import {
  CHILD_STATUS_FD,
  type ListedService,
  MASTER_STATUS_FD,
  parseServiceList,
} from "../../ipc/service_list.ts";
import { readable } from "../../os/ffi/byte_text.ts";
import { closeFd, isPipe } from "../../os/fd/descriptor.ts";
import type { Watch } from "../../os/fd/poller.ts";
import { serverPoller } from "../lifecycle/poller.ts";

/** Errors and hang-ups, which epoll always reports, and nothing else. */
const ERRORS_ONLY = 0;

/** What the pipes tell. */
export interface LibzcLinkHandlers {
  /** The master reads the configuration again, or ends: accept no more, finish, end. */
  onSoftstop(): void;
  /** The master is gone. */
  onGone(): void;
}

/** The connection of a server with a C master. */
export class LibzcLink {
  /** What this server is to serve. */
  readonly services: readonly ListedService[];
  readonly #masterStatus: Watch;
  readonly #childStatus: Watch;
  #attached = true;

  /**
   * @param list The value of `-server-service`.
   * @param handlers Told of what the pipes tell, each at most once.
   * @throws {ConfigError} When no master has started this process, or it is gone already.
   * @throws {TypeError} When the list is malformed.
   */
  constructor(list: string, handlers: LibzcLinkHandlers) {
    requireMaster();
    this.services = parseServiceList(list).map((one) => ({ ...one, name: readable(one.name) }));
    // The write end of a pipe reports an error when nobody is left to read, the read end a hang-up
    // when nobody is left to write.
    this.#masterStatus = watchOnce(MASTER_STATUS_FD, () => handlers.onSoftstop());
    this.#childStatus = watchOnce(CHILD_STATUS_FD, () => handlers.onGone());
  }

  /** Makes the master think that this server has ended. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#childStatus.stop();
    closeFd(CHILD_STATUS_FD);
  }

  /** Ends the connection, which tells the master the same as the end of the process. */
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

/** The runtime has descriptors of its own at 3 and 4 when a person starts it with these arguments. */
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
