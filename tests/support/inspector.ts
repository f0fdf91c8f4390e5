/**
 * A witness for tests that nothing opens the runtime's inspector: a program that does open it, so that
 * one need not guess how long another one would have taken.
 *
 * @module
 */
import { hasSignal } from "./credentials.ts";
import { ageOf, listeningSockets } from "./proc.ts";
import { startFunction, type TestProcess } from "./processes.ts";
import { eventually } from "./wait.ts";

/** From this age on, in milliseconds, a process of the runtime has what opens it: after half a second. */
const READY_MS = 1_500;

/** Starts a witness. */
export function startWitness(): TestProcess {
  return startFunction(import.meta, async () => {
    const { untilInputCloses } = await import("./processes.ts");
    await untilInputCloses();
    Deno.exit(0);
  });
}

/**
 * Waits until processes are so old that SIGUSR1 would open their inspectors.
 *
 * @param pids The processes.
 * @param meanwhile Called again and again until then.
 */
export async function untilGrownUp(
  pids: Iterable<number>,
  meanwhile: () => void = () => {},
): Promise<void> {
  await eventually(() => {
    meanwhile();
    return [...pids].every((pid) => ageOf(pid) > READY_MS);
  }, { what: "the age of processes" });
}

/**
 * Sends signals to a process, and gives it the time in which a witness opens its inspector.
 *
 * @param witness The witness, which can be used once.
 * @param send Sends the signals.
 */
export async function giveTimeToOpen(witness: TestProcess, send: () => void): Promise<void> {
  await eventually(() => catchesSigusr1(witness.pid), { what: "the witness to wait for SIGUSR1" });
  send();
  witness.signal("SIGUSR1");
  // Where another process has the port, the runtime complains at the same point.
  const hasOpened = () =>
    listeningSockets(witness.pid).length > 0 || /inspector server/.test(witness.stderr);
  await eventually(hasOpened, { what: "the inspector of the witness" });
}

/** Whether a process has a handler for SIGUSR1, without which the signal ends it. */
function catchesSigusr1(pid: number): boolean {
  return hasSignal(pid, "SigCgt", 10);
}
