/**
 * IDLE (RFC 2177): the client is told of changes as they come, until it says DONE.
 *
 * @module
 */
import { zwarn } from "../../../coroutine_server.ts";
import { WireEnd } from "../net/wire.ts";
import { type ImapState, sendUntagged } from "./state.ts";

/** How often the folder is looked at where it can't be watched. */
const LOOK_MS = 5_000;

/**
 * Waits, and tells of changes.
 *
 * @param state The session.
 * @returns The answer behind the tag.
 */
export async function idle(state: ImapState): Promise<string> {
  const { wire, selected, stop } = state, since = performance.now();
  wire.send("+ idling\r\n");
  const folders = selected ? [`${selected.path}/new`, `${selected.path}/cur`] : [];
  using changes = new Changes(folders);
  while (!wire.hasInput) {
    // Whatever changes from here on ends the wait below.
    const changed = changes.next();
    if (selected) sendUntagged(state, await selected.refresh(true));
    await wire.inputOr(AbortSignal.any([stop, changed]), since);
    if (stop.aborted) throw new WireEnd("stop");
  }
  const line = await wire.line();
  return line.toUpperCase() === "DONE" ? "OK done" : "BAD expected DONE";
}

let hasWarned = false;

/** Tells of changes in directories. */
class Changes implements Disposable {
  #watcher: Deno.FsWatcher | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  #changed = new AbortController();

  constructor(paths: readonly string[]) {
    if (paths.length === 0) return;
    try {
      this.#watcher = Deno.watchFs([...paths], { recursive: false });
      this.#watch(this.#watcher).catch((error) => this.#look(error));
    } catch (error) {
      this.#look(error);
    }
  }

  /** A signal that is aborted at the first change from now on. */
  next(): AbortSignal {
    if (this.#changed.signal.aborted) this.#changed = new AbortController();
    return this.#changed.signal;
  }

  async #watch(watcher: Deno.FsWatcher): Promise<void> {
    for await (const { kind } of watcher) if (kind !== "access") this.#changed.abort();
  }

  /** Looks now and then: the kernel lets a user watch a limited number of directories (inotify(7)). */
  #look(error: unknown): void {
    if (!hasWarned) zwarn(`Cannot watch folders, looking every ${LOOK_MS / 1000} s:`, error);
    hasWarned = true;
    this.#looking = setInterval(() => this.#changed.abort(), LOOK_MS);
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    clearInterval(this.#looking);
  }
}
