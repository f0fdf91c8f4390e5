/**
 * The files of a service's command, by which a reload finds that it has changed.
 *
 * @module
 */
import type { Located } from "./command.ts";
import { directoryOfEnv, searchedByEnv } from "./wrappers.ts";

/**
 * A text that changes with the files of a service's command: the program, and each word that is a
 * file, such as a script. `module_versions.ts` covers the modules.
 */
export function commandStamp(located: Located): string {
  return commandFiles(located).map((path) => located.view.fileStamp(path)).join();
}

/**
 * The files of a service's command: its program, and each word that is a file.
 *
 * @returns The paths as the service's processes see them.
 */
export function commandFiles(located: Located): string[] {
  const { service, view, program: { path, args } } = located;
  const words = new Set([path, ...args, ...service.command, ...innerPaths(located)]);
  return [...words].filter((path) => view.isFile(path));
}

/** The paths that the program behind `env` may have, as `env` looks it up. */
function innerPaths({ steps, inner: { path, name = path } }: Located): string[] {
  const directory = directoryOfEnv(steps), searched = searchedByEnv(steps);
  const names = name.includes("/") || searched === undefined
    ? [name]
    : searched.split(":").map((one) => `${one || "."}/${name}`);
  const seen = (one: string) =>
    one.startsWith("/") || directory === undefined ? one : `${directory}/${one}`;
  return [path, ...names.map(seen)];
}
