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
import type { ListenerPort } from "./listeners.ts";

/** A port that hands inherited listeners out before it opens others. */
export interface HeirListeners extends ListenerPort {
  /** Says that they are this process's own, and closes those that nobody has asked for. */
  own(): void;
}

/**
 * Makes the port.
 *
 * @param port Opens what was not inherited.
 * @param inherited The listeners by the keys of their addresses, owned by the port from now on.
 */
export function heirListeners(
  port: ListenerPort,
  inherited: ReadonlyMap<string, OpenedListener>,
): HeirListeners {
  const unclaimed = new Map(inherited);
  const borrowed = new Set(inherited.values());
  return {
    open(endpoint, wanted) {
      const listener = unclaimed.get(endpoint.key);
      if (listener === undefined) return port.open(endpoint, wanted);
      unclaimed.delete(endpoint.key);
      return listener;
    },
    refuse: (listener, kind) => !borrowed.has(listener) && port.refuse(listener, kind),
    close: (listener) => borrowed.has(listener) ? port.leave(listener) : port.close(listener),
    discard: (listener) => borrowed.has(listener) ? port.leave(listener) : port.discard(listener),
    leave: (listener) => port.leave(listener),
    atHand: () => unclaimed.keys(),
    own() {
      borrowed.clear();
      for (const listener of unclaimed.values()) port.close(listener);
      unclaimed.clear();
    },
  };
}
