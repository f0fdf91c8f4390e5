/**
 * The changes of a master, such as reloads and upgrades: one at a time, in the order of their
 * requests.
 *
 * @module
 */

/** What a change is. */
export type ChangeKind = "start" | "reload" | "upgrade" | "services";

interface Waiting {
  readonly kind: ChangeKind;
  run(): Promise<void>;
  cancel(reason: Error): void;
}

/** Runs changes one at a time. */
export class Changes {
  readonly #waiting: Waiting[] = [];
  readonly #mayRun: () => boolean;
  /** The change that is under way. The start counts as one, so that later requests wait for it. */
  #current: ChangeKind | undefined = "start";
  #idle = Promise.resolve();
  /** Why no change can be requested any more. */
  #refusal?: Error;

  /** @param mayRun Whether a change may begin now. */
  constructor(mayRun: () => boolean) {
    this.#mayRun = mayRun;
  }

  /** The change that is under way. */
  get current(): ChangeKind | undefined {
    return this.#current;
  }

  /** Fulfilled when no change is under way, and none that may run waits. */
  get idle(): Promise<void> {
    return this.#idle;
  }

  /** Whether a change of this kind waits. */
  isWaiting(kind: ChangeKind): boolean {
    return this.#waiting.some((one) => one.kind === kind);
  }

  /**
   * Runs a change once those before it are over.
   *
   * @param kind What it is.
   * @param change The change.
   * @returns Its result; rejected with the reason of {@linkcode cancel} after that.
   */
  request<T>(kind: ChangeKind, change: () => Promise<T>): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push({ kind, run: () => change().then(resolve, reject), cancel: reject });
    if (this.#current === undefined) this.#begin();
    return promise;
  }

  /** Marks the master as busy with its start, so that requests wait for {@linkcode resume}. */
  hold(): void {
    this.#refusal = undefined;
    this.#current = "start";
  }

  /** Runs the changes that wait, and accepts further ones. */
  resume(): void {
    this.#refusal = undefined;
    this.#begin();
  }

  /** Rejects the changes that wait, and later ones until {@linkcode resume} or {@linkcode hold}. */
  cancel(reason: Error): void {
    this.#refusal = reason;
    for (const { cancel } of this.#waiting.splice(0)) cancel(reason);
  }

  #begin(): void {
    this.#idle = this.#work();
  }

  async #work(): Promise<void> {
    for (let next; this.#mayRun() && (next = this.#waiting.shift()) !== undefined;) {
      this.#current = next.kind;
      await next.run();
    }
    this.#current = undefined;
  }
}
