/**
 * The handlers that a program has for SIGTERM: they are called at a soft stop, of which the program knows nothing
 * else.
 *
 * @module
 */
import process from "node:process";

const SIGNAL = "SIGTERM", NUMBER = 15;

/** The program's own handlers of SIGTERM. */
export class ProgramSignals {
  readonly #handlers = new Set<() => void>();
  #isOfRuntime = false;

  /** Notes the handlers that the program adds from now on. */
  constructor() {
    const { addSignalListener, removeSignalListener } = Deno;
    Deno.addSignalListener = (signal, handler) => {
      // The runtime stops a server of its own, which the soft stop does.
      if (this.#isOfRuntime && (signal === SIGNAL || signal === "SIGINT")) return;
      addSignalListener(signal, handler);
      if (signal === SIGNAL) this.#handlers.add(handler);
    };
    Deno.removeSignalListener = (signal, handler) => {
      removeSignalListener(signal, handler);
      if (signal === SIGNAL) this.#handlers.delete(handler);
    };
  }

  /** Leaves out the handlers that are added in this turn: the runtime adds them, for what a main module exports. */
  leaveOutThisTurn(): void {
    this.#isOfRuntime = true;
    queueMicrotask(() => this.#isOfRuntime = false);
  }

  /** Whether the program has a handler. */
  get isHandled(): boolean {
    return this.#handlers.size > 0 || process.listenerCount(SIGNAL) > 0;
  }

  /** Calls all handlers, as if the signal had come. */
  call(): void {
    for (const handler of [...this.#handlers]) {
      try {
        handler();
      } catch (error) {
        reportError(error);
      }
    }
    // The types know of no event with the name of a signal.
    Reflect.apply(process.emit, process, [SIGNAL, SIGNAL, NUMBER]);
  }
}
