/**
 * A {@linkcode ListenerPort} that returns the listeners of an old master, with their queues, before
 * it opens others.
 *
 * Until the takeover these listeners are only borrowed: nothing is closed and no socket file is
 * removed.
 *
 * @module
 */
import type { OpenedListener } from "../../os/net/socket.ts";
import type { ListenerPort } from "./system.ts";

/** A port that returns inherited listeners before it opens others. */
export interface InheritedListeners extends ListenerPort {
  /** The keys of the inherited addresses that are not in use. */
  atHand(): string[];
  /**
   * Adds the listeners of an address that another master serves now.
   *
   * @param key The key of the address.
   * @param slots Its listeners in the order of their slots; owned by the port from now on.
   */
  keep(key: string, slots: readonly OpenedListener[]): void;
  /**
   * Makes the used listeners this process's own.
   *
   * @param others What happens to the unused ones: `leave` lets the old master close them, `close`
   * closes them here, if the old master is gone.
   */
  own(others: "leave" | "close"): void;
}

/**
 * Creates the port.
 *
 * @param port Opens all other addresses.
 * @param inherited The listeners by the keys of their addresses, those of one address in the order
 * of their slots; owned by the port from now on.
 */
export function inheritedListeners(
  port: ListenerPort,
  inherited: ReadonlyMap<string, readonly OpenedListener[]>,
): InheritedListeners {
  const unclaimed = new Map(inherited);
  const foreign = new Set([...inherited.values()].flat());
  /** The inherited groups, with the slots that were opened beside them, by their keys. */
  const groups = new Map(inherited);
  /** The borrowed listeners that are in use, with their keys. */
  const borrowed = new Map<OpenedListener, string>();
  /** The deferred choice of slots: until the takeover the old master makes this choice. */
  const steered = new Map<string, () => void>();
  /** The deferred file modes and owners: until the takeover the old master sets them. */
  const protectedFiles = new Map<OpenedListener, () => void>();
  const lend = (key: string, slots: readonly OpenedListener[]): void => {
    groups.set(key, slots);
    for (const listener of slots) borrowed.set(listener, key);
  };
  /** Returns a borrowed listener to its group, for the next use of its address. */
  const returned = (listener: OpenedListener): boolean => {
    const key = borrowed.get(listener);
    if (key === undefined) return false;
    borrowed.delete(listener);
    steered.delete(key);
    protectedFiles.delete(listener);
    unclaimed.set(key, groups.get(key)!);
    return true;
  };
  return {
    open(endpoint, options) {
      const { key } = endpoint;
      const found = unclaimed.get(key);
      if (found === undefined) return port.open(endpoint, options);
      const count = (options.slots ?? 1) - found.length;
      const slots = count > 0 ? [...found, ...port.extend(found, count)] : found;
      unclaimed.delete(key);
      lend(key, slots);
      return slots;
    },
    extend(slots, count) {
      const added = port.extend(slots, count);
      const key = borrowed.get(slots[0]);
      if (key !== undefined) lend(key, [...slots, ...added]);
      return added;
    },
    steer(slots, chosen) {
      const key = borrowed.get(slots[0]);
      if (key === undefined) port.steer(slots, chosen);
      else steered.set(key, () => port.steer(slots, chosen));
    },
    isSound: (listener) => port.isSound(listener),
    mend(slots, options) {
      const mayReplace = options.mayReplace && !borrowed.has(slots[0]);
      return port.mend(slots, { ...options, mayReplace });
    },
    isHeldElsewhere: (listener) =>
      foreign.has(listener) || borrowed.has(listener) || port.isHeldElsewhere(listener),
    refuse: (listener, kind) => !borrowed.has(listener) && port.refuse(listener, kind),
    protect(listener, access) {
      if (borrowed.has(listener)) {
        protectedFiles.set(listener, () => port.protect(listener, access));
      } else port.protect(listener, access);
    },
    close: (listener) => returned(listener) || port.close(listener),
    discard: (listener) => returned(listener) || port.discard(listener),
    surrender: (listener) => port.surrender(listener),
    leave: (listener) => port.leave(listener),
    atHand: () => [...unclaimed.keys()],
    keep(key, slots) {
      unclaimed.set(key, slots);
      groups.set(key, slots);
      for (const listener of slots) foreign.add(listener);
    },
    own(others) {
      borrowed.clear();
      steered.values().forEach((steer) => steer());
      steered.clear();
      protectedFiles.values().forEach((protect) => protect());
      protectedFiles.clear();
      for (const listener of [...unclaimed.values()].flat()) port[others](listener);
      unclaimed.clear();
    },
  };
}
