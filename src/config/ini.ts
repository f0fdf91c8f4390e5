/**
 * The reader of an INI file of a master (`-config services.ini`): each section is a service, and the settings before
 * the first section are shared.
 *
 * `@std/ini` decides what a line is, one line at a time, so that each mistake has its line number. The values are
 * those of a `.cf` file, because `@std/ini` changes some (`0660` becomes 660).
 *
 * @module
 */
import { parse } from "@std/ini/parse";
import { isIniFile } from "./args.ts";
import { type CfEntry, parseCf, readCfFile, readCfText } from "./cf.ts";
import { Config, loadEntries } from "./config.ts";
import { sharedFor } from "./effective.ts";
import { cannot, ConfigError, gather, type Problem } from "./errors.ts";
import { type FileKind, lintCf } from "./lint_cf.ts";
import { SecretLines, shownLine } from "./secret_lines.ts";
import {
  checkAsArguments,
  parseServiceConfig,
  type ServiceConfig,
  type ServiceOptions,
  type ServiceResult,
} from "./service.ts";
import { SERVER_SERVICE, settingOf } from "./settings.ts";

/** Whether servers receive a setting of a head: no secret, and nothing that only the master or one service has. */
function isForServers(name: string): boolean {
  const setting = settingOf(name);
  if (setting === undefined) return true;
  if (setting.isSecret === true || setting === SERVER_SERVICE) return false;
  return setting.inherited === true || setting.scopes.includes("server");
}

/** The lines of a section, or those before the first one, as a `.cf` file would have them. */
interface IniPart {
  readonly text: string;
  /** The number of the first line of `text` in the file. */
  readonly line: number;
}

/** An INI file. */
export interface IniFile {
  readonly path: string;
  /** What is before the first section. */
  readonly head: IniPart;
  /** The sections; each is a service of this name. */
  readonly sections: readonly (IniPart & { readonly name: string })[];
}

/** The readable INI files of a command line, and the problems of the others. */
export interface IniFiles {
  readonly files: readonly IniFile[];
  readonly problems: readonly Problem[];
}

/** Reads the INI files among the files of `-config`. */
export function readIniFiles(paths: readonly string[]): IniFiles {
  const problems: Problem[] = [];
  const read = (path: string) => gather(problems, () => readIniFile(path)) ?? [];
  return { files: paths.filter(isIniFile).flatMap(read), problems };
}

/**
 * Reads an INI file. Needs the permission to read it.
 *
 * @throws {ConfigError} When it can't be read, or has a line that means nothing; it names all of them.
 */
function readIniFile(path: string): IniFile {
  return parseIni(readCfText(path), path);
}

/**
 * Splits the text of an INI file into its sections.
 *
 * @param text The text.
 * @param path The file, for messages.
 * @throws {ConfigError} When it has a line that means nothing, or a section twice; it names all of them.
 */
export function parseIni(text: string, path: string): IniFile {
  const { file, problems } = splitIni(text, path);
  if (problems.length > 0) throw new ConfigError(problems);
  return file;
}

/** The parts of an INI file, and the problems of its lines. */
interface SplitIni {
  readonly file: IniFile;
  readonly problems: readonly Problem[];
}

function splitIni(text: string, path: string): SplitIni {
  const problems: Problem[] = [];
  const firsts = new Map<string, number>();
  let secrets = new SecretLines();
  const parts: { name: string; line: number; lines: string[] }[] = [
    { name: "", line: 1, lines: [] },
  ];
  for (const [index, written] of text.split(/\r\n|\r|\n/).entries()) {
    const line = index + 1;
    const kind = kindOf(written);
    if (kind.is === "mistake" || kind.is === "setting") {
      const message = secrets.continuation(written, line) ?? mistakeIn(written, kind);
      if (message !== undefined) problems.push({ file: path, line, message });
    }
    if (kind.is !== "section") {
      parts.at(-1)!.lines.push(kind.is === "setting" ? written : kind.is === "comment" ? "#" : "");
      continue;
    }
    const first = firsts.get(kind.name);
    if (first !== undefined) {
      const about = { found: `line ${first} begins it too`, expected: "one section for a service" };
      problems.push({ file: path, line, message: cannot("read section", kind.name, about) });
    }
    firsts.set(kind.name, first ?? line);
    secrets = new SecretLines();
    parts.push({ name: kind.name, line: line + 1, lines: [] });
  }
  const [head, ...sections] = parts.map(({ lines, ...rest }) => ({
    ...rest,
    text: lines.join("\n"),
  }));
  return { file: { path, head, sections }, problems };
}

type Line =
  | { readonly is: "nothing" | "comment" | "setting" }
  | { readonly is: "section"; readonly name: string }
  | { readonly is: "mistake"; readonly found: string; readonly expected: string };

function mistakeIn(written: string, kind: Line): string | undefined {
  return kind.is === "mistake" ? cannot("read", shownLine(written.trim()), kind) : undefined;
}

function kindOf(written: string): Line {
  const expected = "NAME = VALUE, [SERVICE] or a comment on a line of its own";
  const mistake = (found: string): Line => ({ is: "mistake", found, expected });
  if (/[\0\u2028\u2029]/.test(written)) return mistake("a NUL or a line separator of Unicode");
  let isSetting = false;
  let section: string | undefined;
  try {
    [section] = Object.keys(parse(written, { reviver: () => isSetting = true }));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const line = written.trim();
    return mistake(
      line.startsWith("[")
        ? "a [ without a name and a ] at the end of the line"
        : line.startsWith("=")
        ? "no name before the ="
        : 'no "=" in it',
    );
  }
  if (isSetting) return { is: "setting" };
  if (section === undefined) return { is: written.trim() === "" ? "nothing" : "comment" };
  if (section !== section.trim() || /[[\]/]/.test(section)) {
    return mistake("a name with a bracket, a slash or outer white space");
  }
  return { is: "section", name: section };
}

/** The settings before the first section, which the master reads as those of any file of `-config`. */
export function headOf({ head, path }: IniFile): CfEntry[] {
  return parseCf(head.text, path, head.line);
}

/**
 * Reads the settings of one file of `-config` that are the master's. A mistake in a section of an INI file is left to
 * the load of the services: commands need the head alone.
 *
 * @throws {ConfigError} When the file can't be read, or its head has a line that means nothing; it names all such
 * lines, also those of sections.
 */
export function readMasterFile(path: string): CfEntry[] {
  if (!isIniFile(path)) return readCfFile(path);
  const { file, problems } = splitIni(readCfText(path), path);
  const end = file.sections[0]?.line ?? Infinity;
  if (problems.some(({ line = 0 }) => line < end)) throw new ConfigError(problems);
  return headOf(file);
}

/** The warnings about the settings of an INI file. */
export function lintIni({ head, sections, path }: IniFile): Problem[] {
  const lint = ({ text, line }: IniPart, kind: FileKind) => lintCf(text, path, kind, line);
  return [...lint(head, "head"), ...sections.flatMap((section) => lint(section, "section"))];
}

/** What an INI file is read with beside its text. */
export interface IniOptions extends Pick<ServiceOptions, "cwd" | "check"> {
  /** The settings of the `*.gcf`, which a head overrides. */
  readonly shared: Config;
  /** The ids of the current services. */
  readonly serving?: ReadonlySet<string>;
}

/**
 * Reads the services of INI files. An invalid value in a head is not among their problems: the head is checked as
 * the settings of the master are.
 */
export function iniServices(files: readonly IniFile[], options: IniOptions): ServiceResult[] {
  return files.flatMap((file) => {
    const head = sharedFor(loadEntries(new Config(), headOf(file)), "server");
    const globals = new Config().merge(options.shared).merge(head);
    const forServers = new Config().merge(head);
    for (const key of [...head.keys()]) if (!isForServers(key)) forServers.delete(key);
    const problems = checkAsArguments(forServers);
    const results = file.sections.map(({ name: id, line, text }): ServiceResult => {
      const config = loadEntries(new Config(), parseCf(text, file.path, line));
      const place = { file: file.path, line: line - 1 };
      const isServing = options.serving?.has(id);
      const result = parseServiceConfig(config, {
        ...options,
        id,
        place,
        text,
        globals,
        isServing,
      });
      if (result.service === undefined) return result;
      return { ...result, service: withHead(result.service, forServers) };
    });
    return [...results, { endpoints: [], problems, warnings: [] }];
  });
}

/** The shared settings of files, and of the heads of INI files, for a service that is in none of them. */
export function sharedGlobals(shared: Config, files: readonly IniFile[]): Config {
  const globals = new Config().merge(shared);
  for (const file of files) {
    globals.merge(sharedFor(loadEntries(new Config(), headOf(file)), "server"));
  }
  return globals;
}

/** Adds the shared settings to those that the processes of a service receive, since they read no INI file. */
function withHead(service: ServiceConfig, head: Config): ServiceConfig {
  const settings = new Map([
    ...[...head.keys()].map((key): [string, string] => [key, head.getRaw(key)!]),
    ...service.settings,
  ]);
  return { ...service, settings };
}
