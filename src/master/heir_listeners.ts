/**
 * Listeners that another master has opened: the one that takes its place finds its addresses open
 * already, each with its queue.
 *
 * Until that other master has let go of them, they are only borrowed: whatever goes wrong, no socket
 * file is removed.
 *
 * @module
 */
import type { OpenedListener } from "../os/socket.ts";
import type { ListenerPort } from "./listener_port.ts";

/** A port that hands inherited listeners out before it opens others. */
export interface HeirListeners extends ListenerPort {
  /** Says that they are this process's own, and closes those that nobody has asked for. */
  own(): void;
}

/**
 * Makes the port.
 *
 * @param port Opens what was not inherited.
 * @param inherited The listeners by the keys of their addresses, those of one address in the order of
 * their slots; owned by the port from now on.
 */
export function heirListeners(
  port: ListenerPort,
  inherited: ReadonlyMap<string, readonly OpenedListener[]>,
): HeirListeners {
  const unclaimed = new Map(inherited);
  const foreign = new Set([...inherited.values()].flat());
  const borrowed = new Set(foreign);
  /** What the old master may have steered otherwise since. */
  const steered = new Map<OpenedListener, () => void>();
  return {
    open(endpoint, options) {
      const { key } = endpoint, { slots: wanted } = options;
      const found = unclaimed.get(key);
      if (found === undefined) return port.open(endpoint, options);
      const count = (wanted ?? 1) - found.length;
      const added = count > 0 ? port.extend(found, count) : [];
      unclaimed.delete(key);
      return [...found, ...added];
    },
    extend: (slots, count) => port.extend(slots, count),
    steer(slots, chosen) {
      port.steer(slots, chosen);
      if (borrowed.has(slots[0])) steered.set(slots[0], () => port.steer(slots, chosen));
    },
    isHeldElsewhere: (listener) => foreign.has(listener) || port.isHeldElsewhere(listener),
    refuse: (listener, kind) => !borrowed.has(listener) && port.refuse(listener, kind),
    close: (listener) => borrowed.has(listener) ? port.leave(listener) : port.close(listener),
    discard: (listener) => borrowed.has(listener) ? port.leave(listener) : port.discard(listener),
    leave: (listener) => port.leave(listener),
    atHand: () => unclaimed.keys(),
    own() {
      borrowed.clear();
      steered.values().forEach((again) => again());
      steered.clear();
      for (const listener of [...unclaimed.values()].flat()) port.close(listener);
      unclaimed.clear();
    },
  };
}
