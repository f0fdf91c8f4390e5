/**
 * The running program as a server program (`server-command = self NAME`): how it is started again.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { cannot } from "../../config/errors.ts";
import { nearest } from "../../config/nearest.ts";
import { isServerName, METRICS_SERVER, SELF, SERVER_NAME_FORM } from "../../config/own_server.ts";
import { flagsToPassOn } from "../../config/runtime_flags.ts";
import { pathOfUrl } from "../../os/process/program_lookup.ts";

/** How the running program can be started again. */
export type SelfProgram =
  /** A program of `deno compile`. */
  | { readonly kind: "binary"; readonly path: string }
  /** A main module, which Deno runs with these flags. */
  | {
    readonly kind: "module";
    /** Its path, if it is a file. */
    readonly file?: string;
    /** What Deno runs where the path is none that it takes. */
    readonly url: string;
    readonly flags: readonly string[];
  };

/** How the running program was started. */
export interface SelfStart {
  readonly isCompiled: boolean;
  /** Returns where its file is now, by the name with which it was started. */
  path(): string;
  /** The command line of the process, with the runtime and its flags. */
  readonly argv: readonly string[];
  /** The number of arguments that are the program's own. */
  readonly argumentCount: number;
  readonly mainModule: string;
  /** The working directory at that time. */
  readonly cwd: string;
}

/** Finds out how the running program can be started again; undefined if it is in no file. */
export function selfProgram(start: SelfStart): SelfProgram | undefined {
  const { isCompiled, argv, argumentCount, mainModule, cwd } = start;
  if (isCompiled) return { kind: "binary", path: start.path() };
  if (/\/\$deno\$[a-z]+\.[cm]?[jt]sx?$/.test(mainModule)) return undefined;
  const runtime = argv.slice(1, argv.length - argumentCount), word = runtime.at(-1) ?? "";
  const path = pathOfUrl(mainModule), named = pathOfUrl(word) ?? resolvePath(cwd, word);
  // By the name of the directory, so that a changed link leads to the new version of the program.
  const file = path !== undefined && nameIn(named) === nameIn(path) ? named : path;
  // The name of a package leads to its dependencies as well; its URL would not.
  const url = file === undefined && /^(?:jsr|npm):/.test(word) ? word : mainModule;
  const flags = flagsToPassOn(runtime.slice(0, -1), (one) => resolvePath(cwd, one));
  return { kind: "module", ...(file !== undefined && { file }), url, flags };
}

/** The last part of a path. */
function nameIn(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is known of the running program. */
export interface KnownSelf {
  readonly self: SelfProgram | undefined;
  /** The names of its servers; undefined if the program chooses between them itself. */
  readonly ownServers?: readonly string[];
}

/**
 * Checks the words of a `server-command` that begins with `self`.
 *
 * @param words The words.
 * @param known What is known of the program.
 * @returns The name, and the program.
 * @throws {TypeError} When the program has no such server.
 */
export function requireOwnServer(
  words: readonly string[],
  { self, ownServers }: KnownSelf,
): { readonly name: string; readonly self: SelfProgram } {
  const [, name] = words;
  const refuse = (found: string, expected: string): never => {
    throw new TypeError(cannot("run", words.slice(0, 2).join(" "), { found, expected }));
  };
  const all = ownServers?.map((one) => `${SELF} ${one}`).join(", ");
  if (self === undefined) {
    return refuse("a program that is in no file", "a main module in a file, or deno compile");
  }
  if (name === undefined) return refuse("no name behind it", all || `${SELF} NAME`);
  if (name === METRICS_SERVER || ownServers?.includes(name)) return { name, self };
  if (!isServerName(name)) return refuse("no name", `${SELF} NAME, of ${SERVER_NAME_FORM}`);
  if (ownServers === undefined) return { name, self };
  const meant = nearest(name, ownServers);
  return meant === undefined && !all
    ? refuse(
      "this program has no servers",
      `a program that calls masterServerMain({ servers: { ${name}: ... } })`,
    )
    : refuse("no server of this program has this name", meant ? `${SELF} ${meant}` : all!);
}
