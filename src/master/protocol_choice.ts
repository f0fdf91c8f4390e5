/**
 * Commands for which `server-protocol = auto` has no answer: what starts any program may be started
 * by LIB-ZC's protocol, by systemd's, or by the control socket, and only its author knows.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { flagsOf } from "../config/permissions.ts";
import type { ServiceConfig } from "../config/service.ts";
import {
  denoArguments,
  innerProgram,
  interpreterWords,
  isScript,
  type ProgramPlace,
  type View,
  viewFrom,
} from "./program.ts";
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
  const denoArgs = isScript(service) ? [] : denoArguments(service, place);
  if (denoArgs !== undefined) {
    const isFramework = isAuto || ["control", "inherit"].includes(service.protocol);
    return isFramework ? doubtOfDeno(denoArgs) : undefined;
  }
  const { path, args } = innerProgram(service, place);
  if (!isAuto || path === place.lookup.selfPath) return undefined;
  const view = viewFrom(service, place);
  const program = wrapperKind(path) === undefined ? interpreterOf(view, path) ?? path : path;
  const behind = args.find((arg) => /^deno(?:@.*)?$/.test(baseName(arg)));
  return doubtOfWrapper(baseName(program), behind);
}

/** The program that runs a script. */
function interpreterOf(view: View, path: string): string | undefined {
  const words = interpreterWords(view, path);
  return words.length === 0 ? undefined : unwrapEnv(words, (text) => [text]).words[0];
}

/** Deno that starts another process, or the same program again, leaves the sockets behind. */
function doubtOfDeno(args: readonly string[]): Doubt | undefined {
  const watch = flagsOf(args).find((flag) => /^--watch(?:-hmr)?(?:=|$)/.test(flag));
  if (watch !== undefined) {
    const found = `${watch}, by which the program is run again without its sockets`;
    return { found, expected: "no such flag: a reload (SIGHUP) starts a new version" };
  }
  if (args.find((arg) => !arg.startsWith("-")) !== "task") return undefined;
  return { found: "a task, which is another process", expected: "the command of the task itself" };
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
