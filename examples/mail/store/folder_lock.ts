/**
 * Locks between processes and sessions. The lock of a folder is held while its files are renamed.
 *
 * @module
 */

/**
 * Runs a task while no other process and no other session holds the lock of the same folder.
 *
 * @param folder The directory of the folder.
 * @param task What to do.
 */
export async function withFolderLock<T>(folder: string, task: () => Promise<T>): Promise<T> {
  return await withLock(`${folder}/lock`, task);
}

/** Runs a task while no other one holds the lock of a file, which is made if it is not there. */
export async function withLock<T>(path: string, task: () => Promise<T>): Promise<T> {
  using file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  // flock(2), which ends with the descriptor, and so with the process.
  await file.lock(true);
  return await task();
}
