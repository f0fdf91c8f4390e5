/**
 * The state changes of workers, and what follows when one leaves its slot: its replacement is
 * delayed, or the rollout of its candidate has failed.
 *
 * @module
 */
import { nextStartMs } from "../policy/decide.ts";
import {
  advance,
  hasPassed,
  isReady,
  isServing,
  isStandby,
  type LifeEvent,
  neverServed,
  type Worker,
} from "../policy/life.ts";
import type { Service } from "../policy/model.ts";
import type { WorkerEventCounter } from "./worker_event_counter.ts";
import type { Ports } from "./ports.ts";
import type { Restarts } from "./restarts.ts";

/** How a worker leaves its slot. */
export interface Departure {
  readonly event: LifeEvent;
  /** How, as in `process 7 HOW`. */
  readonly how: string;
  /** Whether it ends with success or drains; false by default. */
  readonly inOrder?: boolean;
}

/**
 * A worker serves no more, or has ended.
 *
 * @param worker The worker.
 * @param how `isExpected`: whether it was told to stop.
 */
export type OnLeave = (worker: Worker, how: { readonly isExpected: boolean }) => void;

/** Changes the states of workers. */
export class StateChanges {
  readonly #ports: Pick<Ports, "clock" | "debug">;
  readonly #restarts: Restarts;
  readonly #events: WorkerEventCounter;
  readonly #onLeave: OnLeave;
  /** The workers that were told to end because they were late, lost, or hung. */
  readonly #lost = new WeakSet<Worker>();
  /** The candidate workers that have left before they had passed. */
  readonly #failedCandidates = new WeakSet<Worker>();

  /**
   * @param ports The access to the system.
   * @param options `restarts` delays replacements. `onLeave` is called when a worker serves no more, or has
   * ended.
   */
  constructor(
    ports: Pick<Ports, "clock" | "debug">,
    { restarts, events, onLeave }: {
      readonly restarts: Restarts;
      readonly events: WorkerEventCounter;
      readonly onLeave: OnLeave;
    },
  ) {
    this.#ports = ports;
    this.#restarts = restarts;
    this.#events = events;
    this.#onLeave = onLeave;
  }

  /** Changes a worker's state; an event that its state does not name is only logged. */
  advance(worker: Worker, event: LifeEvent): boolean {
    const { life: { state }, pid, config: { id } } = worker;
    if (advance(worker, event)) {
      this.#events.changed(worker, event, state);
      return true;
    }
    this.#ports.debug(`${id}: process ${pid} is ${state}: ${event.type} changes nothing`);
    return false;
  }

  /** Whether a worker was told to end because it was late, lost, or hung. */
  isLost(worker: Worker): boolean {
    return this.#lost.has(worker);
  }

  /**
   * Whether a worker has left as a candidate worker that had not passed: its end is told by the
   * outcome of the reload, and is none of a process in service.
   */
  isFailedCandidate(worker: Worker): boolean {
    return this.#failedCandidates.has(worker);
  }

  /**
   * Changes a worker's state after an event that it has caused. If it has left early, its
   * replacement is delayed: a program that detaches or drains at its start would fill the machine
   * otherwise. A candidate worker that leaves before it has passed fails the rollout.
   */
  leave(service: Service, worker: Worker, { event, how, inOrder }: Departure): boolean {
    const nowMs = this.#ports.clock.nowMs();
    const { candidate } = service;
    const isExpected = !isServing(worker);
    if (!isExpected && event.type === "terminate") this.#lost.add(worker);
    if (neverServed(worker.life) && isCurrent(service, worker)) {
      this.#restarts.leaveStandby(service, worker);
      // Connections in its queue still wait.
      if (isServing(worker)) service.unservedSlots.add(worker.slot);
    } else if (isServing(worker)) {
      const startAtMs = nextStartMs(worker, nowMs);
      if (isCurrent(service, worker)) {
        service.startAtMs = Math.max(service.startAtMs, startAtMs);
        service.trouble = `process ${worker.pid} ${how}`;
        if (!inOrder && isReady(worker)) service.unreadySinceMs ??= nowMs;
        const isToldElsewhere = event.type === "exit";
        this.#restarts.leave(service, worker, { inOrder, isToldElsewhere });
        service.unservedSlots.add(worker.slot);
      } else if (worker.generation === candidate?.generation) {
        candidate.startAtMs = Math.max(candidate.startAtMs, startAtMs);
        if (hasPassed(worker, nowMs)) candidate.left++;
        else {
          candidate.failure ??= `process ${worker.pid} ${how}`;
          this.#failedCandidates.add(worker);
        }
      }
    }
    const hasChanged = this.advance(worker, event);
    // An exited worker holds no listeners.
    if (event.type === "exit") service.workers.delete(worker);
    // Repeated messages of a process cause no further check.
    if (hasChanged) this.#onLeave(worker, { isExpected });
    return hasChanged;
  }
}

/** Whether a worker is of the current version, and serves or is a standby. */
export function isCurrent({ current }: Service, worker: Worker): boolean {
  return (isServing(worker) || isStandby(worker)) && worker.generation === current?.generation;
}
