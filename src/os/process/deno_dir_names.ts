/**
 * The names of what Deno keeps in its directory; see `deno_dir.ts`.
 *
 * @module
 */

/** The beginning of a view's name in the real directory. */
export const VIEW = "zc-without-caches";

/**
 * The caches, each an SQLite database. In the view a directory has the name, so that none can be opened
 * or made, by root either; the runtime goes on without it then.
 */
export const CACHES: readonly string[] = [
  "v8_code",
  "dep_analysis",
  "node_analysis",
  "check",
  "fast_check",
].map((name) => `${name}_cache_v2`);

/** The modules of the network, which are the same in each view. */
export const REMOTE = "remote", NPM = "npm", MODULES: readonly string[] = [REMOTE, NPM];

/** What TypeScript was translated to, which every later program runs. */
export const TRANSLATED = "gen";

/**
 * What programs store (localStorage, Cache). In the view a file has the name, so that nothing can be
 * stored there: each of these is a database that stays open for writing.
 */
export const STORES: readonly string[] = ["location_data", "web_cache"];

/** A cache's name, with what SQLite adds (-wal, -shm), of any version of Deno. */
const CACHE_NAME = String.raw`\w+_cache_v\d+(?:-\w+)?`;

/** Whether a file with this name is a cache, or belongs to one. */
export function isCacheName(name: string): boolean {
  return new RegExp(`^${CACHE_NAME}$`).test(name);
}

/** The paths of caches and stores. */
export const CACHE_PATH: RegExp = new RegExp(`/${CACHE_NAME}$|/(?:${STORES.join("|")})/`);
