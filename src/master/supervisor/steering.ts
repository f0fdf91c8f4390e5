/**
 * Which listeners receive the new connections of a service with several slots
 * (docs/design/12_balance.md).
 *
 * @module
 */
import type { Listener } from "../policy/listener.ts";
import type { Action } from "../policy/decision.ts";
import type { ListenerTable } from "../listeners/table.ts";
import { strengthOf } from "../policy/scaling.ts";
import { nextSlot, slotCount } from "../policy/slots.ts";
import { isReady, type Worker } from "../policy/life.ts";
import type { Service, Version } from "../policy/model.ts";

/** What the choice depends on beside the service. */
export interface SteeringOptions {
  /** The current version. */
  readonly current: Version;
  /** The actions that are to be done next. */
  readonly actions: readonly Action[];
  /** The open listeners. */
  readonly table: ListenerTable;
}

/**
 * The listeners that have an accepting worker after the given actions. If there are none, the
 * listeners of the processes that start, provided that fewer processes than slots will start.
 *
 * @param service The service.
 * @param options The current version, the actions, and the listeners.
 * @returns The listeners; none when each slot will soon have a process again.
 */
export function servedListeners(
  service: Service,
  { current, actions, table }: SteeringOptions,
): ReadonlySet<Listener> {
  const { config, generation } = current;
  const leaving = new Set(actions.flatMap(leavingWorker));
  const staying = [...service.workers].filter((worker) => !leaving.has(worker));
  const ready = staying.filter(isReady);
  if (ready.length > 0 || strengthOf(service) >= slotCount(config)) return listenersOf(ready);
  const starting = staying.filter((one) =>
    one.life.state === "starting" && one.generation === generation
  );
  if (starting.length > 0) return listenersOf(starting);
  return new Set(table.listeners(config, nextSlot(service, current)));
}

/** The process that accepts no more connections after an action, if there is one. */
function leavingWorker(action: Action): Worker[] {
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

function listenersOf(workers: readonly Worker[]): ReadonlySet<Listener> {
  return new Set(workers.flatMap(({ listeners }) => listeners));
}
