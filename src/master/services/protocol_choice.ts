/**
 * Commands for which `server-protocol = auto` is ambiguous: a wrapper may start a program of
 * LIB-ZC's protocol, systemd's, or the control protocol.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import { firstWordOf, flagsOf } from "../../config/permissions.ts";
import { interpreterWords, type Located } from "./command.ts";
import type { View } from "./program_lookup.ts";
import { baseName, isScriptFile, unwrapEnv, wrapperKind } from "./wrappers.ts";

interface Ambiguity {
  readonly found: string;
  readonly expected: string;
}

/**
 * Checks that the protocol of a service's program is known.
 *
 * @throws {TypeError} When the setting is required.
 */
export function requireProtocol(located: Located): void {
  const ambiguity = ambiguityOf(located);
  if (ambiguity === undefined) return;
  throw new TypeError(
    cannot("choose a protocol for", located.service.command.join(" "), ambiguity),
  );
}

function ambiguityOf(located: Located): Ambiguity | undefined {
  const { service, view, script, self, denoArgs, unchanged, inner: { path, args } } = located;
  const isAuto = service.protocol === "auto";
  if (script !== undefined || self !== undefined) return undefined;
  const watch = denoArgs && watchFlag(denoArgs);
  if (unchanged !== undefined && watch === undefined) return undefined;
  if (denoArgs !== undefined) {
    const isByMaster = isAuto || ["control", "deno", "inherit"].includes(service.protocol);
    if (!isByMaster) return undefined;
    const isInterpreter = interpreterWords(view, path).length > 0;
    return ambiguityOfDeno(isInterpreter ? [...denoArgs, path] : denoArgs);
  }
  if (!isAuto || path === view.selfPath) return undefined;
  const program = candidatesFor(view, path).find(wrapperKind) ?? path;
  // A script may be an argument of another program as well.
  const name = baseName(program), isPrefix = wrapperKind(program) === "prefix";
  const behind = args.find((arg) =>
    /^deno(?:@.*)?$/.test(baseName(arg)) || isPrefix && isScriptFile(arg)
  );
  // Deno runs what the command of node names, and no script that names node itself.
  return ambiguityOfWrapper(name, { behind, isByNode: baseName(path) === "node" });
}

/** What a program may be: itself, the target of its link, the interpreter of its script. */
function candidatesFor(view: View, path: string): string[] {
  const real = view.changesRoot ? path : view.realPath(view.pathOf(path));
  return [path, real, interpreterOf(view, path) ?? path];
}

/** The program that runs a script. */
function interpreterOf(view: View, path: string): string | undefined {
  const words = interpreterWords(view, path);
  return words.length === 0 ? undefined : unwrapEnv(words, (text) => [text]).words[0];
}

/** Subcommands of Deno that run no server. */
const SERVES_NOTHING: ReadonlySet<string> = new Set([
  ...["add", "audit", "bench", "bundle", "cache", "check", "clean", "compile", "completions"],
  ...["coverage", "deploy", "doc", "fmt", "help", "info", "init", "install", "jupyter", "lint"],
  ...["lsp", "outdated", "publish", "remove", "repl", "test", "types", "uninstall", "update"],
  "upgrade",
]);

function watchFlag(args: readonly string[]): string | undefined {
  return flagsOf(args).find((flag) => /^--watch(?:-hmr)?(?:=|$)/.test(flag));
}

/** A Deno that starts another process, or itself again, loses the sockets. */
function ambiguityOfDeno(args: readonly string[]): Ambiguity | undefined {
  const watch = watchFlag(args);
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

function ambiguityOfWrapper(
  name: string,
  { behind, isByNode }: { readonly behind: string | undefined; readonly isByNode: boolean },
): Ambiguity | undefined {
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
        expected: `server-protocol = ${isByNode ? "deno for one that listens by itself, " : ""}` +
          "systemd for one that takes LISTEN_FDS, " +
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
    case "prefix":
      if (behind !== undefined) return ambiguityBehind(name, behind);
      return {
        found: `${name}, which runs another program`,
        expected: "that program alone, or a server-protocol: libzc for a server of LIB-ZC, " +
          "systemd for one that takes LISTEN_FDS",
      };
    default:
      return behind === undefined ? undefined : ambiguityBehind(name, behind);
  }
}

function ambiguityBehind(name: string, behind: string): Ambiguity {
  return {
    found: `${name} with ${behind} behind it`,
    expected: "server-protocol = control where it becomes that program with --allow-ffi, " +
      "inherit without, or that program alone",
  };
}
