/**
 * Putting right what processes have done to the listeners of an address, with the real system calls.
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import {
  giveUpAddress,
  isDeaf,
  isUndamaged,
  restoreQueue,
  revive,
  undoDamage,
} from "../../os/net/listener_damage.ts";
import { listenInet, type OpenedListener, openListener } from "../../os/net/socket.ts";
import { type FileAccess, isStillThere } from "../../os/net/socket_file.ts";

/** What the listeners of an address are put right for. */
export interface MendOptions {
  /** The address. */
  readonly endpoint: Endpoint;
  /** Mode and owner of a file that is made anew. */
  readonly access?: FileAccess;
  /** Whether a listener that is of no use any more may be replaced by another one. */
  readonly mayReplace: boolean;
  /** Whether one that may not be replaced may listen again, since no process accepts on it. */
  readonly mayRevive: boolean;
}

/** What has become of the listeners of an address. */
export interface Mended {
  /** The listeners in the order of their slots; those that were replaced are others now, and closed. */
  readonly slots: readonly OpenedListener[];
  /** What was wrong and what was done, as sentences that follow the address. */
  readonly told: readonly string[];
  /** Whether all have left their group, so that only those that were replaced are in it, in their order. */
  readonly haveAllLeft?: boolean;
  /** What is wrong with one that is still of no use. */
  readonly problem?: string;
}

/**
 * Whether a listener is as it was opened, and its file leads to it.
 *
 * @param listener The listener.
 */
export function isSoundListener(listener: OpenedListener): boolean {
  return isUndamaged(listener.fd, listener.admission) && !hasLostFile(listener);
}

/**
 * Puts the listeners of an address right: what can be undone is undone, and one that is of no use any
 * more is replaced. Nothing that a descriptor does is an exception here.
 *
 * @param slots The listeners, in the order in which they were opened.
 * @param options The address, and what may be done.
 */
export function mendListeners(slots: readonly OpenedListener[], options: MendOptions): Mended {
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
    if (!options.mayRevive || !isDeaf(fd) || !revive(fd)) return { slots, told, problem: first };
    told.push(`${first}, and listens again`);
    return { slots, told, problem: wrongWith(slots[0], told) };
  } catch (error) {
    return { slots, told, problem: `can't be put right: ${messageOf(error)}` };
  }
}

/** What is wrong with a listener so that only another one helps. */
function wrongWith(listener: OpenedListener, told: string[]): string | undefined {
  const { fd, admission } = listener;
  const { undone, left } = undoDamage(fd, admission);
  if (undone.length > 0) told.push(`was ${undone.join(" and ")}, which is undone`);
  if (left.length > 0) return `was ${left.join(" and ")} for good`;
  if (isDeaf(fd)) return "was shut down";
  return hasLostFile(listener) ? "had lost its file" : undefined;
}

function replace(
  slots: readonly OpenedListener[],
  { endpoint, access, wrongs, told }: MendOptions & {
    readonly wrongs: readonly (string | undefined)[];
    readonly told: string[];
  },
): Mended {
  // Of a group it is known which place of it each has after one has left; after several have, it is not.
  const all = wrongs.filter((what) => what !== undefined).length > 1;
  const going = wrongs.map((what) => what ?? (all ? "was in an unknown place" : undefined));
  slots.forEach(({ fd }, index) => going[index] && giveUpAddress(fd));
  const isGrouped = slots.length > 1;
  let problem: string | undefined;
  const mended = slots.map((listener, index) => {
    const what = going[index];
    if (what === undefined) return listener;
    try {
      const successor = successorOf(listener, { endpoint, access, isGrouped });
      told.push(`${what}, and was opened anew`);
      return successor;
    } catch (error) {
      problem = `${what}: ${messageOf(error)}`;
      return listener;
    }
  });
  return { slots: mended, told, problem, haveAllLeft: all };
}

/** Opens another listener in the place of one, which is closed then. */
function successorOf(
  { fd }: OpenedListener,
  { endpoint, access, isGrouped }: Pick<MendOptions, "endpoint" | "access"> & {
    readonly isGrouped: boolean;
  },
): OpenedListener {
  const successor = endpoint.kind === "inet"
    ? { fd: listenInet(endpoint, isGrouped ? { group: "join" } : {}) }
    : openListener(endpoint, access);
  // Its file is not removed: it is gone, or another one's by now.
  closeFd(fd);
  return successor;
}

function hasLostFile({ socketFile, madeFifo }: OpenedListener): boolean {
  const file = socketFile ?? madeFifo;
  return file !== undefined && !isStillThere(file);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
