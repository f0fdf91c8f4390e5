/**
 * IDLE (RFC 2177): the client is told of changes as they come, until it says DONE.
 *
 * @module
 */
import { WireEnd } from "../net/wire.ts";
import { type ImapState, sendUntagged } from "./state.ts";

/**
 * Waits, and tells of changes.
 *
 * @param state The session.
 * @returns The answer behind the tag.
 */
export async function idle(state: ImapState): Promise<string> {
  const { wire, selected, stop } = state;
  wire.send("+ idling\r\n");
  const folders = selected ? [`${selected.path}/new`, `${selected.path}/cur`] : [];
  using changes = new Changes(folders);
  while (!wire.hasInput) {
    // Whatever changes from here on ends the wait below.
    const changed = changes.next();
    if (selected) sendUntagged(state, await selected.refresh(true));
    await wire.inputOr(AbortSignal.any([stop, changed]));
    if (stop.aborted) throw new WireEnd("stop");
  }
  const line = await wire.line();
  return line.toUpperCase() === "DONE" ? "OK done" : "BAD expected DONE";
}

/** Watches directories. */
class Changes implements Disposable {
  readonly #watcher: Deno.FsWatcher | undefined;
  #changed = new AbortController();

  constructor(paths: readonly string[]) {
    if (paths.length === 0) return;
    this.#watcher = Deno.watchFs([...paths], { recursive: false });
    void this.#watch(this.#watcher);
  }

  /** A signal that is aborted at the first change from now on. */
  next(): AbortSignal {
    if (this.#changed.signal.aborted) this.#changed = new AbortController();
    return this.#changed.signal;
  }

  async #watch(watcher: Deno.FsWatcher): Promise<void> {
    for await (const { kind } of watcher) if (kind !== "access") this.#changed.abort();
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }
}
