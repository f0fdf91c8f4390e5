/**
 * The reader of a directory of settings files: each `*.cf` is a service, the `*.gcf` are shared by all.
 *
 * It only reads files. Services from a hook do not come through here; `parseServiceConfig` and
 * `validateServices` handle both.
 *
 * @module
 */

import { walkSync } from "@std/fs/walk";
import { listPath, statPath } from "../os/fs/path.ts";
import { type CfEntry, parseCf, readCfText, systemReason } from "./cf.ts";
import { Config, loadEntries } from "./config.ts";
import { validateServices } from "./endpoints.ts";
import { cannot, ConfigError, gather, type Problem, warningAt } from "./errors.ts";
import { lintCf } from "./lint_cf.ts";
import {
  parseServiceConfig,
  type ServiceCheck,
  type ServiceConfig,
  type ServiceResult,
} from "./service.ts";
import { ALL_SETTINGS, checkSettings } from "./settings.ts";

/** The content of a directory. */
export interface DirectoryResult {
  /** The services, sorted by file name. Must not be used if there is a problem. */
  readonly services: readonly ServiceConfig[];
  /** The entries of the `*.gcf`, sorted by file name: the last one of a key wins. */
  readonly globals: readonly CfEntry[];
  /** The problems; each of them makes the whole configuration invalid. */
  readonly problems: readonly Problem[];
  /** The warnings, those about skipped files included. */
  readonly warnings: readonly Problem[];
}

/** Finds world-writable paths among the directory and its settings files, which must not be trusted. */
export type WorldWritableCheck = (path: string) => readonly Problem[];

/** The settings that are allowed in a `.gcf`: those of services, of the master and of servers. */
const SHARED_SETTINGS = ALL_SETTINGS.filter(({ inherited, scopes }) =>
  inherited === true || scopes.includes("master") || scopes.includes("server")
);

/** The options for reading a directory. */
export interface DirectoryOptions {
  /** The absolute directory that relative addresses start from. */
  readonly cwd: string;
  /** A further check of each service. */
  readonly check?: ServiceCheck;
  /** Finds paths that must not be trusted. */
  readonly worldWritable?: WorldWritableCheck;
  /**
   * The ids of the services in force, which an existing file never removes.
   *
   * @default None.
   */
  readonly serving?: ReadonlySet<string>;
}

/**
 * Reads all settings of a directory and finds every problem in them.
 *
 * A name that begins with a dot is skipped, the extension is case-insensitive, and a link to a file counts as a
 * file.
 *
 * Needs the permission to read the directory and its files.
 *
 * @param dir The directory as given: file names in messages and in services begin with it.
 * @param options The options.
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
  const shared = loadEntries(new Config(), globals);
  problems.push(...checkSharedSettings(shared));

  const results: ServiceResult[] = [];
  for (const { name, path } of files.cf) {
    const text = gather(problems, () => readCfText(path));
    if (text === undefined) continue;
    const config = loadEntries(new Config(), parseCf(text, path));
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

/** Whether a problem reports the mistake of a line already. */
function isTold({ line, key }: Problem, problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.line === line && problem.key === key);
}

/**
 * Reads the readable shared settings of a directory.
 *
 * @param dir The directory.
 * @param found `problems`: receives unreadable and untrusted files. `warnings`: receives suspicious lines, if
 * given. `worldWritable`: finds paths that must not be trusted.
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
    loadEntries(config, parseCf(text, path));
    warnings?.push(...lintCf(text, path, "gcf"));
  }
  return config;
}

/** Finds the problems of the shared settings. Each would end every server that reads it. */
export function checkSharedSettings(shared: Config): Problem[] {
  return checkSettings(shared, SHARED_SETTINGS);
}

/**
 * Reads each `*.cf` of a directory, without an interpretation.
 *
 * Needs the permission to read the directory and its files.
 *
 * @param dir The directory.
 * @param worldWritable Finds paths that must not be trusted.
 * @returns The settings of each file, sorted by file name.
 * @throws {ConfigError} When the directory or files can't be read or trusted; it names all of them.
 */
export function loadServiceFiles(dir: string, worldWritable: WorldWritableCheck): Config[] {
  const problems: Problem[] = [];
  const configs = listFiles(dir, { problems, warnings: [], worldWritable }).cf.flatMap(
    ({ path }) => {
      const config = gather(problems, () => new Config().loadFile(path));
      if (config === undefined) return [];
      FILES.set(config, path);
      return [config];
    },
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return configs;
}

/** The file of each result of {@linkcode loadServiceFiles}. */
const FILES = new WeakMap<Config, string>();

/**
 * The file of settings that a hook has from {@linkcode loadServiceFiles}.
 *
 * @param config The settings; a copy has no file.
 * @returns Its path; undefined for settings from elsewhere.
 */
export function settingsFileOf(config: Config): string | undefined {
  return FILES.get(config);
}

/**
 * The settings files of a directory, as {@linkcode loadConfigDirectory} finds them.
 *
 * @param dir The directory; one that can't be read has none.
 */
export function settingsFilesOf(dir: string): ListedFiles {
  return listFiles(dir, { problems: [], warnings: [] });
}

/**
 * The files of a directory whose names end as settings files of other programs do.
 *
 * @param dir The directory; one that can't be read has none.
 */
export function nearlySettingsFiles(dir: string): string[] {
  try {
    return namesIn(dir).filter((name) => /^[^.].*\.(?:conf|cfg|config)$/i.test(name)).sort();
  } catch {
    // That is told where its files are read.
    return [];
  }
}

/** The settings files of a directory by extension, each list sorted by name. */
export interface ListedFiles {
  readonly cf: readonly ListedFile[];
  readonly gcf: readonly ListedFile[];
}

/** A settings file of a directory. */
export interface ListedFile {
  readonly name: string;
  readonly path: string;
}

function listFiles(
  dir: string,
  found: {
    readonly problems: Problem[];
    readonly warnings: Problem[];
    readonly worldWritable?: WorldWritableCheck;
    readonly serving?: ReadonlySet<string>;
  },
): ListedFiles {
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
      // A link may lead to any file, and opening a pipe would wait for its writer.
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
    const isFile = error instanceof Deno.errors.NotADirectory;
    const expected = (isFile ? formOfFile(dir) : undefined) ?? "a directory that may be read";
    const about = { found: systemReason(error), expected };
    found.problems.push({ file: dir, message: cannot("read settings directory", dir, about) });
  }
  const byName = (a: ListedFile, b: ListedFile) => a.name < b.name ? -1 : 1;
  return { cf: lists.cf.sort(byName), gcf: lists.gcf.sort(byName) };
}

/** How a settings file is given, which was given as the directory of such files. */
function formOfFile(path: string): string | undefined {
  if (path.endsWith(".ini")) return `-config ${path}`;
  if (!/\.g?cf$/.test(path)) return undefined;
  return `its directory ${path.replace(/\/?[^/]*$/, "") || "."}`;
}

/** The names in a directory; one that is not UTF-8 as text that stands for its bytes. */
function namesIn(dir: string): string[] {
  if (!dir.isWellFormed()) return listPath(dir);
  // The first one is the directory itself.
  const names = [...walkSync(dir, { maxDepth: 1 })].slice(1).map(({ name }) => name);
  // The runtime's replacement for invalid bytes.
  return names.some((name) => name.includes("\ufffd")) ? listPath(dir) : names;
}

/** Whether a path leads to something other than a regular file; a dangling link leads nowhere. */
function isOther(path: string): boolean {
  try {
    return !statPath(path).isFile;
  } catch {
    return false;
  }
}
