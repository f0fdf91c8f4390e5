/**
 * Listeners that another master has opened: the one that takes its place finds its addresses open
 * already, each with its queue.
 *
 * Until that other master has let go of them, they are only borrowed: whatever goes wrong, nothing is
 * closed and no socket file is removed.
 *
 * @module
 */
import type { OpenedListener } from "../os/socket.ts";
import type { ListenerPort } from "./listeners.ts";

/** A port that hands inherited listeners out before it opens others. */
export interface HeirListeners extends ListenerPort {
  /** The keys of the inherited addresses that nobody has asked for. */
  atHand(): string[];
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
 * @param inherited The listeners by the keys of their addresses, owned by the port from now on.
 */
export function heirListeners(
  port: ListenerPort,
  inherited: ReadonlyMap<string, OpenedListener>,
): HeirListeners {
  const unclaimed = new Map(inherited);
  /** Those that are given out, by which they are known when they come back. */
  const borrowed = new Map<OpenedListener, string>();
  /** Takes a borrowed one back, for whoever asks for its address next. */
  const returned = (listener: OpenedListener): boolean => {
    const key = borrowed.get(listener);
    if (key === undefined) return false;
    borrowed.delete(listener);
    unclaimed.set(key, listener);
    return true;
  };
  return {
    open(endpoint, wanted) {
      const listener = unclaimed.get(endpoint.key);
      if (listener === undefined) return port.open(endpoint, wanted);
      unclaimed.delete(endpoint.key);
      borrowed.set(listener, endpoint.key);
      return listener;
    },
    refuse: (listener, kind) => !borrowed.has(listener) && port.refuse(listener, kind),
    close: (listener) => returned(listener) || port.close(listener),
    discard: (listener) => returned(listener) || port.discard(listener),
    leave: (listener) => port.leave(listener),
    atHand: () => [...unclaimed.keys()],
    own(others) {
      borrowed.clear();
      for (const listener of unclaimed.values()) port[others](listener);
      unclaimed.clear();
    },
  };
}
