/**
 * Where the new connections of a service are to come that has several slots
 * (docs/design/12_balance.md).
 *
 * @module
 */
import type { OpenedListener } from "../../os/net/socket.ts";
import type { Action } from "../policy/decision.ts";
import type { ListenerTable } from "../listeners/table.ts";
import { strengthOf } from "../policy/scaling.ts";
import { nextSlot, slotCount } from "../policy/slots.ts";
import type { Service, Version, Worker } from "../policy/model.ts";

/** What that depends on beside the service. */
export interface SteeringOptions {
  /** Its version in force. */
  readonly current: Version;
  /** What is to be done for it next. */
  readonly actions: readonly Action[];
  /** The open listeners. */
  readonly table: ListenerTable;
}

/**
 * The listeners on which somebody accepts once some actions are done. While nobody does, those of the
 * next processes, where fewer will come than there are slots.
 *
 * @param service The service.
 * @param options Its version in force, the actions, and the listeners.
 * @returns The listeners; none when each slot will soon have a process again.
 */
export function servedListeners(
  service: Service,
  { current, actions, table }: SteeringOptions,
): ReadonlySet<OpenedListener> {
  const { config, generation } = current;
  const leaving = new Set(actions.flatMap(leaverOf));
  const staying = [...service.workers].filter((worker) => !leaving.has(worker));
  const ready = staying.filter(({ state }) => state === "ready");
  if (ready.length > 0 || strengthOf(service) >= slotCount(config)) return listenersOf(ready);
  const coming = staying.filter((one) => one.state === "starting" && one.generation === generation);
  if (coming.length > 0) return listenersOf(coming);
  return new Set(table.listeners(config, nextSlot(service, current)));
}

/** The process that accepts no more after an action, if there is one. */
function leaverOf(action: Action): Worker[] {
  switch (action.do) {
    case "softstop":
    case "terminate":
    case "kill":
    case "abort":
    case "scaleDown":
      return [action.worker];
    default:
      return [];
  }
}

function listenersOf(workers: readonly Worker[]): ReadonlySet<OpenedListener> {
  return new Set(workers.flatMap(({ listeners }) => listeners));
}
