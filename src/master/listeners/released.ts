/**
 * The listeners that no configuration names any more, on their way to their close: first their queues receive no more
 * connections, and once their processes have been told they are closed.
 *
 * @module
 */
import type { Listener } from "../policy/listener.ts";
import type { ListenerPort } from "./system.ts";

/** What is known of a listener when it is closed. */
interface Closing {
  /** Whether only a candidate has had it: it is closed without a trace then. */
  readonly inRollout: boolean;
}

/** See the module. */
export class ReleasedListeners {
  readonly #released = new Map<Listener, Closing>();

  /**
   * @param port The system calls.
   * @param onClose Called with each listener before it is closed.
   */
  constructor(
    private readonly port: ListenerPort,
    private readonly onClose: (listener: Listener) => void,
  ) {}

  /**
   * Lets the queue of a listener receive no more connections; closes the listener at once where that is not possible.
   *
   * @returns Whether it is still open.
   */
  add(listener: Listener, closing: Closing): boolean {
    const refuses = this.port.refuse(listener);
    if (refuses) this.#released.set(listener, closing);
    else this.close(listener, closing);
    return refuses;
  }

  /** Closes those that no process may hold any more. */
  closeUnheld(isHeld: (listener: Listener) => boolean): void {
    for (const [listener, closing] of this.#released) {
      if (isHeld(listener)) continue;
      this.#released.delete(listener);
      this.close(listener, closing);
    }
  }

  /** Gives up the addresses of those that are left, although processes hold them. */
  async surrender(): Promise<void> {
    const left = [...this.#released];
    // First, so that no listener is closed meanwhile: its descriptor number could be reused.
    this.#released.clear();
    await Promise.all(left.map(async ([listener, closing]) => {
      try {
        await this.port.surrender(listener);
      } finally {
        this.close(listener, closing);
      }
    }));
  }

  /** Closes a listener, released or not. */
  close(listener: Listener, { inRollout }: Closing): void {
    this.onClose(listener);
    if (inRollout) this.port.discard(listener);
    else this.port.close(listener);
  }
}
