/**
 * Counters of accepted connections for each listener of this process.
 *
 * @module
 */
import { isDebugLog, zdebug } from "../../log/log.ts";
import type { OpenConnections } from "../../os/net/connections.ts";
import { addressText, type ListenAddress } from "../../os/net/socket.ts";
import { backend } from "../backend/chosen.ts";

/** The counters of one listener at one moment. */
export interface AcceptStatistics {
  /** The address of the listener. */
  readonly address: string;
  /** The accepted connections; undefined under Deno.serve, which does not report them. */
  readonly accepted: number | undefined;
  /** The open connections; undefined without `--allow-ffi`, or while no descriptor is free. */
  readonly open: number | undefined;
  /** The pending connections that were closed because no descriptor was free. */
  readonly rejected: number;
  /** The failed calls of accept. */
  readonly errors: number;
}

/** The counters of one listener. */
export class AcceptCounts {
  /** See {@linkcode AcceptStatistics}. */
  accepted: number | undefined = 0;
  /** See {@linkcode AcceptStatistics}. */
  rejected = 0;
  /** See {@linkcode AcceptStatistics}. */
  errors = 0;

  constructor(readonly address: ListenAddress) {}

  /** Returns the counters as they are now; `connections` are the process's open ones, if known. */
  read(connections: OpenConnections | undefined): AcceptStatistics {
    const { accepted, rejected, errors } = this;
    const open = connections?.at(this.address).length;
    return { address: addressText(this.address), accepted, open, rejected, errors };
  }

  /** Writes the counters to the debug log when accepting has ended. */
  log(): void {
    if (!isDebugLog()) return;
    // Open connections are not counted: a process may close a thousand listeners at once.
    const { address, accepted, rejected, errors } = this.read(undefined);
    const known = Object.entries({ accepted, rejected, errors })
      .flatMap(([what, count]) => count === undefined ? [] : [`${count} ${what}`]);
    zdebug(`accepting has ended on ${address}: ${known.join(", ")}`);
  }
}

const counted: AcceptCounts[] = [];

/** Creates the counters of a listener; they remain after it is closed. */
export function countAccepts(address: ListenAddress): AcceptCounts {
  const counts = new AcceptCounts(address);
  counted.push(counts);
  return counts;
}

/** Returns the counters of every listener that this process has or had, oldest first. */
export function acceptStatistics(): AcceptStatistics[] {
  const connections = backend().openConnections?.();
  return counted.map((counts) => counts.read(connections));
}

/** The sum of a counter over all listeners; undefined if one of them does not have it. */
export function sumOf(
  statistics: readonly AcceptStatistics[],
  counter: "accepted" | "open",
): number | undefined {
  return statistics.reduce<number | undefined>((sum, { [counter]: count }) => {
    return sum === undefined || count === undefined ? undefined : sum + count;
  }, 0);
}
