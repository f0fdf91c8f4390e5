/**
 * What a settings file says without being wrong, and what its author has probably meant: names with
 * a slip, settings in the wrong kind of file, lines that the grammar takes in another way than they
 * look.
 *
 * Only warnings come from here: a server may have settings of its own by any name.
 *
 * @module
 */
import { ALIASES, settingName } from "./aliases.ts";
import { forEachSetting, trimAscii } from "./cf.ts";
import { cannot, type Problem, warningAt } from "./errors.ts";
import { ESSENTIAL } from "./essentials.ts";
import { nearest } from "./nearest.ts";
import { isRepeated } from "./repeated.ts";
import { SecretLines, shownLine } from "./secret_lines.ts";
import { COMMENT, endsInComment } from "./setting.ts";
import {
  ALL_SETTINGS,
  METRICS,
  SERVER_CONTROL,
  SERVER_SERVICE,
  type Setting,
  settingOf,
} from "./settings.ts";

/**
 * The kinds of settings files: by the extension, and one that a master reads by `-config`. Of an INI file: what is
 * before the first section, and a section.
 */
export type FileKind = "cf" | "gcf" | "master" | "head" | "section";

/** Not of names too short and ordinary to tell a slip from a server's own setting. */
const isTelling = ({ name }: Setting<unknown>): boolean => name.includes("-");

const OF_SERVICE = ALL_SETTINGS.filter(({ scopes }) =>
  scopes.includes("service") || scopes.includes("server")
);
const OF_ALL = ALL_SETTINGS.filter(({ inherited, scopes, notInGcf = [] }) =>
  inherited === true ||
  scopes.some((scope) => scope !== "service" && !notInGcf.includes(scope))
).filter((setting) => setting !== SERVER_SERVICE);
const OF_MASTER = ALL_SETTINGS.filter(({ scopes }) => scopes.includes("master"));

/** What each kind of file may give to whom. */
const ALLOWED: Readonly<Record<FileKind, readonly Setting<unknown>[]>> = {
  cf: OF_SERVICE,
  gcf: OF_ALL,
  master: OF_MASTER,
  head: [...OF_ALL, ...OF_MASTER],
  section: OF_SERVICE,
};

/** The names that a misspelt one may have meant. */
const CANDIDATES: readonly string[] = [
  ...ALL_SETTINGS.filter(isTelling).map(({ name }) => name),
  ...ALIASES,
];

/**
 * Looks for slips in a settings file.
 *
 * @param text The file's text.
 * @param file The file's name.
 * @param kind Which kind of file it is.
 * @param first The number of the text's first line, for a text that is a part of a file.
 * @returns A warning for each, in the order of the lines.
 */
export function lintCf(text: string, file: string, kind: FileKind, first = 1): Problem[] {
  const warnings: Problem[] = [];
  const seen = new Map<string, number>();
  const secrets = new SecretLines();
  let isUtf8 = true;
  forEachSetting(text, (written, line) => {
    const warn = (message: string, key?: string) =>
      warnings.push(warningAt({ file, line }, { ...(key !== undefined && { key }), message }));
    const continuation = secrets.continuation(written, line);
    if (continuation !== undefined) return warn(continuation);
    if (written.startsWith("\ufeff")) return warn(...byteOrderMark(written));
    if (isUtf8 && !written.isWellFormed()) {
      isUtf8 = false;
      warn(cannot("read as UTF-8", shownLine(written), NOT_UTF8));
    }
    const equals = written.indexOf("=");
    if (equals < 0) return warn(withoutEquals(written));
    const key = settingName(trimAscii(written.slice(0, equals)));
    const value = trimAscii(written.slice(equals + 1));
    const before = seen.get(key);
    seen.set(key, line);
    if (before !== undefined && !isRepeated(key)) {
      const found = `line ${before} sets it too, and the last one counts`;
      warn(cannot("set twice", key, { found, expected: "one line for it" }), key);
    }
    // A name that means nothing does so each time.
    const message = before === undefined || settingOf(key) !== undefined
      ? slipIn(key, value, kind)
      : undefined;
    if (message !== undefined) warn(message, key);
  }, first);
  return warnings;
}

/** Once for a file, which is mostly written in one encoding. Comments may be in any. */
const NOT_UTF8 = {
  found: "other bytes, which are passed on as they are and shown as GB18030 (GBK)",
  expected: "a file in UTF-8",
};

/** LIB-ZC takes it for a part of the first name, or of a comment's first word. */
function byteOrderMark(written: string): [message: string, key: string] {
  const [key] = shownLine(trimAscii(written.slice(1))).split(/\s*=/, 1);
  const found = "a byte order mark (BOM) before it, which hides it";
  return [cannot("read", key, { found, expected: "a file without one" }), key];
}

function withoutEquals(written: string): string {
  if (/^\[.*\]$/.test(written)) {
    const found = "a section, which settings files do not have";
    return cannot("read", written, { found, expected: "a line NAME = VALUE" });
  }
  const shown = shownLine(written);
  const [, name, value] = /^([^\s:]+)[\s:]+(.*)$/.exec(shown) ?? [];
  const isKnown = name !== undefined && settingOf(settingName(name)) !== undefined;
  const expected = isKnown ? `${name} = ${value}` : "a line NAME = VALUE";
  return cannot("read", shown, { found: 'no "=" in it, so it sets nothing', expected });
}

const EMPTY = {
  found: "no value behind it, so it counts as not set",
  expected: "a value, or no such line",
};

/** As in LIB-ZC. */
const COMMENT_OF_FILES = "a comment behind the value, each word of which is a socket file";

/** What is odd about one setting, if anything is. */
function slipIn(key: string, value: string, kind: FileKind): string | undefined {
  const setting = settingOf(key);
  if (setting === undefined) return misspelt(key, kind);
  const told = misplaced(setting, value, kind);
  if (told !== undefined || !ALLOWED[kind].includes(setting)) return told;
  if (value === "" && isTelling(setting) && !ESSENTIAL.includes(key)) {
    return cannot("read", key, EMPTY);
  }
  if (!hasComment(setting, value)) return undefined;
  const about = setting === SERVER_SERVICE ? { ...COMMENT, found: COMMENT_OF_FILES } : COMMENT;
  return cannot("read", setting.isSecret ? key : value, about);
}

/** Whether a value that can be read goes on as if with a comment. */
function hasComment({ kind }: Setting<unknown>, value: string): boolean {
  if (!endsInComment(value)) return false;
  try {
    kind.parse(value);
    return true;
  } catch {
    // That is a problem by itself.
    return false;
  }
}

/** The known name that an unknown one is nearly, if any. */
export function nearName(key: string): string | undefined {
  return nearest(key, CANDIDATES);
}

function misspelt(key: string, kind: FileKind): string | undefined {
  const near = nearName(key);
  if (near === undefined) return undefined;
  const meant = settingName(near);
  const found = "no setting has this name, so it can only be a server's own";
  const { expected = meant } = misplacement(settingOf(meant)!, kind) ?? {};
  return cannot("find setting", key, { found, expected: expected.replace(/^it\b/, meant) });
}

function misplaced(
  setting: Setting<unknown>,
  value: string,
  kind: FileKind,
): string | undefined {
  // A server's own setting of this name has hardly a port in it.
  const isMeant = isTelling(setting) || setting === METRICS && /:[0-9]+$/.test(value);
  const where = isMeant ? misplacement(setting, kind) : undefined;
  return where === undefined ? undefined : cannot("use", setting.name, where);
}

/** What is wrong with a setting in a kind of file, if it has no effect there. */
function misplacement(
  setting: Setting<unknown>,
  kind: FileKind,
): { readonly found: string; readonly expected: string } | undefined {
  if (setting === SERVER_CONTROL) {
    const found = "a setting that the master gives to each process";
    return { found, expected: "no such line" };
  }
  if (ALLOWED[kind].includes(setting)) return undefined;
  if (kind === "section") {
    const found = "a setting of the master in the section of a service";
    return { found, expected: "it before the first section" };
  }
  if (kind === "head") {
    const found = "a setting of one service before the first section";
    return { found, expected: "it in the section of each service" };
  }
  const { scopes, inherited, notInGcf = [] } = setting;
  const onCommandLine = "on the command line of the master";
  const ofService = inherited
    ? "it in the .cf of each service, or in a .gcf"
    : "it in the .cf of each service";
  const [found, expected] = kind === "cf"
    ? [
      "a setting of the master in the file of a service",
      notInGcf.length > 0 ? `it ${onCommandLine}` : `it in a .gcf, or ${onCommandLine}`,
    ]
    : kind === "master"
    ? ["a setting of servers in a file of the master", ofService]
    : notInGcf.length === 0
    ? ["a setting of one service in a file for all", ofService]
    : scopes.includes("server")
    ? ["a setting that no .gcf gives", "it in the .cf of a server, or on a command line"]
    : ["a setting that no .gcf gives", `it ${onCommandLine}`];
  return { found, expected };
}
