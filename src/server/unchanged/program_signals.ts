/**
 * The handlers that a program has for SIGTERM: they are called at a soft stop, of which the program knows nothing
 * else.
 *
 * @module
 */
import { processSignals } from "../../os/process/signals.ts";

const SIGNAL = "SIGTERM";

/** The program's own handlers of SIGTERM. A handler of node:process is one of them: node adds it here. */
export class ProgramSignals {
  readonly #handlers = new Set<() => void>();
  #isOfRuntime = false;
  #wereCalled = false;
  /** Registered while the program has a handler only: a registration of our own removes the signal's default action. */
  #release?: () => void;

  /** Notes the handlers that the program adds from now on. */
  constructor() {
    const { addSignalListener, removeSignalListener } = Deno;
    Deno.addSignalListener = (signal, handler) => {
      // The runtime adds it to stop the exported application, which the soft stop does here.
      if (this.#isOfRuntime && (signal === SIGNAL || signal === "SIGINT")) return;
      addSignalListener(signal, handler);
      if (signal === SIGNAL) this.#handlers.add(handler);
      this.#watch();
    };
    Deno.removeSignalListener = (signal, handler) => {
      removeSignalListener(signal, handler);
      if (signal === SIGNAL) this.#handlers.delete(handler);
      this.#watch();
    };
  }

  #watch(): void {
    if (this.#handlers.size > 0) {
      this.#release ??= processSignals.on(SIGNAL, () => this.#wereCalled = true);
    } else {
      this.#release?.();
      this.#release = undefined;
    }
  }

  /** Leaves out the handlers that are added in this turn: the runtime adds them, for what a main module exports. */
  leaveOutThisTurn(): void {
    this.#isOfRuntime = true;
    queueMicrotask(() => this.#isOfRuntime = false);
  }

  /** Whether handlers were called, by a signal or in its place. */
  get wereCalled(): boolean {
    return this.#wereCalled;
  }

  /** Calls all handlers, as if the signal had come. */
  call(): void {
    for (const handler of [...this.#handlers]) {
      this.#wereCalled = true;
      try {
        handler();
      } catch (error) {
        // The program does not catch it at a signal either.
        reportError(error);
      }
    }
  }
}
