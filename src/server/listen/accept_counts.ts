/**
 * What each listener of this process has accepted: the share that this process has of its service.
 *
 * @module
 */
import { isDebugLog, zdebug } from "../../log/log.ts";
import { OpenConnections } from "../../os/net/connections.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { addressText, type ListenAddress } from "../../os/net/socket.ts";

/** The counts of one listener at one moment. */
export interface AcceptStatistics {
  /** Where it listens. */
  readonly address: string;
  /** Connections that were accepted; undefined under Deno.serve, which does not tell of them. */
  readonly accepted: number | undefined;
  /** Connections that are open; undefined without `--allow-ffi`. */
  readonly open: number | undefined;
  /** Clients that have waited in vain for a descriptor, and whose connection was closed. */
  readonly rejected: number;
  /** Times that accepting has failed. */
  readonly errors: number;
}

/** Counts for one listener, as it goes along. */
export class AcceptCounts {
  /** See {@linkcode AcceptStatistics}. */
  accepted: number | undefined = 0;
  /** See {@linkcode AcceptStatistics}. */
  rejected = 0;
  /** See {@linkcode AcceptStatistics}. */
  errors = 0;

  /** @param address Where it listens. */
  constructor(readonly address: ListenAddress) {}

  /**
   * The counts as they are now.
   *
   * @param connections The open connections of the process, if they are known.
   */
  read(connections: OpenConnections | undefined): AcceptStatistics {
    const { accepted, rejected, errors } = this;
    const open = connections?.at(this.address).length;
    return { address: addressText(this.address), accepted, open, rejected, errors };
  }

  /** Writes them to the debug log: accepting has ended. */
  log(): void {
    if (!isDebugLog()) return;
    // Those that are open are not counted: the process may end its accepting on a thousand addresses.
    const { address, accepted, rejected, errors } = this.read(undefined);
    const known = Object.entries({ accepted, "turned away": rejected, errors })
      .flatMap(([what, count]) => count === undefined ? [] : [`${count} ${what}`]);
    zdebug(`accepting has ended on ${address}: ${known.join(", ")}`);
  }
}

const counted: AcceptCounts[] = [];

/**
 * Begins to count for a listener; the counts stay when it is closed.
 *
 * @param address Where it listens.
 */
export function countAccepts(address: ListenAddress): AcceptCounts {
  const counts = new AcceptCounts(address);
  counted.push(counts);
  return counts;
}

/** The counts of every listener that this process has or had, in the order of their making. */
export function acceptStatistics(): AcceptStatistics[] {
  const connections = mayUseFfi() ? new OpenConnections() : undefined;
  return counted.map((counts) => counts.read(connections));
}
