/**
 * Recognises commands whose first word is not the server program: `env`, runners of npm packages,
 * interpreters. Pure: it looks at the words only.
 *
 * @module
 */

/** A command without its `env` prefix. */
export interface Unwrapped {
  /** `env` with its own arguments; empty without it. */
  readonly prefix: readonly string[];
  /** The command itself. */
  readonly words: readonly string[];
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Options of env(1) whose value is the next word. */
const ENV_WITH_VALUE: ReadonlySet<string> = new Set(["-u", "--unset", "-C", "--chdir"]);

/**
 * Removes `env` from a command. The process becomes the command after it, so signals and
 * descriptors reach that.
 *
 * @param words The command.
 * @param split Splits a text into words, as `env -S` does.
 * @returns The parts.
 */
export function unwrapEnv(
  words: readonly string[],
  split: (text: string) => readonly string[],
): Unwrapped {
  const whole = { prefix: [], words };
  if (baseName(words[0]) !== "env") return whole;
  const prefix = [words[0]];
  for (let at = 1; at < words.length; at++) {
    const word = words[at];
    if (word === "--") return inner(prefix, words.slice(at + 1)) ?? whole;
    const string = /^(?:-S|--split-string=?)(.*)$/s.exec(word)?.[1];
    if (string !== undefined) {
      const rest = string === "" ? words.slice(at + 1) : [string, ...words.slice(at + 1)];
      const [text = "", ...more] = rest;
      return inner(prefix, [...split(text), ...more]) ?? whole;
    }
    if (ENV_WITH_VALUE.has(word)) prefix.push(word, words[++at] ?? "");
    else if (word.startsWith("-") || /^[^=/]+=/.test(word)) prefix.push(word);
    else return inner(prefix, words.slice(at)) ?? whole;
  }
  return whole;
}

/** The words after `env`; further variables may come first. */
function inner(prefix: readonly string[], words: readonly string[]): Unwrapped | undefined {
  const start = words.findIndex((word) => !/^[^=/]+=/.test(word));
  if (start < 0) return undefined;
  return { prefix: [...prefix, ...words.slice(0, start)], words: words.slice(start) };
}

/** Runners of npm packages, with the words that run a package. */
const RUNNERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["npx", []],
  ["bunx", []],
  ["pnpx", []],
  ["npm", ["exec", "x"]],
  ["pnpm", ["dlx", "exec"]],
  ["yarn", ["dlx", "exec", "run"]],
]);

/** Options of the runners whose value is the next word. */
const RUNNER_WITH_VALUE: ReadonlySet<string> = new Set(["-p", "--package"]);

/**
 * Removes the runner from a command such as `npx -y deno run server.ts`. Deno from npm is replaced
 * by the word `deno`, since a runner does not pass sockets on.
 *
 * @param words The command.
 * @param version The version of the Deno that `deno` means.
 * @returns The command from the word `deno` on; undefined for other commands, or for another
 * version.
 */
export function denoOfRunner(
  words: readonly string[],
  version: string,
): readonly string[] | undefined {
  const verbs = RUNNERS.get(baseName(words[0]));
  if (verbs === undefined) return undefined;
  let at = verbs.includes(words[1]) ? 2 : 1;
  while (words[at]?.startsWith("-")) at += RUNNER_WITH_VALUE.has(words[at]) ? 2 : 1;
  const [name, wanted = version] = /^deno(?:@(.*))?$/.exec(words[at] ?? "") ?? [];
  if (name === undefined || !`${version}.`.startsWith(`${wanted}.`)) return undefined;
  const rest = words.slice(at + 1);
  return ["deno", ...rest[0] === "--" ? rest.slice(1) : rest];
}

/** The kind of a program that can run any other program. */
export type WrapperKind = "shell" | "interpreter" | "runner" | "user";

const KINDS: readonly (readonly [WrapperKind, RegExp])[] = [
  ["shell", /^(?:(?:ba|da|z|k|mk|a|c|tc|fi)?sh|busybox)$/],
  [
    "interpreter",
    /^(?:node|nodejs|bun|tsx|ts-node|java|dotnet|mono|erl|elixir|escript|julia|Rscript|guile|racket|tclsh|(?:python|pypy|ruby|jruby|perl|raku|php|php-cgi|lua|luajit)[\d.]*)$/,
  ],
  [
    "runner",
    /^(?:npx|npm|pnpx|pnpm|yarn|bunx|corepack|uv|uvx|pipx|poetry|bundle|make|docker|podman)$/,
  ],
  ["user", /^(?:sudo|doas|su|runuser)$/],
];

/**
 * The kind of a wrapper; undefined for any other program.
 *
 * @param path Its path or name.
 */
export function wrapperKind(path: string): WrapperKind | undefined {
  const name = baseName(path);
  return KINDS.find(([, pattern]) => pattern.test(name))?.[0];
}
