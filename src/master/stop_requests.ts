/**
 * The requests to stop a master.
 *
 * @module
 */

/** The requests to stop: the first one stops the servers, the second one shortens their time. */
export class StopRequests {
  readonly #first = Promise.withResolvers<void>();
  readonly #second = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  #count = 0;

  /** Adds a request; whether it is the first one. */
  add(): boolean {
    this.#first.resolve();
    if (this.#count > 0) this.#second.resolve();
    return this.#count++ === 0;
  }

  /** Whether there was a request. */
  get hasAny(): boolean {
    return this.#count > 0;
  }

  /** Records that everything has stopped. */
  finish(): void {
    this.#finished.resolve();
  }

  /** Fulfilled when everything has stopped. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Fulfilled at the first request. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Fulfilled at the second request. */
  get second(): Promise<void> {
    return this.#second.promise;
  }
}
