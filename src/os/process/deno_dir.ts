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
import { encodeText } from "../ffi/byte_text.ts";
import { isWritable, openDescriptors } from "../fd/descriptor.ts";
import type { EnvironmentChange } from "./environment.ts";
import { homeOf } from "../user/accounts.ts";
import { CACHE_PATH, VIEW } from "./deno_dir_names.ts";
import { makeView } from "./deno_dir_view.ts";

/** The end of a path that is a view's. */
const VIEW_PATH = new RegExp(`/${VIEW}[^/]*$`);

/** What a name in the real directory can have at most, in bytes. */
const MAX_NAME = 255;

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

/**
 * Makes the view, if it is not there yet, and says how a program of Deno is given it.
 *
 * @param options `root`: the root directory of the program, if it is another one. `owner`: the program
 * alone that reads what it translates, if it is not to be shared: a name.
 * @returns What to change in the program's environment.
 * @throws {Error} When it can't be made, for another reason than that nobody can write there; or when
 * another user could change it.
 */
export function withoutCaches(
  { root = "", owner }: { readonly root?: string; readonly owner?: string } = {},
): EnvironmentChange {
  const directory = denoDir();
  const name = viewName(owner);
  const silent = Deno.env.get("DENO_LOG") === undefined ? { DENO_LOG: SILENT } : {};
  try {
    makeView({ root, directory, name, sharesTranslated: owner === undefined });
    return { ...silent, DENO_DIR: `${directory}/${name}` };
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

/** A view's name; one that would be too long for a file ends with a hash in the place of the rest. */
function viewName(owner = ""): string {
  const name = `${VIEW}${[...owner].map(escaped).join("")}`;
  if (name.length <= MAX_NAME) return name;
  const hash = `~${hashOf(name)}`;
  return `${name.slice(0, MAX_NAME - hash.length)}${hash}`;
}

/** Like encodeURIComponent, also for a part of a name that is not UTF-8: its bytes are escaped. */
function escaped(char: string): string {
  if (char.isWellFormed()) return encodeURIComponent(char);
  const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0");
  return [...encodeText(char)].map((byte) => `%${hex(byte)}`).join("");
}

/** FNV-1a of 64 bits: the names are the operator's, and loading SHA-256 would take longer than the rest. */
function hashOf(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const step = (hash: bigint, byte: number) =>
    BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return bytes.reduce(step, 0xcbf29ce484222325n).toString(16).padStart(16, "0");
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
