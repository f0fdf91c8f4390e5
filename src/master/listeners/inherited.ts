/**
 * Listeners that another master has opened: the one that takes its place finds its addresses open
 * already, each with its queue.
 *
 * Until that other master has let go of them, they are only borrowed: whatever goes wrong, nothing is
 * closed and no socket file is removed.
 *
 * @module
 */
import type { OpenedListener } from "../../os/net/socket.ts";
import type { ListenerPort } from "./system.ts";

/** A port that hands inherited listeners out before it opens others. */
export interface InheritedListeners extends ListenerPort {
  /** The keys of the inherited addresses that nobody has asked for. */
  atHand(): string[];
  /**
   * Adds to the inherited listeners those of an address that another master serves by now.
   *
   * @param key The key of the address.
   * @param slots Its listeners in the order of their slots; owned by the port from now on.
   */
  keep(key: string, slots: readonly OpenedListener[]): void;
  /**
   * Says that those that are used are this process's own from now on.
   *
   * @param others What becomes of the others: the old master closes them, or, if it is gone, this one.
   */
  own(others: "leave" | "close"): void;
}

/**
 * Makes the port.
 *
 * @param port Opens what was not inherited.
 * @param inherited The listeners by the keys of their addresses, those of one address in the order of
 * their slots; owned by the port from now on.
 */
export function inheritedListeners(
  port: ListenerPort,
  inherited: ReadonlyMap<string, readonly OpenedListener[]>,
): InheritedListeners {
  const unclaimed = new Map(inherited);
  const foreign = new Set([...inherited.values()].flat());
  /** The inherited groups, and what was opened beside them meanwhile, by their keys. */
  const groups = new Map(inherited);
  /** Those that are given out, by which they are known when they come back. */
  const borrowed = new Map<OpenedListener, string>();
  /** To which slots connections are to come; until the takeover the old master decides that. */
  const steered = new Map<string, () => void>();
  /** What the files of borrowed ones are to have; until the takeover the old master decides that. */
  const protectedFiles = new Map<OpenedListener, () => void>();
  const lend = (key: string, slots: readonly OpenedListener[]): void => {
    groups.set(key, slots);
    for (const listener of slots) borrowed.set(listener, key);
  };
  /** Takes a borrowed one back, for whoever asks for its address next: they come back together. */
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
