/**
 * Writes to disk: files and directory entries that survive a crash of the machine.
 *
 * @module
 */

/** How a file is written. */
export interface WriteOptions {
  /** Whether to wait until the disk has it; default true. */
  readonly isSynced?: boolean;
  /** The time that the file gets; default now. */
  readonly date?: Date | undefined;
}

/**
 * Writes a file whose content is on the disk afterwards; its name is not, before the directory is synced.
 *
 * @param path The file, which is replaced if it is there.
 * @param pieces Its content.
 * @param options Whether to wait for the disk, and the time of the file.
 */
export async function writeDurably(
  path: string,
  pieces: readonly Uint8Array[],
  { isSynced = true, date }: WriteOptions = {},
): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
  for (const piece of pieces) {
    for (let written = 0; written < piece.length;) {
      written += await file.write(piece.subarray(written));
    }
  }
  if (date !== undefined) await file.utime(date, date);
  if (isSynced) await file.sync();
}

/** Makes the entries of a directory durable: new names, and names that are gone. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path);
  await directory.sync();
}
