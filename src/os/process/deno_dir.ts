/**
 * The directory in which Deno keeps modules and caches (DENO_DIR), and a view of it without caches.
 *
 * The runtime keeps its caches of compiled code and of analysed modules open for as long as a program
 * runs, for writing if it may, and what is in them is run by every later program of the same
 * directory. A program that is to have less than its starter must hold none of these descriptors:
 * they outlive a change of user, and `node:process` lets a program without any permission write to
 * any descriptor of its own. docs/design/16_no_way_back.md has the reasons and the figures.
 *
 * @module
 */
import { isWritable, openDescriptors } from "../fd/descriptor.ts";
import type { EnvironmentChange } from "./environment.ts";
import { homeOf } from "../user/accounts.ts";

/** The name of a view in the real directory, or the beginning of that. */
const VIEW = "zc-without-caches";

/** The end of a path that is a view's. */
const VIEW_PATH = new RegExp(`/${VIEW}[^/]*$`);

/**
 * The caches, each an SQLite database. In the view a directory has the name, so that none can be opened
 * or made, by root either; the runtime goes on without it then.
 */
const CACHES = ["v8_code", "dep_analysis", "node_analysis", "check", "fast_check"]
  .map((name) => `${name}_cache_v2`);

/** The modules of the network, which are the same in each view. */
const MODULES = ["remote", "npm"];

/** What TypeScript was translated to, which every later program runs. */
const TRANSLATED = "gen";

/** What a name in the real directory can have at most, in bytes. */
const MAX_NAME = 255;

/**
 * What programs store (localStorage, Cache). In the view a file has the name, so that nothing can be
 * stored there: each of these is a database that stays open for writing.
 */
const STORES = ["location_data", "web_cache"];

/** The path of such a database, with what SQLite adds (-wal, -shm), of any version of Deno. */
const CACHE_PATH = new RegExp(String.raw`/\w+_cache_v\d+(-\w+)?$|/(?:${STORES.join("|")})/`);

/** The runtime tells a terminal that it can't open its caches, which is what is wanted here. */
const SILENT = "info,deno::cache=off";

/**
 * Where Deno keeps modules and caches.
 *
 * @param home The home of the user who is to run it; without it as this process does.
 * @returns An absolute path; there may be nothing yet.
 */
export function denoDir(home?: string): string {
  const cache = home === undefined
    ? Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? homeOf(Deno.uid()!)}/.cache`
    : `${home === "/" ? "" : home}/.cache`;
  const directory = Deno.env.get("DENO_DIR") || `${cache}/deno`;
  const path = directory.startsWith("/") ? directory : `${Deno.cwd()}/${directory}`;
  return path.replace(VIEW_PATH, "");
}

/** All that decides what a program of Deno runs: its directory, what is in it, and all above it. */
export function cachePaths(): string[] {
  const directory = denoDir(), names = directory.split("/");
  const above = names.slice(1).map((_, index) => names.slice(0, index + 1).join("/") || "/");
  const within = [...CACHES, ...MODULES, TRANSLATED].map((name) => `${directory}/${name}`);
  return [...above, directory, ...within];
}

/**
 * Makes the view, if it is not there yet, and says how a program of Deno is given it.
 *
 * @param options `root`: the root directory of the program, if it is another one. `owner`: the program
 * alone that reads what it translates, if it is not to be shared: a name.
 * @returns What to change in the program's environment.
 * @throws {Error} When it can't be made, for another reason than that nobody can write there.
 */
export function withoutCaches(
  { root = "", owner }: { readonly root?: string; readonly owner?: string } = {},
): EnvironmentChange {
  const directory = denoDir();
  const view = `${VIEW}${owner === undefined ? "" : encodeURIComponent(owner)}`.slice(0, MAX_NAME);
  const silent = Deno.env.get("DENO_LOG") === undefined ? { DENO_LOG: SILENT } : {};
  try {
    makeView(`${root}${directory}/${view}`, owner === undefined);
    return { ...silent, DENO_DIR: `${directory}/${view}` };
  } catch (error) {
    // Then this process can't open a cache there for writing either, and neither can what it starts.
    if (!isReadOnly(error)) throw error;
    return { DENO_DIR: directory };
  }
}

/** Whether this process was started with that. */
export function isWithoutCaches(): boolean {
  return VIEW_PATH.test(Deno.env.get("DENO_DIR") ?? "");
}

/** Gives the programs that this process starts its caches back. */
export function withCachesAgain(): void {
  const { env } = Deno;
  if (isWithoutCaches()) env.set("DENO_DIR", denoDir());
  if (env.get("DENO_LOG") === SILENT) env.delete("DENO_LOG");
}

function makeView(view: string, sharesTranslated: boolean): void {
  Deno.mkdirSync(view, { recursive: true });
  // Caches of a newer runtime, by names that are not known here: no program may find what another
  // one has left in them.
  for (const { name, isFile } of Deno.readDirSync(view)) {
    if (STORES.includes(name)) {
      if (!isFile) Deno.removeSync(`${view}/${name}`, { recursive: true });
    } else if (isFile) removeIfThere(`${view}/${name}`);
  }
  for (const name of STORES) {
    unlessThere(() => Deno.openSync(`${view}/${name}`, { write: true, createNew: true }).close());
  }
  for (const name of CACHES) unlessThere(() => Deno.mkdirSync(`${view}/${name}`));
  if (!sharesTranslated) unlessThere(() => Deno.mkdirSync(`${view}/${TRANSLATED}`));
  for (const name of sharesTranslated ? [...MODULES, TRANSLATED] : MODULES) {
    // The runtime makes no directory where a link leads to nothing.
    unlessThere(() => Deno.mkdirSync(`${view}/../${name}`));
    unlessThere(() => Deno.symlinkSync(`../${name}`, `${view}/${name}`));
  }
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

function isReadOnly(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes((error as { code?: string }).code ?? "");
}

/** The caches that this process could write to, by path. */
export function writableCaches(): string[] {
  return [...openDescriptors()]
    .filter(([fd, path]) => CACHE_PATH.test(path) && isWritable(fd))
    .map(([, path]) => path);
}
