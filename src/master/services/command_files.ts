/**
 * The files of a service's command, by which a reload finds that it has changed.
 *
 * @module
 */
import { pathOfUrl } from "../../os/process/program_lookup.ts";
import { interpreterWords, type Located } from "./command.ts";
import type { View } from "./program_lookup.ts";
import { directoryOfEnv, searchedByEnv } from "./wrappers.ts";

/**
 * A text that changes with the files of a service's command; `module_versions.ts` covers the modules.
 *
 * @param files The result of {@linkcode commandFiles}.
 * @param view The file system as the service's processes see it.
 */
export function stampOf(files: readonly string[], view: Pick<View, "fileStamp">): string {
  return files.map((path) => view.fileStamp(path)).join();
}

/**
 * The files of a service's command: its program, and each word that names a file.
 *
 * @returns The paths as the service's processes see them.
 */
export function commandFiles(located: Located): string[] {
  const { service, view, program: { path, args }, inner, steps, taskFiles } = located;
  const directory = directoryOfEnv(steps);
  const behindEnv = (one: string) =>
    one.startsWith("/") || directory === undefined ? one : `${directory}/${one}`;
  const programs = [path, ...innerPaths(located).map(behindEnv)];
  const words = [
    ...[...args, ...service.command, ...inner.args],
    ...programs.flatMap((one) => interpreterWords(view, one)),
  ];
  const files = new Set([...programs, ...taskFiles, ...words.flatMap(pathsIn).map(behindEnv)]);
  return [...files].filter((one) => view.isFile(one));
}

/** The paths that the program behind `env` may have, as `env` looks it up. */
function innerPaths({ steps, inner: { path, name = path } }: Located): string[] {
  const searched = searchedByEnv(steps);
  const names = name.includes("/") || searched === undefined
    ? [name]
    : searched.split(":").map((one) => `${one || "."}/${name}`);
  return [path, ...names];
}

/** Permissions of Deno: the files that they name are data. */
const PERMISSION = /^(?:--(?:allow|deny|ignore)-|-[A-Z])/;

/** The value of an option in the same word: `--config=FILE`, `-c=FILE`, `-cFILE`. */
const OPTION_VALUE = /^(?:--?[\w-]+=|-[a-z])(.+)$/s;

/** The paths that a word may stand for: the word, or the value of an option, also as a URL. */
export function pathsIn(word: string): string[] {
  const value = PERMISSION.test(word) ? undefined : OPTION_VALUE.exec(word)?.[1];
  return [word, ...(value === undefined ? [] : [value])].map((one) => pathOfUrl(one) ?? one);
}
