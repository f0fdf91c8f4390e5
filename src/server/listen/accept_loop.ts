/**
 * The accept loop of a listener, which survives errors of accept(2) and FD exhaustion, and shares new
 * connections out among processes.
 *
 * accept(2) reports errors of connections that are gone already, and fails while no descriptor is free. A
 * loop that ends at the first of these errors would never accept again.
 *
 * @module
 */
import { reserveDescriptor } from "../../os/fd/reserve_fd.ts";
import type { RejectPendingOptions } from "../../os/net/reject_pending.ts";
import type { ListenAddress } from "../../os/net/socket.ts";
import type { AcceptSource } from "../backend/backend.ts";
import { type AcceptCounts, countAccepts } from "./accept_counts.ts";
import { AcceptPace } from "./accept_pace.ts";
import { FdExhaustion } from "./fd_exhaustion.ts";

/** The codes of the errors of accept(2) that concern one connection and not the listener (accept(2)). */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  "ENOTCONN",
  "ECONNABORTED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EINTR",
  "EPERM",
  "EPROTO",
  "ENETDOWN",
  "ENOPROTOOPT",
  "EHOSTDOWN",
  "ENONET",
  "EHOSTUNREACH",
  "EOPNOTSUPP",
  "ENETUNREACH",
]);

/** The listener of an {@linkcode AcceptLoop}. */
export interface AcceptLoopOptions {
  /** Its address. */
  readonly address: ListenAddress;
  /** A borrowed descriptor of it, valid until `stop`; undefined where the system can't be asked. */
  readonly fd?: number;
  /** Whether other processes accept on the same socket. */
  readonly shared: boolean;
  /** The answer to connections that are rejected for lack of descriptors; default none. */
  readonly answer?: RejectPendingOptions["answer"];
}

/** The rules that each accept of a listener follows, and its counters. */
export class AcceptRules {
  readonly #counts: AcceptCounts;
  readonly #fdExhaustion: FdExhaustion;
  readonly #pace: AcceptPace | undefined;
  readonly #releaseReserve: (() => void) | undefined;

  constructor({ address, fd, shared, answer }: AcceptLoopOptions) {
    this.#counts = countAccepts(address);
    this.#fdExhaustion = new FdExhaustion(this.#counts, { fd, answer });
    if (shared) this.#pace = new AcceptPace();
    if (fd !== undefined) this.#releaseReserve = reserveDescriptor.hold();
  }

  /** Returns the pause before the next accept; undefined when there is none. */
  pause(): Promise<void> | undefined {
    return this.#pace?.pause();
  }

  /** Counts an accepted connection. */
  accepted(): void {
    this.#counts.accepted!++;
    this.#pace?.accepted();
  }

  /** Counts an error of accept, and returns the pause that follows; undefined when there is none. */
  failed(error: Error): Promise<void> | undefined {
    this.#counts.errors++;
    return concernsConnection(error) ? undefined : this.#fdExhaustion.pause(error);
  }

  /** Ends it: the listener is being closed. Called once. */
  stop(): void {
    this.#fdExhaustion.stop();
    this.#counts.log();
    this.#releaseReserve?.();
  }
}

/** Accepts from a source until it is stopped. */
export class AcceptLoop<T> {
  readonly #source: AcceptSource<T> | Promise<AcceptSource<T>>;
  readonly #rules: AcceptRules;
  #stopped = false;

  /** Takes ownership of `source`. */
  constructor(source: AcceptSource<T> | Promise<AcceptSource<T>>, options: AcceptLoopOptions) {
    this.#source = source;
    this.#rules = new AcceptRules(options);
  }

  /** Accepts the next connection; undefined once it is stopped. Not to be called again meanwhile. */
  async next(): Promise<T | undefined> {
    for (;;) {
      const pause = this.#rules.pause();
      if (pause !== undefined) await pause;
      let accepted: T;
      try {
        const source = this.#source instanceof Promise ? await this.#source : this.#source;
        // Called even after a stop: the source may have accepted a connection before.
        accepted = await source.accept();
      } catch (error) {
        if (this.#stopped) return undefined;
        const pause = this.#rules.failed(error as Error);
        if (pause !== undefined) await pause;
        continue;
      }
      this.#rules.accepted();
      return accepted;
    }
  }

  /** Stops accepting and closes the source. A second call does nothing. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.withSource((source) => source.close());
    this.#rules.stop();
  }

  /** Calls back with the source, at once or as soon as it is open. */
  withSource(use: (source: AcceptSource<T>) => void): void {
    if (!(this.#source instanceof Promise)) return use(this.#source);
    // If there is none, `next` has told.
    this.#source.then(use, () => {});
  }
}

/** Whether an error of accept concerns only that connection: the next accept may follow at once. */
function concernsConnection({ code }: Error & { readonly code?: string }): boolean {
  return code !== undefined && CONNECTION_ERRORS.has(code);
}
