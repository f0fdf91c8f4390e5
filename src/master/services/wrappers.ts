/**
 * Recognises commands whose first word is not the server program: `env`, runners of npm packages,
 * interpreters. Pure: it looks at the words only.
 *
 * @module
 */

/** A variable, or an option with its value, that `env` has before the program. */
export interface EnvStep {
  readonly words: readonly string[];
  /** The variable that it sets or removes. */
  readonly variable?: string;
  /** The value of that variable; undefined where it is removed. */
  readonly value?: string;
  /** Whether it removes all variables. */
  readonly clearsAll?: boolean;
  /** The directory that it changes to. */
  readonly directory?: string;
}

/** A command without its `env` prefix. */
export interface Unwrapped {
  /** `env` with its own arguments; empty without it. */
  readonly prefix: readonly string[];
  /** What those arguments do, in their order. */
  readonly steps: readonly EnvStep[];
  /** The command itself. */
  readonly words: readonly string[];
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The names of files that are run by Deno rather than executed. */
const SCRIPT = /\.[cm]?[jt]sx?$/;

/** Whether a word of a command is the name of a file that Deno can run. */
export function isScriptFile(word: string): boolean {
  return SCRIPT.test(word);
}

/** The options of env(1) that matter here, by letter and by name, which may be shortened. */
const SHORT_OPTION = /^-([0iv]*)(?:([CSau])(.*))?$/s;
const LONG_OPTION = /^--(argv|ch|ignore-e|sp|un)[a-z\d-]*(?:=(.*))?$/s;
const LETTERS: Readonly<Record<string, string>> = { argv: "a", ch: "C", sp: "S", un: "u" };

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
  const whole = { prefix: [], steps: [], words };
  const [env, ...given] = words, steps: EnvStep[] = [];
  if (baseName(env) !== "env") return whole;
  // The next word is the last one, to be taken in the same time however many there are.
  const rest = given.reverse();
  while (rest.length > 0) {
    const word = rest.pop()!;
    const [, variable, value] = /^([^=/-][^=/]*)=(.*)$/s.exec(word) ?? [];
    if (variable !== undefined) {
      steps.push({ words: [word], variable, value });
    } else if (word.startsWith("-") && word !== "--") {
      const { step, text, takesNext } = optionOf(word, rest.at(-1));
      if (step !== undefined) steps.push(step);
      if (takesNext) rest.pop();
      if (text !== undefined) { for (const one of split(text).toReversed()) rest.push(one); }
    } else if (word !== "--") {
      const prefix = [env, ...steps.flatMap((step) => step.words)];
      return { prefix, steps, words: [word, ...rest.reverse()] };
    }
  }
  return whole;
}

/** An option, and the word behind it; `text` is the text of `-S`. */
function optionOf(
  word: string,
  next = "",
): { readonly step?: EnvStep; readonly text?: string; readonly takesNext: boolean } {
  const [, flags = "", short, attached] = SHORT_OPTION.exec(word) ?? [];
  const [, name = "", assigned] = LONG_OPTION.exec(word) ?? [];
  const letter = short ?? LETTERS[name];
  const value = attached || assigned;
  const takesNext = letter !== undefined && value === undefined;
  const clearing = word === "-" || flags.includes("i") || name === "ignore-e"
    ? { clearsAll: true }
    : {};
  if (letter === "S") {
    const step = flags === "" ? undefined : { words: [`-${flags}`], ...clearing };
    return { ...(step && { step }), text: value ?? next, takesNext };
  }
  const words = takesNext ? [word, next] : [word];
  return {
    step: {
      words,
      ...clearing,
      ...(letter === "u" && { variable: value ?? next }),
      ...(letter === "C" && { directory: value ?? next }),
    },
    takesNext,
  };
}

/** Where execvp(3) looks without `PATH`. */
const DEFAULT_SEARCH = "/bin:/usr/bin";

/** The `PATH` in which `env` looks its program up; undefined where it is the one that `env` has. */
export function searchedByEnv(steps: readonly EnvStep[]): string | undefined {
  const step = steps.findLast(({ variable, clearsAll }) => clearsAll || variable === "PATH");
  return step && (step.value ?? DEFAULT_SEARCH);
}

/** The working directory of the program; undefined where `env` changes nothing. */
export function directoryOfEnv(steps: readonly EnvStep[]): string | undefined {
  return steps.findLast(({ directory }) => directory !== undefined)?.directory;
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
export type WrapperKind = "shell" | "interpreter" | "runner" | "user" | "prefix";

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
  ["user", /^(?:sudo|doas|su|runuser|pkexec)$/],
  [
    "prefix",
    /^(?:nice|ionice|chrt|taskset|numactl|timeout|nohup|setsid|stdbuf|time|strace|ltrace|gdb|valgrind|perf|setpriv|gosu|su-exec|setuidgid|s6-setuidgid|chpst|softlimit|prlimit|capsh|unshare|nsenter|chroot|setarch|linux(?:32|64)|flock|xargs|script|unbuffer|firejail|bwrap|systemd-run|tini|dumb-init|catchsegv|cpulimit|dotenv|direnv|with-contenv)$/,
  ],
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
