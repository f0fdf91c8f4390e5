/**
 * The one operation of an `Aio`: its state, its result, and the call of its callback.
 *
 * A callback never runs inside the call that requests it. It runs after a read, a write or a timer, or in the
 * loop below if its data is available already: a bounded number of times, then other connections get a turn.
 * This file does no I/O.
 *
 * @module
 */
import type { AioBaseCore, AioHandle } from "./base.ts";
import { AioDeadline } from "./deadlines.ts";

/** An operation that wants input, named as the user asks for it. */
export type ReadOperationName = "gets" | "readDelimiter" | "readn" | "read" | "readable";
/** Any operation. */
export type OperationName = ReadOperationName | "cacheFlush" | "sleep" | "startTls";

/** Results of operations; above 0: done, with a number of bytes where that makes sense. */
export const DONE: number = 1,
  END_OF_FILE: number = 0,
  FAILED: number = -1,
  TIMED_OUT: number = -2;

/**
 * The most callbacks before other connections get a turn. The runtime itself limits its reads and writes that
 * do not wait in the same way.
 */
const CALLBACKS_PER_TURN = 128;

/** The operation of one `Aio`, its owner. */
export class AioOperation<Owner extends AioHandle> {
  /** What is pending; `undefined` when nothing is. */
  name: OperationName | undefined = undefined;
  /** How the last one ended. */
  result: number = DONE;
  /** Why the last one ended with `FAILED` or `TIMED_OUT`. */
  error: Error | undefined = undefined;

  readonly #owner: Owner;
  readonly #core: AioBaseCore;
  #callback: ((owner: Owner) => void) | undefined = undefined;
  /** Whether the operation is over and only its callback is left to run. */
  #due = false;
  #running = false;
  #callbacksInTurn = 0;
  #deadline: AioDeadline | undefined = undefined;
  #waitMs = 0;

  /**
   * Makes it, with nothing pending.
   *
   * @param owner What callbacks are called with.
   * @param core The inside of its base.
   */
  constructor(owner: Owner, core: AioBaseCore) {
    this.#owner = owner;
    this.#core = core;
  }

  /** Whether an operation is pending that is not over yet. */
  get isWaiting(): boolean {
    return this.name !== undefined && !this.#due;
  }

  /**
   * Makes an operation the pending one.
   *
   * @param name What it is.
   * @param callback What to call when it is over.
   * @throws {Deno.errors.Busy} When another one is pending.
   */
  begin(name: OperationName, callback: (owner: Owner) => void): void {
    if (this.name !== undefined) refuse(name, this.name);
    this.name = name;
    this.#callback = callback;
  }

  /**
   * Limits the wait of the pending operation, anew at each call.
   *
   * @param waitMs How long it may wait from now, in milliseconds; below 0: for ever.
   */
  arm(waitMs: number): void {
    if (waitMs < 0) return;
    this.#waitMs = waitMs;
    this.#deadline ??= new AioDeadline(() => this.#onDeadline());
    this.#core.deadlines.arm(this.#deadline, waitMs);
  }

  /**
   * Ends the pending operation and runs its callback. Only to be called from the event loop.
   *
   * @param result How it ended.
   * @param error Why, if it failed.
   */
  finish(result: number, error?: Error): void {
    this.#end(result, error);
    // Others had their turn before this event.
    this.#callbacksInTurn = 0;
    this.#run();
  }

  /**
   * Ends the pending operation inside a call of the user: the callback runs from the event loop.
   *
   * @param result How it ended.
   * @param error Why, if it failed.
   */
  finishLater(result: number, error?: Error): void {
    this.#end(result, error);
    if (this.#running) return; // The loop in #run carries on with it.
    if (this.#callbacksInTurn < CALLBACKS_PER_TURN) queueMicrotask(() => this.#resume());
    else this.#yield();
  }

  /** Ends the pending operation as done, its callback to run after those of other connections. */
  finishAfterOthers(): void {
    this.#callbacksInTurn = CALLBACKS_PER_TURN;
    this.finishLater(DONE);
  }

  /** Gives up the pending operation. */
  cancel(): void {
    this.name = undefined;
    this.#callback = undefined;
    this.#due = false;
    this.#deadline?.disarm();
  }

  /** Gives up the pending operation and what is held for the next ones. */
  discard(): void {
    this.cancel();
    if (this.#deadline !== undefined) this.#core.deadlines.remove(this.#deadline);
  }

  #end(result: number, error: Error | undefined): void {
    this.result = result;
    this.error = error;
    this.#due = true;
    this.#deadline?.disarm();
  }

  #onDeadline(): void {
    if (this.name === "sleep") return this.finish(DONE);
    const idle = `nothing came or went for ${this.#waitMs / 1000} s`;
    this.finish(
      TIMED_OUT,
      new Deno.errors.TimedOut(`Cannot finish "${this.name}": ${idle}, expected progress`),
    );
  }

  #yield(): void {
    this.#callbacksInTurn = 0;
    setImmediate(() => this.#resume());
  }

  #resume(): void {
    // It may have been cancelled; and the next one may have ended, and run, before this call.
    if (this.#due && !this.#running) this.#run();
  }

  /** Runs the callback that is due, and those of operations that are over as it asks for them. */
  #run(): void {
    this.#running = true;
    do {
      this.#callbacksInTurn++;
      const callback = this.#callback!;
      this.#due = false;
      this.name = undefined;
      this.#callback = undefined;
      try {
        const returned: unknown = callback(this.#owner);
        if (returned instanceof Promise) returned.catch((error) => this.#fail(error));
      } catch (error) {
        this.#fail(error);
      }
    } while (this.#due && this.#callbacksInTurn < CALLBACKS_PER_TURN);
    this.#running = false;
    if (this.#due) this.#yield();
  }

  #fail(error: unknown): void {
    this.#core.fail(error, this.#owner);
  }
}

function refuse(name: OperationName, pending: OperationName): never {
  throw new Deno.errors.Busy(
    `Cannot start "${name}": "${pending}" is pending, expected no operation`,
  );
}
