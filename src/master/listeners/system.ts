/**
 * The port of the listener table: the system calls that it makes, and their real implementation.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { zwarn } from "../../log/log.ts";
import { ownerOf } from "../../os/user/accounts.ts";
import { queueEmpties, refuseConnections } from "../../os/net/accept_queue.ts";
import { setTakesDescriptors } from "../../os/net/fd_passing.ts";
import {
  closeListener,
  giveUpAddress,
  isShutDown,
  restoreQueue,
} from "../../os/net/listener_damage.ts";
import { joinGroup, openGroup, steerGroup } from "../../os/net/reuseport.ts";
import { type ListenerAccess, openListener } from "../../os/net/open_listener.ts";
import { removeSocketFile, setFileAccess } from "../../os/net/socket_file.ts";
import {
  isSoundListener,
  type Repaired,
  repairListeners,
  type RepairOptions,
} from "./system_repair.ts";
import { type Listener, ownListener } from "../policy/listener.ts";
import type { SocketAccess } from "../services/socket_owner.ts";

/** How long other processes may accept from a queue before its address is given up. */
const SURRENDER_MS = 500;

/** The options of an open address. */
export interface OpenOptions {
  /**
   * All addresses of the next configuration, including this one: each activated listener goes to
   * the address that it fits best.
   */
  readonly wanted: readonly Endpoint[];
  /** The number of sockets, each with its own queue; without it a single socket. */
  readonly slots?: number;
  /** Mode and owner of the socket file, without which the umask decides, and what its clients may do. */
  readonly access?: SocketAccess;
}

/** The options of a repair. */
export type PortRepairOptions = Omit<RepairOptions, "access"> & Pick<OpenOptions, "access">;

/** The system calls on listeners. */
export interface ListenerSystem {
  /**
   * Opens an address.
   *
   * @param endpoint The address.
   * @param options What it is opened for.
   * @returns The listeners in the order of their slots. There may be more than requested if they
   * were inherited, or only one if it was activated.
   * @throws {Error} See {@linkcode openListener}; nothing is open then.
   */
  open(endpoint: Endpoint, options: OpenOptions): readonly Listener[];
  /**
   * Opens further slots of an address, which receive no connections before {@linkcode steer}.
   *
   * @param slots The open slots, in their order.
   * @param count How many more.
   * @returns The new ones; none where no more are possible.
   * @throws {Error} When one can't be opened; then no new one is open.
   */
  extend(slots: readonly Listener[], count: number): readonly Listener[];
  /**
   * Chooses the slots of an address that receive new connections.
   *
   * @param slots All open slots, in their order.
   * @param chosen Their indexes, ascending; at least one.
   */
  steer(slots: readonly Listener[], chosen: readonly number[]): void;
  /**
   * Whether a listener is unchanged since it was opened, whatever the processes that share it have
   * done. Never throws.
   */
  isSound(listener: Listener): boolean;
  /**
   * Repairs what processes have done to the listeners of an address. Never throws.
   *
   * @param slots All open slots, in their order.
   * @param options The address, and whether a useless listener may be replaced.
   * @returns The listeners after the repair.
   */
  repair(slots: readonly Listener[], options: PortRepairOptions): Repaired;
  /**
   * Restores the length of a listener's queue, which does not show as damage since programs may change
   * it. Failures are logged.
   */
  restoreQueue(listener: Listener): void;
  /**
   * Keeps new connections out of the queue of a listener that is about to be closed, so that its
   * processes can accept those that are in the queue.
   *
   * @param listener The listener.
   * @returns Whether it was done; false if another process keeps the listener open for its own use.
   */
  refuse(listener: Listener): boolean;
  /**
   * Changes mode and owner of the socket file that a listener has made, if any, and what its clients
   * may do. Failures are logged.
   *
   * @param listener The listener.
   * @param access The new mode and owner, which stay without one; what clients may do.
   */
  protect(listener: Listener, access: SocketAccess): void;
  /** Closes a listener and removes the socket file that it made. */
  close(listener: Listener): void;
  /** Closes a listener that was never used, and removes whatever it made. */
  discard(listener: Listener): void;
  /**
   * Gives up the address of a listener that other processes still hold: they may accept from its
   * queue for a moment, then the socket stops listening. The caller closes it.
   *
   * @param listener The listener, after {@linkcode refuse}.
   */
  surrender(listener: Listener): Promise<void>;
  /** Closes this process's descriptor of a listener that another process keeps. */
  leave(listener: Listener): void;
}

/** What the table of listeners does with them; see `owners.ts`. */
export interface ListenerPort extends Omit<ListenerSystem, "leave"> {
  /**
   * Whether processes that are unknown to this master may hold a listener: then closing it here
   * would not remove it from its group.
   */
  isHeldElsewhere(listener: Listener): boolean;
  /** The keys of open addresses that are not in use yet. */
  atHand?(): Iterable<string>;
}

/** The real system calls. */
export const systemListeners: ListenerSystem = {
  open(endpoint, { slots, access }) {
    return endpoint.kind === "inet" && slots !== undefined
      ? openGroup(endpoint, slots).map((fd) => ownListener(endpoint, { fd }))
      : [ownListener(endpoint, openListener(endpoint, access && accessOf(access)), access)];
  },
  extend(slots, count) {
    return joinGroup(slots.map(({ fd }) => fd), count).map((fd) => ownListener(slots[0], { fd }));
  },
  steer(slots, chosen) {
    // Any of them will do: the first one may be locked. If the kernel lacks the memory for it, the
    // old state remains, and the next call sets everything.
    orLogged(() => slots.some(({ fd }) => steerGroup(fd, chosen)));
  },
  isSound: isSoundListener,
  repair(slots, { access, ...options }) {
    return repairListeners(slots, { ...options, access: access && accessOf(access) });
  },
  restoreQueue({ fd }) {
    orLogged(() => restoreQueue(fd));
  },
  refuse({ fd, kind, socketFile }) {
    if (kind === "fifo") return false;
    if (socketFile !== undefined) orLogged(() => removeSocketFile(socketFile));
    if (isShutDown(fd)) return false;
    orLogged(() => refuseConnections(fd));
    return true;
  },
  protect(listener, access) {
    const { fd, kind, socketFile, madeFifo } = listener, file = socketFile ?? madeFifo;
    const { mode, owner, takesDescriptors = false } = access;
    if (kind === "unix") {
      listener.takesDescriptors = takesDescriptors;
      orLogged(() => setTakesDescriptors(fd, takesDescriptors));
    }
    if (file === undefined || (mode === undefined && owner === undefined)) return;
    // The file, or its intended owner, may have been removed.
    orLogged(() => setFileAccess(file, accessOf(access)));
  },
  close({ fd, socketFile }) {
    if (socketFile !== undefined) orLogged(() => removeSocketFile(socketFile));
    closeListener(fd);
  },
  async surrender({ fd, socketFile }) {
    // The path of a unix socket is free already.
    if (socketFile !== undefined) return;
    await queueEmpties(fd, { settleMs: 0, withinMs: SURRENDER_MS });
    orLogged(() => giveUpAddress(fd));
  },
  discard(listener) {
    const { madeFifo } = listener;
    if (madeFifo !== undefined) orLogged(() => removeSocketFile(madeFifo));
    systemListeners.close(listener);
  },
  leave: ({ fd }) => closeListener(fd),
};

/**
 * Runs an action on a listener or its file that may fail because of other processes; logs the
 * failure.
 */
function orLogged(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    zwarn((error as Error).message);
  }
}

function accessOf({ mode, owner, takesDescriptors }: SocketAccess): ListenerAccess {
  return {
    ...(mode !== undefined && { mode }),
    ...(owner && ownerOf(owner)),
    ...(takesDescriptors && { takesDescriptors }),
  };
}
