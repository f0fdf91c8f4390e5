/**
 * What the table of listeners needs of the system, as a port that tests replace.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import type { ServiceEndpoint } from "../../config/service.ts";
import { zinfo } from "../../log/log.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { ownerOf } from "../../os/user/identity.ts";
import { queueEmpties, refuseConnections } from "../../os/net/accept_queue.ts";
import { isDeaf } from "../../os/net/listener_damage.ts";
import { joinGroup, openGroup, steerGroup } from "../../os/net/reuseport.ts";
import {
  type OpenedListener,
  openListener,
  removeSocketFile,
  shutdownSocket,
} from "../../os/net/socket.ts";
import { type FileAccess, setFileAccess } from "../../os/net/socket_file.ts";
import { isSoundListener, type Mended, mendListeners, type MendOptions } from "./system_repair.ts";
import type { SocketAccess } from "../services/socket_owner.ts";

/** How long those who serve a queue have to empty it, when somebody else wants its address. */
const SURRENDER_MS = 500;

/** What the listeners of an address are opened for. */
export interface OpenOptions {
  /**
   * All addresses of the next configuration, this one among them: what this process was given goes to
   * the one that it fits best.
   */
  readonly wanted: readonly ServiceEndpoint[];
  /** How many sockets, each with a queue of its own; without it one, whose queue all share. */
  readonly slots?: number;
  /** Mode and owner of the file that is made for it; without it as the umask says. */
  readonly access?: SocketAccess;
}

/** What the listeners of an address are put right for. */
export type PortMendOptions = Omit<MendOptions, "access"> & Pick<OpenOptions, "access">;

/** The system calls that the table of listeners makes. */
export interface ListenerPort {
  /**
   * Opens an address.
   *
   * @param endpoint The address.
   * @param options What it is opened for.
   * @returns The listeners in the order of their slots. There may be more than were asked for, where
   * somebody has opened them before; or only one, where whoever gave it decides that.
   * @throws {Error} See {@linkcode openListener}; nothing is open then.
   */
  open(endpoint: Endpoint, options: OpenOptions): readonly OpenedListener[];
  /**
   * Opens further slots of an address, to which no connection comes until {@linkcode steer} says so.
   *
   * @param slots Those that are open, in their order.
   * @param count How many more.
   * @returns The new ones; none where there can be no more.
   * @throws {Error} When one can't be opened; then no new one is open.
   */
  extend(slots: readonly OpenedListener[], count: number): readonly OpenedListener[];
  /**
   * Says to which slots of an address new connections come.
   *
   * @param slots All that are open, in their order.
   * @param chosen The places of those, ascending; at least one.
   */
  steer(slots: readonly OpenedListener[], chosen: readonly number[]): void;
  /**
   * Whether a listener is as it was opened, whatever the processes that share it have done. Never throws.
   *
   * @param listener The listener.
   */
  isSound(listener: OpenedListener): boolean;
  /**
   * Puts right what processes have done to the listeners of an address. Never throws.
   *
   * @param slots All that are open, in their order.
   * @param options The address, and whether one that is of no use any more may be replaced.
   * @returns What has become of them.
   */
  mend(slots: readonly OpenedListener[], options: PortMendOptions): Mended;
  /**
   * Whether processes that this master does not know may hold a listener: then closing it here would
   * not take it out of its group.
   *
   * @param listener The listener.
   */
  isHeldElsewhere(listener: OpenedListener): boolean;
  /**
   * Keeps new connections out of the queue of a listener that is about to be closed for good, so that
   * those who serve it can accept what is in it.
   *
   * @param listener The listener.
   * @param kind Its sort.
   * @returns Whether that makes sense; not so where somebody else goes on with it.
   */
  refuse(listener: OpenedListener, kind: Endpoint["kind"]): boolean;
  /**
   * Changes mode and owner of the file that a listener made, if it made one. What can't be changed is
   * told in the log.
   *
   * @param listener The listener.
   * @param access What they are to be.
   */
  protect(listener: OpenedListener, access: SocketAccess): void;
  /** Closes a listener and removes the socket file that it made. */
  close(listener: OpenedListener): void;
  /** Closes a listener that nobody has used, and removes whatever it made. */
  discard(listener: OpenedListener): void;
  /**
   * Gives the address of a listener up, whoever else holds the listener: what is in its queue is left
   * to those for a moment, and then nobody listens on it any more. It is for the caller to close.
   *
   * @param listener The listener, one to which {@linkcode refuse} has been applied.
   */
  surrender(listener: OpenedListener): Promise<void>;
  /** Closes this process's end of a listener that another process goes on with. */
  leave(listener: OpenedListener): void;
  /** The keys of the addresses that are open already, though nobody has asked for them yet. */
  atHand?(): Iterable<string>;
  /** Has these listeners at hand from now on, which it owns. */
  keep?(key: string, slots: readonly OpenedListener[]): void;
}

/** The real system calls. */
export const systemListeners: ListenerPort = {
  open(endpoint, { slots, access }) {
    return endpoint.kind === "inet" && slots !== undefined
      ? openGroup(endpoint, slots).map((fd) => ({ fd }))
      : [openListener(endpoint, access && fileAccessOf(access))];
  },
  extend(slots, count) {
    return joinGroup(slots.map(({ fd }) => fd), count).map((fd) => ({ fd }));
  },
  steer(slots, chosen) {
    // By any of them: the first one may be locked. One that the kernel has no memory for is as good as
    // it was; the next one tells all of it.
    orTold(() => slots.some(({ fd }) => steerGroup(fd, chosen)));
  },
  isSound: isSoundListener,
  mend(slots, { access, ...options }) {
    return mendListeners(slots, { ...options, access: access && fileAccessOf(access) });
  },
  isHeldElsewhere: () => false,
  refuse({ fd, socketFile }, kind) {
    if (kind === "fifo") return false;
    if (socketFile !== undefined) orTold(() => removeSocketFile(socketFile));
    if (isDeaf(fd)) return false;
    orTold(() => refuseConnections(fd));
    return true;
  },
  protect({ socketFile, madeFifo }, access) {
    const file = socketFile ?? madeFifo;
    // Somebody may have removed the file, or the user that it is to belong to.
    if (file !== undefined) orTold(() => setFileAccess(file, fileAccessOf(access)));
  },
  close({ fd, socketFile }) {
    if (socketFile !== undefined) orTold(() => removeSocketFile(socketFile));
    closeFd(fd);
  },
  async surrender({ fd, socketFile }) {
    // The path of a unix socket is free already.
    if (socketFile !== undefined) return;
    await queueEmpties(fd, { settleMs: 0, withinMs: SURRENDER_MS });
    shutdownSocket(fd);
  },
  discard(listener) {
    const { madeFifo } = listener;
    if (madeFifo !== undefined) orTold(() => removeSocketFile(madeFifo));
    systemListeners.close(listener);
  },
  leave: ({ fd }) => closeFd(fd),
};

/** Does what can fail by what others have done to a listener or its file, and is no reason to end. */
function orTold(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    zinfo("warning:", (error as Error).message);
  }
}

function fileAccessOf({ mode, owner }: SocketAccess): FileAccess {
  return { ...(mode !== undefined && { mode }), ...(owner && ownerOf(owner)) };
}
