/**
 * The turns in which files are written: a few at a time, whatever their number.
 *
 * Each operation on a file takes a thread of the runtime, which has 32 of them for the whole process. A disk that
 * hangs keeps its threads, and without a bound the log files of many services would keep all: the process could not
 * wait for its sockets any more.
 *
 * @module
 */

/** The most files that are written at the same time. */
export const WRITERS_MAX = 8;

let writers = 0;
const waiting: (() => void)[] = [];

/**
 * Writes to a file, once few enough others are written.
 *
 * @param write The operations, one after the other.
 * @returns The result of `write`.
 */
export async function inWriteTurn<T>(write: () => Promise<T>): Promise<T> {
  if (writers < WRITERS_MAX) writers++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return await write();
  } finally {
    const next = waiting.shift();
    // The next one takes this place.
    if (next === undefined) writers--;
    else next();
  }
}
