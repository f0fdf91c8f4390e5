/**
 * A directory of settings files: each `*.cf` is a service, the `*.gcf` are shared by all.
 *
 * Reads files and nothing else. What a hook supplies instead of a directory doesn't come through
 * here; `parseServiceConfig` and `validateServices` serve both.
 *
 * @module
 */

import { walkSync } from "@std/fs/walk";
import { listPath, statPath } from "../os/fs/path.ts";
import { type CfEntry, parseCf, readCfText, systemReason } from "./cf.ts";
import { Config } from "./config.ts";
import { cannot, ConfigError, gather, type Problem, warningAt } from "./errors.ts";
import { lintCf } from "./lint_cf.ts";
import {
  parseServiceConfig,
  type ServiceCheck,
  type ServiceConfig,
  type ServiceResult,
  validateServices,
} from "./service.ts";
import { ALL_SETTINGS, checkSettings } from "./settings.ts";

/** What a directory holds. */
export interface DirectoryResult {
  /** The services, sorted by file name. Not to be used where there is a problem. */
  readonly services: readonly ServiceConfig[];
  /** The entries of the `*.gcf`, sorted by file name: the last one of a key wins. */
  readonly globals: readonly CfEntry[];
  /** What is wrong; any of these makes the whole configuration unfit. */
  readonly problems: readonly Problem[];
  /** What looks odd but stops nothing, a file that was passed over included. */
  readonly warnings: readonly Problem[];
}

/**
 * Tells whether the settings of a path can be trusted: the directory, and each settings file that is
 * read.
 */
export type WorldWritableCheck = (path: string) => readonly Problem[];

/** What a `.gcf` may give, be it for every service, for the master, or for every server. */
const SHARED_SETTINGS = ALL_SETTINGS.filter(({ inherited, scopes }) =>
  inherited === true || scopes.includes("master") || scopes.includes("server")
);

/** How a directory is read. */
export interface DirectoryOptions {
  /** The absolute directory that relative addresses start from. */
  readonly cwd: string;
  /** What else to look at in each service. */
  readonly check?: ServiceCheck;
  /** Finds paths that must not be trusted. */
  readonly worldWritable?: WorldWritableCheck;
  /**
   * The ids of the services that serve now. A file that is still there never removes one of them.
   *
   * @default None.
   */
  readonly serving?: ReadonlySet<string>;
}

/**
 * Reads all settings of a directory and finds every problem in them.
 *
 * A name that begins with a dot is skipped, capitals in the extension don't matter, and a link to a
 * file counts as a file.
 *
 * Needs the permission to read the directory and its files.
 *
 * @param dir The directory, as it was given: file names in messages and in services begin with it.
 * @param options How.
 * @returns The services, the shared settings, and what is wrong.
 */
export function loadConfigDirectory(dir: string, options: DirectoryOptions): DirectoryResult {
  const { worldWritable, serving, ...rest } = options;
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const files = listFiles(dir, { problems, warnings, worldWritable, serving });

  const globals = files.gcf.flatMap(({ path }) => {
    const text = gather(problems, () => readCfText(path));
    if (text === undefined) return [];
    warnings.push(...lintCf(text, path, "gcf"));
    return parseCf(text, path);
  });
  const shared = new Config().load(globals);
  problems.push(...checkSharedSettings(shared));

  const results: ServiceResult[] = [];
  for (const { name, path } of files.cf) {
    const text = gather(problems, () => readCfText(path));
    if (text === undefined) continue;
    const config = new Config().load(parseCf(text, path));
    const isServing = serving?.has(name);
    const given = { id: name, file: path, globals: shared, text, isServing, ...rest };
    const result = parseServiceConfig(config, given);
    results.push(result);
    warnings.push(...lintCf(text, path, "cf").filter((one) => !isTold(one, result.problems)));
  }
  problems.push(...results.flatMap((result) => result.problems), ...validateServices(results));
  warnings.push(...results.flatMap((result) => result.warnings));
  const services = results.flatMap(({ service }) => service === undefined ? [] : [service]);
  return { services, globals, problems, warnings };
}

/** Whether a line's slip is what a problem tells of already. */
function isTold({ line, key }: Problem, problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.line === line && problem.key === key);
}

/**
 * Reads the shared settings (`*.gcf`) of a directory, for a server.
 *
 * Needs the permission to read the directory and its files.
 *
 * @param dir The directory.
 * @param worldWritable Finds paths that must not be trusted.
 * @returns The settings.
 * @throws {ConfigError} When the directory or one of the files can't be read or trusted; it names
 * them all.
 */
export function loadGlobalSettings(dir: string, worldWritable?: WorldWritableCheck): Config {
  const problems: Problem[] = [];
  const config = readGlobalSettings(dir, { problems, worldWritable });
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/**
 * Reads those shared settings of a directory that can be read.
 *
 * @param dir The directory.
 * @param found `problems`: where it is added what can't be read or trusted. `warnings`: where it is
 * added what looks odd, if that is wanted. `worldWritable`: finds paths that must not be trusted.
 * @returns The settings.
 */
export function readGlobalSettings(
  dir: string,
  { problems, warnings, worldWritable }: {
    readonly problems: Problem[];
    readonly warnings?: Problem[];
    readonly worldWritable?: WorldWritableCheck;
  },
): Config {
  const config = new Config();
  for (
    const { path } of listFiles(dir, { problems, warnings: warnings ?? [], worldWritable }).gcf
  ) {
    const text = gather(problems, () => readCfText(path)) ?? "";
    config.load(parseCf(text, path));
    warnings?.push(...lintCf(text, path, "gcf"));
  }
  return config;
}

/**
 * Finds what is wrong in the shared settings. A wrong one would end every server that reads it.
 *
 * @param shared The settings of the `*.gcf`.
 * @returns The problems.
 */
export function checkSharedSettings(shared: Config): Problem[] {
  return checkSettings(shared, SHARED_SETTINGS);
}

/**
 * Reads each `*.cf` of a directory, as it stands.
 *
 * Needs the permission to read the directory and its files.
 *
 * @param dir The directory.
 * @returns The settings of each file, sorted by file name.
 * @throws {ConfigError} When the directory or one of the files can't be read; it names them all.
 */
export function loadServiceFiles(dir: string): Config[] {
  const problems: Problem[] = [];
  const configs = listFiles(dir, { problems, warnings: [] }).cf.flatMap(({ path }) => {
    const config = gather(problems, () => new Config().loadFile(path));
    if (config === undefined) return [];
    FILES.set(config, path);
    return [config];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return configs;
}

/** The files that settings were read from by {@linkcode loadServiceFiles}. */
const FILES = new WeakMap<Config, string>();

/**
 * The file of a service, for settings that a hook has from {@linkcode loadServiceFiles}.
 *
 * @param config The settings; those that the hook has copied have none.
 * @returns Its path; undefined where the settings come from elsewhere.
 */
export function settingsFileOf(config: Config): string | undefined {
  return FILES.get(config);
}

/** A settings file of a directory. */
interface ListedFile {
  readonly name: string;
  readonly path: string;
}

/** Lists the settings files of a directory by extension, each list sorted by name. */
function listFiles(
  dir: string,
  found: {
    readonly problems: Problem[];
    readonly warnings: Problem[];
    readonly worldWritable?: WorldWritableCheck;
    readonly serving?: ReadonlySet<string>;
  },
): { readonly cf: readonly ListedFile[]; readonly gcf: readonly ListedFile[] } {
  const lists: Record<string, ListedFile[]> = { cf: [], gcf: [] };
  const { worldWritable = () => [] } = found;
  found.problems.push(...worldWritable(dir));
  const base = dir.length > 1 && dir.endsWith("/") ? dir.slice(0, -1) : dir;
  try {
    if (!statPath(dir).isDirectory) throw new Deno.errors.NotADirectory();
    for (const name of namesIn(dir)) {
      const path = base === "/" ? `/${name}` : `${base}/${name}`;
      const extension = /^[^.].*\.(g?cf)$/is.exec(name)?.[1].toLowerCase();
      if (extension === undefined) continue;
      // A link may lead anywhere, and opening a pipe would wait for its writer.
      if (isOther(path)) {
        const reading = (what: string) =>
          cannot("read settings file", path, { found: what, expected: "a regular file" });
        if (found.serving?.has(name)) {
          const message = reading(`not a file, but ${name} serves now`);
          found.problems.push({ file: path, message });
        } else {
          const message = reading("not a file, so it is passed over");
          found.warnings.push(warningAt({ file: path }, { message }));
        }
      } else {
        lists[extension].push({ name, path });
        found.problems.push(...worldWritable(path));
      }
    }
  } catch (error) {
    const about = { found: systemReason(error), expected: "a directory that may be read" };
    found.problems.push({ file: dir, message: cannot("read settings directory", dir, about) });
  }
  const byName = (a: ListedFile, b: ListedFile) => a.name < b.name ? -1 : 1;
  return { cf: lists.cf.sort(byName), gcf: lists.gcf.sort(byName) };
}

/** The names in a directory; where they are not UTF-8, as a text that stands for their bytes. */
function namesIn(dir: string): string[] {
  if (!dir.isWellFormed()) return listPath(dir);
  // The first one is the directory itself.
  const names = [...walkSync(dir, { maxDepth: 1 })].slice(1).map(({ name }) => name);
  // What the runtime has in place of other bytes.
  return names.some((name) => name.includes("\ufffd")) ? listPath(dir) : names;
}

/** Tells whether a path leads to something that isn't a regular file; a dead link leads nowhere. */
function isOther(path: string): boolean {
  try {
    return !statPath(path).isFile;
  } catch {
    return false;
  }
}
