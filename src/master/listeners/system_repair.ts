/**
 * Repairs the listeners of an address with the real system calls.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import {
  closeListener,
  giveUpAddress,
  isShutDown,
  isUndamaged,
  restoreQueue,
  revive,
  undoDamage,
} from "../../os/net/listener_damage.ts";
import type { Admission } from "../../os/net/connect_permission.ts";
import { takingDescriptors } from "../../os/net/listener_options.ts";
import { type ListenerAccess, listenInet, openListener } from "../../os/net/open_listener.ts";
import { isStillThere } from "../../os/net/socket_file.ts";
import { type Listener, ownListener } from "../policy/listener.ts";

/** The options of a repair. */
export interface RepairOptions {
  /** The address. */
  readonly endpoint: Endpoint;
  /** How a new socket file is made, and what clients may do. */
  readonly access?: ListenerAccess;
  /** Whether a useless listener may be replaced. */
  readonly mayReplace: boolean;
  /**
   * Whether a useless listener that may not be replaced may listen again; no process accepts on it.
   */
  readonly mayRevive: boolean;
}

/** The listeners of an address after a repair. */
export interface Repaired {
  /** The listeners in the order of their slots; replaced ones are closed. */
  readonly slots: readonly Listener[];
  /** What was wrong and what was done, as sentences that follow the address. */
  readonly told: readonly string[];
  /**
   * Whether all old listeners have left their group, so that it contains only the new ones, in
   * their order.
   */
  readonly haveAllLeft?: boolean;
  /** What is wrong with a listener that could not be repaired. */
  readonly problem?: string;
}

/** Whether a listener is unchanged since it was opened, and its file leads to it. */
export function isSoundListener(listener: Listener): boolean {
  return isUndamaged(listener.fd, admissionOf(listener)) && !hasLostFile(listener);
}

/**
 * Repairs the listeners of an address: changes are undone, and useless listeners are replaced.
 * Errors of single descriptors are reported, not thrown.
 *
 * @param slots The listeners, in the order in which they were opened.
 * @param options The address, and what may be done.
 */
export function repairListeners(slots: readonly Listener[], options: RepairOptions): Repaired {
  const told: string[] = [];
  try {
    const wrongs = slots.map((listener) => wrongWith(listener, told));
    const first = wrongs.find((what) => what !== undefined);
    if (first === undefined) {
      if (options.mayReplace) slots.forEach(({ fd }) => restoreQueue(fd));
      return { slots, told };
    }
    if (options.mayReplace) return replace(slots, { ...options, wrongs, told });
    const [{ fd }] = slots;
    if (!options.mayRevive || !isShutDown(fd) || !revive(fd)) {
      return { slots, told, problem: first };
    }
    told.push(`${first}, and listens again`);
    return { slots, told, problem: wrongWith(slots[0], told) };
  } catch (error) {
    return { slots, told, problem: `can't be put right: ${messageOf(error)}` };
  }
}

/** The intended filter and options of a listener; undefined for the defaults. */
function admissionOf({ admission, kind, takesDescriptors }: Listener): Admission | undefined {
  // The options of other sockets are others, also by their places in the list.
  if (admission !== undefined || kind !== "unix" || !takesDescriptors) return admission;
  return { filtered: false, options: takingDescriptors() };
}

/** The damage of a listener that only a replacement repairs. */
function wrongWith(listener: Listener, told: string[]): string | undefined {
  const { fd } = listener;
  const { undone, left } = undoDamage(fd, admissionOf(listener));
  if (undone.length > 0) told.push(`was ${undone.join(" and ")}, which is undone`);
  if (left.length > 0) return `was ${left.join(" and ")} for good`;
  if (isShutDown(fd)) return "was shut down";
  return hasLostFile(listener) ? "had lost its file" : undefined;
}

function replace(
  slots: readonly Listener[],
  { endpoint, access, wrongs, told }: RepairOptions & {
    readonly wrongs: readonly (string | undefined)[];
    readonly told: string[];
  },
): Repaired {
  // The kernel's order of a group is known after one listener has left it, but not after several
  // have.
  const all = wrongs.filter((what) => what !== undefined).length > 1;
  const wrong = wrongs.map((what) => what ?? (all ? "was in an unknown place" : undefined));
  slots.forEach(({ fd }, index) => wrong[index] && giveUpAddress(fd));
  const isGrouped = slots.length > 1;
  let problem: string | undefined;
  const repaired = slots.map((listener, index) => {
    const what = wrong[index];
    if (what === undefined) return listener;
    try {
      const replacement = replacementFor(listener, { endpoint, access, isGrouped });
      told.push(`${what}, and was opened anew`);
      return replacement;
    } catch (error) {
      problem = `${what}: ${messageOf(error)}`;
      return listener;
    }
  });
  return { slots: repaired, told, problem, haveAllLeft: all };
}

/** Opens a replacement for a listener, and closes the old one. */
function replacementFor(
  { fd }: Listener,
  { endpoint, access, isGrouped }: Pick<RepairOptions, "endpoint" | "access"> & {
    readonly isGrouped: boolean;
  },
): Listener {
  const opened = endpoint.kind === "inet"
    ? { fd: listenInet(endpoint, isGrouped ? { group: "join" } : {}) }
    : openListener(endpoint, access);
  // The file is not removed: it is gone, or belongs to another listener.
  closeListener(fd);
  return ownListener(endpoint, opened, access);
}

function hasLostFile({ socketFile, madeFifo }: Listener): boolean {
  const file = socketFile ?? madeFifo;
  return file !== undefined && !isStillThere(file);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
