/**
 * Commands for which `server-protocol = auto` has no answer: what starts any program may be started
 * by LIB-ZC's protocol, by systemd's, or by the control socket, and only its author knows.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import { firstWordOf, flagsOf } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import {
  denoArguments,
  innerProgram,
  interpreterWords,
  isScript,
  type ProgramPlace,
  type View,
  viewFrom,
} from "./command.ts";
import { baseName, unwrapEnv, wrapperKind } from "./wrappers.ts";

interface Doubt {
  readonly found: string;
  readonly expected: string;
}

/**
 * Makes sure that it is known how a service's program takes its sockets.
 *
 * @param service The service, whose program is there.
 * @param place Where to look.
 * @throws {TypeError} When only a setting could tell.
 */
export function requireProtocol(service: ServiceConfig, place: ProgramPlace): void {
  const doubt = doubtOf(service, place);
  if (doubt === undefined) return;
  throw new TypeError(cannot("choose a protocol for", service.command.join(" "), doubt));
}

function doubtOf(service: ServiceConfig, place: ProgramPlace): Doubt | undefined {
  const isAuto = service.protocol === "auto";
  if (isScript(service)) return undefined;
  const denoArgs = denoArguments(service, place);
  const view = viewFrom(service, place);
  const { path, args } = innerProgram(service, place);
  if (denoArgs !== undefined) {
    const isFramework = isAuto || ["control", "inherit"].includes(service.protocol);
    if (!isFramework) return undefined;
    const isInterpreter = interpreterWords(view, path).length > 0;
    return doubtOfDeno(isInterpreter ? [...denoArgs, path] : denoArgs);
  }
  if (!isAuto || path === place.lookup.selfPath) return undefined;
  const program = candidatesFor(view, path).find(wrapperKind) ?? path;
  const behind = args.find((arg) => /^deno(?:@.*)?$/.test(baseName(arg)));
  return doubtOfWrapper(baseName(program), behind);
}

/** What a program may be: itself, what its path leads to as a link, what runs it as a script. */
function candidatesFor(view: View, path: string): string[] {
  const real = view.changesRoot ? path : view.realPath(view.pathOf(path));
  return [path, real, interpreterOf(view, path) ?? path];
}

/** The program that runs a script. */
function interpreterOf(view: View, path: string): string | undefined {
  const words = interpreterWords(view, path);
  return words.length === 0 ? undefined : unwrapEnv(words, (text) => [text]).words[0];
}

/** Subcommands of Deno that run no program of a service. */
const SERVES_NOTHING: ReadonlySet<string> = new Set([
  ...["add", "audit", "bench", "bundle", "cache", "check", "clean", "compile", "completions"],
  ...["coverage", "deploy", "doc", "fmt", "help", "info", "init", "install", "jupyter", "lint"],
  ...["lsp", "outdated", "publish", "remove", "repl", "test", "types", "uninstall", "update"],
  "upgrade",
]);

/** Deno that starts another process, or the same program again, leaves the sockets behind. */
function doubtOfDeno(args: readonly string[]): Doubt | undefined {
  const watch = flagsOf(args).find((flag) => /^--watch(?:-hmr)?(?:=|$)/.test(flag));
  if (watch !== undefined) {
    const found = `${watch}, by which the program is run again without its sockets`;
    return { found, expected: "no such flag: a reload (SIGHUP) starts a new version" };
  }
  const word = firstWordOf(args);
  if (word === undefined) return { found: "no script in it", expected: "deno run -A SCRIPT" };
  if (word === "task") {
    return {
      found: "a task, which is another process",
      expected: "the command of the task itself",
    };
  }
  if (!SERVES_NOTHING.has(word)) return undefined;
  return { found: `deno ${word}, which runs no server`, expected: "deno run -A SCRIPT" };
}

function doubtOfWrapper(name: string, behind: string | undefined): Doubt | undefined {
  switch (wrapperKind(name)) {
    case "shell":
      return {
        found: `a script of ${name}, which may become any program`,
        expected: 'server-protocol = control where it ends in exec deno run -A ... "$@", ' +
          "libzc for a server of LIB-ZC, or systemd for one that takes LISTEN_FDS",
      };
    case "interpreter":
      return {
        found: `a program of ${name}`,
        expected: "server-protocol = systemd for one that takes LISTEN_FDS, " +
          "or libzc for one that takes LIB-ZC's arguments and descriptors",
      };
    case "runner":
      return {
        found: `${name}, which passes no socket on`,
        expected: behind === undefined
          ? "the program itself, and the server-protocol that it knows"
          : "deno alone, which is the one that runs the master",
      };
    case "user":
      return {
        found: `${name}, which passes no socket on`,
        expected: "the program itself, with server-user in the settings",
      };
    default:
      return behind === undefined ? undefined : {
        found: `${name} with ${behind} behind it`,
        expected: "server-protocol = control where it becomes that program with --allow-ffi, " +
          "inherit without, or that program alone",
      };
  }
}
