/**
 * The paths of DENO_DIR that decide what programs run, for a check of who may write to them.
 *
 * @module
 */
import { ifThere } from "../fs/path.ts";
import { denoDir } from "./deno_dir.ts";
import { NPM, REMOTE, TRANSLATED, VIEW } from "./deno_dir_names.ts";

/** The kernel's limit (path_resolution(7)). */
const LINKS_MAX = 40;

const GROUP_OR_OTHERS_MAY_WRITE = 0o022;

/** How deep is looked: registries and packages of npm, since more takes too long, and all of the rest. */
const DEPTHS: readonly (readonly [name: string, depth: number])[] = [
  [TRANSLATED, Infinity],
  [REMOTE, Infinity],
  [NPM, 2],
];

/** A path that no user of a server may write to. */
export interface CachePath {
  readonly path: string;
  /**
   * Whether new entries are harmless, and only those that are there must not be replaced: in directories above
   * DENO_DIR.
   */
  readonly mayHaveNewEntries: boolean;
}

/**
 * All that decides what a program of Deno runs: its directory, what is in it, all above it, and all links on the
 * way with all above them. Of what is deeper than an entry of DENO_DIR only directories that another user
 * could perhaps write to.
 */
export function cachePaths(): CachePath[] {
  const { passed, end } = resolve(denoDir());
  const entries = entriesOf(end).filter((name) => !name.startsWith(VIEW)).map((name) =>
    resolve(`${end}/${name}`)
  );
  const trees = DEPTHS.flatMap(([name, depth]) => [...looseIn(`${end}/${name}`, depth)]);
  const above = new Set([passed, ...entries.map((entry) => entry.passed)].flat());
  const within = new Set([end, ...entries.map((entry) => entry.end), ...trees]);
  return [
    ...[...above].filter((path) => !within.has(path)).map((path) => ({
      path,
      mayHaveNewEntries: true,
    })),
    ...[...within].map((path) => ({ path, mayHaveNewEntries: false })),
  ];
}

/** Where a path leads to, and all directories and links on the way. */
function resolve(path: string): { readonly passed: readonly string[]; readonly end: string } {
  const left = path.split("/"), passed = ["/"];
  let here = "";
  for (let links = 0; left.length > 0 && links <= LINKS_MAX;) {
    const name = left.shift()!;
    if (name === "" || name === ".") continue;
    const next = name === ".." ? here.slice(0, here.lastIndexOf("/")) : `${here}/${name}`;
    passed.push(next || "/");
    const target = name === ".." ? undefined : targetOf(next);
    if (target === undefined) {
      here = next;
      continue;
    }
    links++;
    left.unshift(...target.split("/"));
    if (target.startsWith("/")) here = "";
  }
  return { passed, end: here || "/" };
}

/** Where a link leads to; undefined for any other file, or none. */
function targetOf(path: string): string | undefined {
  return ifThere(() => Deno.lstatSync(path))?.isSymlink
    ? ifThere(() => Deno.readLinkSync(path))
    : undefined;
}

/**
 * The directories and links in a directory, which running programs change at any time, less directories that certainly only root and this user may write
 * to. Files are left out, since most of the time would be theirs: the runtime makes each with the mode 0644.
 */
function* looseIn(directory: string, depth: number): Generator<string> {
  const entries = ifThere(() => [...Deno.readDirSync(directory)]) ?? [];
  for (const { name, isFile, isSymlink } of entries) {
    const path = `${directory}/${name}`;
    const info = isFile ? undefined : ifThere(() => Deno.lstatSync(path));
    if (info === undefined) continue;
    const isOwn = info.uid === 0 || info.uid === Deno.uid();
    // An access control list that permits writing shows as a group that may write.
    if (!isOwn || isSymlink || (info.mode! & GROUP_OR_OTHERS_MAY_WRITE) !== 0) yield path;
    if (!isSymlink && depth > 1) yield* looseIn(path, depth - 1);
  }
}

function entriesOf(directory: string): string[] {
  return ifThere(() => [...Deno.readDirSync(directory)].map(({ name }) => name)) ?? [];
}
