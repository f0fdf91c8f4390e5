/**
 * Puts messages on disk. A message that this has reported as stored survives a crash of the machine:
 * it is written to `tmp`, fsync, renamed to `new` or `cur`, and fsync of that directory.
 *
 * @module
 */

let counter = 0;

/** The name of this machine, read early: a server in another root may not be able to later. */
const HOST = Deno.hostname().replaceAll(/[^A-Za-z0-9.-]/g, "_");

/** A name that no other message has, with the size at its end. Names sort by their time. */
export function uniqueName(size: number): string {
  const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const second = Math.floor(micros / 1e6), rest = String(micros % 1e6).padStart(6, "0");
  const random = crypto.getRandomValues(new Uint16Array(1))[0].toString(16);
  return `${second}.M${rest}P${Deno.pid}Q${++counter}R${random}.${HOST},S=${size}`;
}

/** Where a message goes. */
export interface Destination {
  /** The directory of the folder. */
  readonly folder: string;
  /** The letters of its flags; without them it is new. */
  readonly flags?: string;
  /** When the message came; default now. */
  readonly date?: Date;
}

interface Placed {
  readonly temporary: string;
  readonly final: string;
  readonly directory: string;
}

/**
 * Stores one message in some folders, in all or in none of them.
 *
 * @param content The message in pieces.
 * @param destinations The folders.
 * @param isSynced Whether to wait for the disk. Without it a message survives its server, and not the machine.
 */
export async function store(
  content: readonly Uint8Array[],
  destinations: readonly Destination[],
  isSynced = true,
): Promise<void> {
  const size = content.reduce((sum, piece) => sum + piece.length, 0);
  const all = destinations.map((destination) => placeOf(destination, uniqueName(size)));
  await orUndo(all, async () => {
    for (const [index, { temporary }] of all.entries()) {
      await write(temporary, content, isSynced);
      const { date } = destinations[index];
      if (date !== undefined) await Deno.utime(temporary, date, date);
    }
    await publish(all, isSynced);
  });
}

/**
 * Gives a message a second name in another folder, with the same content and date.
 *
 * @param path The file.
 * @param destination The folder and the flags.
 * @param size The size of the file.
 */
export async function storeLink(
  path: string,
  destination: Destination,
  size: number,
): Promise<void> {
  const place = placeOf(destination, uniqueName(size));
  await orUndo([place], async () => {
    await Deno.link(path, place.temporary);
    await publish([place], true);
  });
}

function placeOf({ folder, flags }: Destination, name: string): Placed {
  const directory = `${folder}/${flags === undefined ? "new" : "cur"}`;
  const final = `${directory}/${name}${flags === undefined ? "" : `:2,${flags}`}`;
  return { temporary: `${folder}/tmp/${name}`, final, directory };
}

async function write(
  path: string,
  content: readonly Uint8Array[],
  isSynced: boolean,
): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  for (const piece of content) {
    for (let written = 0; written < piece.length;) {
      written += await file.write(piece.subarray(written));
    }
  }
  if (isSynced) await file.sync();
}

/** Renames files to where they are seen, and makes that durable. */
async function publish(all: readonly Placed[], isSynced: boolean): Promise<void> {
  for (const { temporary, final } of all) await Deno.rename(temporary, final);
  if (!isSynced) return;
  for (const directory of new Set(all.map(({ directory }) => directory))) {
    using opened = await Deno.open(directory);
    await opened.sync();
  }
}

/** Runs a task; when it fails, nothing of the message is left. */
async function orUndo(all: readonly Placed[], task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    for (const path of all.flatMap(({ temporary, final }) => [temporary, final])) {
      await Deno.remove(path).catch(() => {});
    }
    throw error;
  }
}
