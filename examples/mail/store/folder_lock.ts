/**
 * The lock of a folder, which processes and sessions hold while they rename its files.
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
  using file = await Deno.open(`${folder}/lock`, { write: true, create: true, mode: 0o600 });
  // flock(2), which ends with the descriptor, and so with the process.
  await file.lock(true);
  return await task();
}
