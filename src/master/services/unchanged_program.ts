/**
 * Programs that know nothing of their master (`server-protocol = deno`): how Deno runs them, with a module of this
 * package that is loaded first.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { VERSION } from "../../control/version.ts";
import { lettersIn, takesNextWord } from "../../config/deno_flags.ts";
import { flagsOf } from "../../config/permissions.ts";
import {
  AUTO_SERVE_VARIABLE,
  formatUnchangedStart,
  UNCHANGED_VARIABLE,
} from "../../ipc/unchanged_start.ts";
import { pathOfUrl } from "../../os/process/program_lookup.ts";
import type { EnvironmentChange } from "../../os/process/environment.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { EnvStep } from "./wrappers.ts";

/** How an unchanged program is run. */
export interface UnchangedRun {
  /** The port of `deno serve --port`: that of the service which the exported application serves. */
  readonly port?: number;
}

/** Flags of `deno serve` alone, with whether the next word may be their value. */
const OF_SERVE: ReadonlyMap<string, boolean> = new Map([
  ["--port", true],
  ["--host", true],
  ["--parallel", false],
  ["--open", false],
]);

/** How Deno runs what a script of `package.json` names `node`. */
const AS_NODE = ["-A", "--unstable-bare-node-builtins", "--unstable-detect-cjs"];

/** The arguments of Deno by which it runs a program of node. */
export function nodeArguments(args: readonly string[]): readonly string[] {
  return ["run", ...AS_NODE, ...args];
}

/**
 * The arguments of Deno for an unchanged program.
 *
 * @param args The arguments of `deno run` or `deno serve`.
 * @returns The arguments of `deno run`, and how the program is run.
 */
export function unchangedArguments(
  [command, ...rest]: readonly string[],
): { readonly args: readonly string[]; readonly run: UnchangedRun } {
  const { rest: own, port } = command === "serve"
    ? withoutServeFlags(rest)
    : { rest, port: undefined };
  const args = ["run", `--preload=${preloadedModule()}`, ...mayReadVariable(own), ...own];
  return { args, run: { ...(port !== undefined && { port }) } };
}

/** The module that is loaded first; a compiled master has no file of it. */
function preloadedModule(): string {
  const file = import.meta.resolve("../../server/unchanged/main.ts");
  const isFile = file.startsWith("file:") && !Deno.build.standalone;
  return isFile ? file : `jsr:@zc/master@${VERSION}/unchanged`;
}

/**
 * What the folder of an unchanged program lacks where the preloaded module is the file of a clone: the packages of
 * the clone are found by a deno.json that names it.
 *
 * @param lastWords The last error message of the program.
 * @returns Undefined for any other message.
 */
export function missingLink(lastWords: string): string | undefined {
  const module = preloadedModule();
  if (!module.startsWith("file:") || !FIRST_PACKAGE.test(lastWords)) return undefined;
  const clone = pathOfUrl(new URL("../../..", module).href)!.replace(/\/$/, "");
  return `expected "links": ["${clone}"] in the deno.json beside the program`;
}

/** What the runtime says of the first package that the preloaded module imports. */
const FIRST_PACKAGE = /^error: Import "@std\/log\/logger" not a dependency/;

/** The permission to read the variable of the start, where the others do not include it. */
function mayReadVariable(args: readonly string[]): string[] {
  const flags = flagsOf(args);
  const isGranted = flags.some((flag) =>
    // Beside a list of variables the runtime ignores the permission for all of them, and a set of deno.json.
    /^--(?:allow-(?:all|env)|permission-set(?:=.*)?)$/.test(flag) ||
    /[AE](?!=)|P/.test(lettersIn(flag))
  );
  return isGranted ? [] : [`--allow-env=${UNCHANGED_VARIABLE}`];
}

/** Takes the flags out that say where `deno serve` listens, and in how many threads. */
function withoutServeFlags(
  args: readonly string[],
): { readonly rest: readonly string[]; readonly port?: number } {
  const kept: string[] = [];
  let port: number | undefined, i = 0;
  for (; i < args.length && args[i].startsWith("-"); i++) {
    const word = args[i], [name, value] = word.split("=", 2), takesNext = OF_SERVE.get(name);
    if (takesNext === undefined) {
      kept.push(word, ...(takesNextWord(word, args[i + 1]) ? [args[++i]] : []));
      continue;
    }
    const given = value ?? (takesNext ? args[++i] : undefined);
    if (name === "--port") port = readPort(given);
  }
  return { rest: [...kept, ...args.slice(i)], ...(port !== undefined && { port }) };
}

/**
 * Reads the port of `deno serve --port`.
 *
 * @returns Undefined for 0, which means any.
 * @throws {TypeError} When it is none.
 */
function readPort(given = ""): number | undefined {
  if (/^[0-9]{1,5}$/.test(given) && Number(given) < 65_536) return Number(given) || undefined;
  throw new TypeError(cannot("serve at the port", given, {
    found: "no port",
    expected: "deno serve --port with a number from 0 to 65535",
  }));
}

/** White space within a line. With `\s` a pattern would look for the end of a run of empty lines from each of them. */
const BLANKS = "[^\\S\\n\\r\\u2028\\u2029]*";

const EXPORT = new RegExp(
  `^${BLANKS}export\\s+default\\b|(?:^${BLANKS}|;)export\\s*\\{[^{}]*\\bas\\s+default\\b`,
  "m",
);

/** Whether the text of a script exports what `deno serve` runs. */
export function exportsApplication(text: string): boolean {
  return EXPORT.test(withoutComments(text));
}

const NEWLINE = 0x0a, SPACE = 0x20, STAR = 0x2a, SLASH = 0x2f;

/**
 * Blanks the comments of a script, behind code those at the ends of lines excepted. The script may be another user's:
 * the time depends on its length alone.
 */
function withoutComments(text: string): string {
  const { length } = text, code = new Uint16Array(length), lastEnd = text.lastIndexOf("*/");
  let end = 0, isBeginning = true;
  for (let at = 0; at < length; at++) {
    const char = text.charCodeAt(at);
    if (char === SLASH && at >= end) {
      const next = text.charCodeAt(at + 1);
      // Without an end it is a part of a text.
      if (next === STAR && at + 2 <= lastEnd) end = text.indexOf("*/", at + 2) + 2;
      if (next === SLASH && isBeginning) end = (text.indexOf("\n", at) + 1 || length + 1) - 1;
    }
    isBeginning = char === NEWLINE || isBeginning && char <= SPACE;
    code[at] = at < end && char !== NEWLINE ? SPACE : char;
  }
  return new TextDecoder("utf-16le").decode(code);
}

/** Whether the text of a script names this framework, so that it takes its sockets itself. */
export function namesFramework(text: string): boolean {
  return /@zc\/master|ServerMain\b|\bserviceRegister\b/.test(text);
}

/** The calls by which a program opens an address itself. */
const ADDRESS_CALL = /\b(Deno\.(?:serve|listenTls|listen))\s*\(|(?<!Deno)(\.listen)\s*\(/;

/**
 * The first call in the text of a script by which it opens an address itself, such as `Deno.serve in line 3`.
 *
 * @returns Undefined for a script without such a call, and for one that names this framework.
 */
export function addressCallIn(text: string): string | undefined {
  if (namesFramework(text)) return undefined;
  const code = withoutComments(text);
  const match = ADDRESS_CALL.exec(code);
  if (match === null) return undefined;
  const line = code.slice(0, match.index).split("\n").length;
  return `${match[1] ?? match[2]} in line ${line}`;
}

/**
 * The variables of the environment by which an unchanged program is started.
 *
 * @param service Its service.
 * @param args The arguments that the master appends to the command of a server of this framework.
 */
export function unchangedVariables(
  { endpoints }: ResolvedService,
  { port }: UnchangedRun,
  args: readonly string[],
): EnvironmentChange {
  const services = endpoints.map(({ service: name, ...endpoint }) => ({
    name,
    address: endpoint.kind === "inet"
      ? { kind: endpoint.kind, hostname: endpoint.hostname, port: endpoint.port }
      : { kind: endpoint.kind, path: endpoint.path },
  }));
  return {
    [UNCHANGED_VARIABLE]: formatUnchangedStart({ args, services, ...(port && { port }) }),
    [AUTO_SERVE_VARIABLE]: "1",
  };
}

/**
 * Checks that an unchanged program has no named pipe, which it can't ask for, and that its command keeps the variable
 * of its start.
 *
 * @throws {TypeError} When it has one, or removes it.
 */
export function requireSockets(
  { service, steps, unchanged }: {
    readonly service: Pick<ServiceConfig, "endpoints" | "command">;
    readonly steps: readonly EnvStep[];
    readonly unchanged?: UnchangedRun;
  },
): void {
  if (unchanged === undefined) return;
  const fifo = service.endpoints.find(({ kind }) => kind === "fifo");
  if (fifo !== undefined) {
    throw new TypeError(cannot("pass on", fifo.text, {
      found: "a named pipe, which a program of server-protocol deno can't ask for",
      expected: "the address of a socket, or a program of this framework",
    }));
  }
  const step = steps.find(({ clearsAll }) => clearsAll);
  if (step === undefined) return;
  throw new TypeError(cannot("run", service.command.join(" "), {
    found: `"${step.words.join(" ")}", which removes the variable that its start needs`,
    expected: "env -u NAME for each variable that is to be removed",
  }));
}
