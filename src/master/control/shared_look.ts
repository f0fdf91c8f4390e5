/**
 * A look at a master that many clients share: however often they ask, its processes are not asked more often
 * than a few times a second.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import type { ControlledMaster } from "./commands.ts";
import { controlCommands } from "./commands.ts";
import type { CommandHandlers } from "./requests.ts";

/** How long a look is young enough for another client. */
const SHARED_MS = 250;

/** A value that is looked up anew when it is too old. A look under way is shared, too. */
function shared<T>(clock: Clock, look: () => T): () => T {
  let last: { readonly value: T; untilMs: number } | undefined;
  return () => {
    if (last === undefined || clock.nowMs() >= last.untilMs) {
      const made = last = { value: look(), untilMs: Infinity };
      const over = () => void (made.untilMs = clock.nowMs() + SHARED_MS);
      Promise.resolve(made.value).then(over, over);
    }
    return last.value;
  };
}

/**
 * The commands of the status socket: those that change nothing and show no log.
 *
 * @param master The master.
 * @param clock The source of time.
 */
export function statusCommands(master: ControlledMaster, clock: Clock): Partial<CommandHandlers> {
  const { hello, status, events } = controlCommands({
    ...master,
    get lastReload() {
      return master.lastReload;
    },
    services: shared(clock, () => master.services()),
    listeners: shared(clock, () => master.listeners()),
  });
  return { hello, status, events };
}
