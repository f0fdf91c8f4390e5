/**
 * Makes the view of DENO_DIR without caches that `deno_dir.ts` describes. Root makes it, also in another root
 * directory, where users may write to `/tmp` or `/var/cache`: nothing of another user is followed or used.
 *
 * @module
 */
import { CACHES, isCacheName, MODULES, STORES, TRANSLATED } from "./deno_dir_names.ts";

const OTHERS_MAY_WRITE = 0o002, GROUP_OR_OTHERS_MAY_WRITE = 0o022, STICKY = 0o1000;
const DIRECTORY_MODE = 0o755, FILE_MODE = 0o644;

/** Where a view is made. */
export interface ViewPlace {
  /** The root directory of the program; empty for that of this process. */
  readonly root: string;
  /** DENO_DIR in that root. */
  readonly directory: string;
  /** The name of the view in it. */
  readonly name: string;
  /** Whether programs with this view share what TypeScript was translated to. */
  readonly sharesTranslated: boolean;
}

/**
 * Makes a view, or uses the one that is there.
 *
 * @throws {Error} When another user could change it.
 */
export function makeView({ root, directory, name, sharesTranslated }: ViewPlace): void {
  const base = `${root}${directory}`, view = `${base}/${name}`;
  if (root === "") Deno.mkdirSync(base, { recursive: true, mode: DIRECTORY_MODE });
  else makeDirectoriesIn(root, directory);
  makeDirectory(view);
  requireOwn(view);
  removeCaches(view);
  for (const store of STORES) {
    const how = { write: true, createNew: true, mode: FILE_MODE };
    unlessThere(() => Deno.openSync(`${view}/${store}`, how).close());
  }
  for (const cache of CACHES) makeDirectory(`${view}/${cache}`);
  if (!sharesTranslated) makeDirectory(`${view}/${TRANSLATED}`);
  const shared = sharesTranslated ? [...MODULES, TRANSLATED] : MODULES;
  for (const link of shared) {
    // The runtime makes no directory where a link leads to nothing.
    makeDirectory(`${base}/${link}`);
    if (root !== "") requireOwn(`${base}/${link}`);
    unlessThere(() => Deno.symlinkSync(`../${link}`, `${view}/${link}`));
  }
  for (const entry of [...STORES, ...CACHES, ...MODULES, TRANSLATED]) {
    requireOwnEntry(`${view}/${entry}`);
  }
}

/**
 * Makes directories in another root. None of them may be a link, which would lead out of that root, or be
 * replaceable by another user; so nothing changes between the check and the use.
 */
function makeDirectoriesIn(root: string, directory: string): void {
  const names = directory.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) refuse(directory, 'it contains ".."');
  let here = Deno.realPathSync(root);
  requireOwn(here, { mayBeSticky: true });
  names.forEach((name, index) => {
    here = `${here}/${name}`;
    makeDirectory(here);
    // In a sticky directory no other user can replace an entry that is not that user's own.
    requireOwn(here, { mayBeSticky: index < names.length - 1 });
  });
}

/**
 * Removes what a runtime has left there, also a newer one under names that are not known here: no program may
 * find what another one has left.
 */
function removeCaches(view: string): void {
  for (const { name, isFile, isDirectory } of Deno.readDirSync(view)) {
    const path = `${view}/${name}`;
    if (isDirectory && STORES.includes(name)) Deno.removeSync(path, { recursive: true });
    if (isFile && isCacheName(name)) removeIfThere(path);
  }
}

/** Requires a directory that no other user can change. */
function requireOwn(path: string, { mayBeSticky = false } = {}): void {
  const info = Deno.lstatSync(path);
  if (!info.isDirectory) refuse(path, info.isSymlink ? "it is a link" : "it is no directory");
  requireClosed(path, info, mayBeSticky);
}

function requireOwnEntry(path: string): void {
  requireClosed(path, Deno.lstatSync(path), false);
}

function requireClosed(
  path: string,
  { uid, mode, isSymlink }: Deno.FileInfo,
  mayBeSticky: boolean,
): void {
  if (uid !== 0 && uid !== Deno.uid()) refuse(path, `it belongs to user ${uid}`);
  // A user's own group is often that user's alone; of root's groups that is not known.
  const loose = mode! & (Deno.uid() === 0 ? GROUP_OR_OTHERS_MAY_WRITE : OTHERS_MAY_WRITE);
  // The mode of a link has no meaning.
  if (loose === 0 || isSymlink || mayBeSticky && (mode! & STICKY) !== 0) return;
  refuse(path, `other users may write to it (mode ${(mode! & 0o7777).toString(8)})`);
}

function refuse(path: string, found: string): never {
  const expected =
    "a directory of root or of this process's user that no other user may write to, " +
    "without links: remove it, or set another DENO_DIR";
  throw new Error(`Cannot run without caches in "${path}": ${found}, expected ${expected}`);
}

function makeDirectory(path: string): void {
  unlessThere(() => Deno.mkdirSync(path, { mode: DIRECTORY_MODE }));
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function unlessThere(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}
