/**
 * What has happened to a master and its services since the first master. No count ever falls, and
 * other masters of an upgrade get each increment.
 *
 * docs/design/29_metrics.md has the reasons.
 *
 * @module
 */
import {
  DRAIN_BUCKETS_MS,
  END_REASONS,
  type EndReason,
  type MasterCounters,
  type ServiceCounters,
} from "../../control/status.ts";
import { type Increment, IncrementSums } from "./increment_sums.ts";
import type { CountForwarding } from "./forwarding.ts";

/** How many services may have counts before those of unknown ones are forgotten. */
const MOST_SERVICES = 1_000;

/** The service of the master's own counts; no service has an empty id. */
const OF_MASTER = "";

/** What can happen to a master. */
export type MasterCount =
  | `reloads.${keyof MasterCounters["reloads"]}`
  | `upgrades.${keyof MasterCounters["upgrades"]}`;

/** The counts of a master. */
export class Counters {
  readonly #table = new IncrementSums();
  readonly #forwardings = new Set<CountForwarding>();
  /** Whether a service is one of the master; the counts of all others may be forgotten. */
  isKnown: (service: string) => boolean = () => true;

  /** Counts an event of the master. */
  ofMaster(name: MasterCount): void {
    this.#add([OF_MASTER, name, 1]);
  }

  /** A process of a service was started. */
  started(service: string): void {
    this.#add([service, "starts", 1]);
  }

  /** A process of a service has ended unexpectedly, or was replaced. */
  ended(service: string, reason: EndReason): void {
    this.#add([service, `ends.${reason}`, 1]);
  }

  /** Processes of a service have accepted so many connections more; also 0, since they report. */
  accepted(service: string, by: number): void {
    this.#add([service, "accepted", by]);
  }

  /** A drain of a service is over. */
  drained(
    service: string,
    { ms, isKilled }: { readonly ms: number; readonly isKilled: boolean },
  ): void {
    this.#add([service, "drains", 1]);
    this.#add([service, "drains.ms", ms]);
    if (isKilled) this.#add([service, "drains.killed", 1]);
    const bucket = DRAIN_BUCKETS_MS.find((mostMs) => ms <= mostMs);
    if (bucket !== undefined) this.#add([service, bucketName(bucket), 1]);
  }

  /**
   * Adds what another master has counted.
   *
   * @param increments What it has counted since its last message.
   * @param from The way to that master, which is not told its own counts.
   */
  adopt(increments: readonly Increment[], from?: CountForwarding): void {
    for (const increment of increments) this.#add(increment, from);
  }

  /**
   * Passes each increment on from now on.
   *
   * @param forwarding The way.
   * @param options `all`: whether it gets all counts so far, too.
   */
  forwardTo(forwarding: CountForwarding, { all = false }: { readonly all?: boolean } = {}): void {
    this.#forwardings.add(forwarding);
    if (all) { for (const increment of this.#table.all()) forwarding.add(increment); }
  }

  /** Passes nothing on any more. */
  leave(forwarding: CountForwarding): void {
    this.#forwardings.delete(forwarding);
    forwarding.stop();
  }

  /** Passes on what waits, before anybody sees the counts. */
  flush(): void {
    for (const forwarding of this.#forwardings) forwarding.flush();
  }

  /** The counts of the master itself. */
  get master(): MasterCounters {
    const count = (name: MasterCount) => this.#table.get(OF_MASTER, name) ?? 0;
    return {
      reloads: {
        committed: count("reloads.committed"),
        rolledBack: count("reloads.rolledBack"),
        refused: count("reloads.refused"),
      },
      upgrades: { completed: count("upgrades.completed"), failed: count("upgrades.failed") },
    };
  }

  /** The counts of a service. */
  of(service: string): ServiceCounters {
    const count = (name: string) => this.#table.get(service, name) ?? 0;
    let below = 0;
    return {
      starts: count("starts"),
      ends: Object.fromEntries(
        END_REASONS.map((reason) => [reason, count(`ends.${reason}`)]),
      ) as Record<EndReason, number>,
      accepted: this.#table.get(service, "accepted") ?? null,
      drains: {
        count: count("drains"),
        totalMs: count("drains.ms"),
        killed: count("drains.killed"),
        buckets: DRAIN_BUCKETS_MS.map((mostMs) => below += count(bucketName(mostMs))),
      },
    };
  }

  #add(increment: Increment, from?: CountForwarding): void {
    this.#table.add(increment);
    if (this.#table.size > MOST_SERVICES) this.#forgetOne(increment[0]);
    for (const forwarding of this.#forwardings) if (forwarding !== from) forwarding.add(increment);
  }

  /** Forgets the oldest unknown service: a hook can make any number of names. */
  #forgetOne(newest: string): void {
    for (const service of this.#table.services()) {
      if (service === OF_MASTER || service === newest || this.isKnown(service)) continue;
      return this.#table.forget(service);
    }
  }
}

function bucketName(mostMs: number): string {
  return `drains.${mostMs}`;
}
