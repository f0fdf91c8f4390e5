/**
 * The paths of DENO_DIR that decide what programs run, for a check of who may write to them.
 *
 * @module
 */
import { resolveLinks } from "../fs/links.ts";
import { ifThere } from "../fs/path.ts";
import { denoDir } from "./deno_dir.ts";
import { NPM, REMOTE, TRANSLATED, VIEW } from "./deno_dir_names.ts";

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
 * The paths that decide what a program of Deno runs: DENO_DIR, its entries, and every directory and link on the
 * way to them. Of the files deeper in it only the directories and links that another user may be able to change.
 */
export function cachePaths(): CachePath[] {
  const { passed, end } = resolveLinks(denoDir());
  const entries = entriesOf(end).filter((name) => !name.startsWith(VIEW)).map((name) =>
    resolveLinks(`${end}/${name}`)
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

/**
 * The directories and links in a directory that another user may be able to change; running programs change
 * what is there at any time. Files are left out, since checking them would take most of the time: the runtime
 * makes each with the mode 0644.
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
