/**
 * What a master that runs as root does not trust: files that everybody may write to. Whoever can
 * change its settings or its programs would be root with them.
 *
 * @module
 */
import type { ParsedArguments } from "../../config/args.ts";
import { cannot, type Problem } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { commandFiles, type ProgramLookup, type ProgramPlace, viewFrom } from "./command.ts";

/** Asks whether everybody may write to a path. */
type Looks = Pick<ProgramLookup, "looseMode">;

/**
 * Looks at a settings file, or at the directory of them.
 *
 * @param path The path.
 * @param lookup Tells its mode.
 * @returns What is wrong; nothing where the master is not root's.
 */
export function worldWritableProblems(path: string, lookup: Looks): Problem[] {
  const message = worldWritable("read settings from", path, lookup);
  return message === undefined ? [] : [{ file: path, message }];
}

/**
 * Looks at the files of a master's command line (`-config`).
 *
 * @param args The command line.
 * @param lookup Tells their modes.
 */
export function worldWritableFiles({ configFiles }: ParsedArguments, lookup: Looks): Problem[] {
  return configFiles.flatMap((file) => worldWritableProblems(file, lookup));
}

/**
 * Looks at the files that a service's command names: its program, and each of its words that is a
 * file, such as a script.
 *
 * @param service The service, whose program is there.
 * @param place Where to look.
 * @throws {TypeError} When everybody may write to one of them, and the master is root's.
 */
export function requireTrustedCommand(service: ServiceConfig, place: ProgramPlace): void {
  const view = viewFrom(service, place);
  for (const path of commandFiles(service, place)) {
    const message = worldWritable("run", path, view);
    if (message !== undefined) throw new TypeError(message);
  }
}

function worldWritable(action: string, path: string, { looseMode }: Looks): string | undefined {
  const mode = looseMode(path);
  if (mode === undefined) return undefined;
  return cannot(action, path, {
    found: `everybody may write to it (mode ${mode.toString(8).padStart(4, "0")})`,
    expected: "a mode without write permission for others, since the master runs as root",
  });
}
