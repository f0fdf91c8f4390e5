/**
 * The permissions of a server: flags of `deno run`, in `server-permissions` or in a command.
 *
 * @module
 */
import { splitCommand } from "./command.ts";
import { lettersIn, takesNextWord } from "./deno_flags.ts";
import { cannot } from "./errors.ts";

/** The form of a `server-permissions`. */
export const PERMISSIONS_FORM =
  "all, none, or flags of deno run such as --allow-read=/srv/www --allow-net=127.0.0.1:5432";

const ALL = "-A";

/** A server has no terminal for the answer to a prompt. */
const NO_PROMPT = "--no-prompt";

const FLAG = /^--(allow|deny|ignore)-(all|read|write|net|env|sys|run|ffi|import)(=[^]+)?$/;

/**
 * Reads a `server-permissions`.
 *
 * @param text The value; its words are quoted as in a shell.
 * @returns The flags for `deno run`.
 * @throws {TypeError} When a word is none of the flags.
 * @throws {SyntaxError} When a quote isn't closed.
 *
 * @example
 * ```ts
 * import { parsePermissions } from "./permissions.ts";
 *
 * console.assert(parsePermissions("--allow-env").join(" ") === "--no-prompt --allow-env");
 * ```
 */
export function parsePermissions(text: string): readonly string[] {
  const words = splitCommand(text);
  if (words.length === 1 && words[0] === "all") return [ALL];
  if (words.length === 1 && words[0] === "none") return [NO_PROMPT];
  const odd = words.find((word) => !FLAG.test(word));
  if (words.length > 0 && odd === undefined) return [NO_PROMPT, ...words];
  const found = odd === undefined ? "nothing" : `"${odd}", which is none of these`;
  throw new TypeError(cannot("read", text, { found, expected: PERMISSIONS_FORM }));
}

/**
 * Whether these are the permissions of a script without a `server-permissions`.
 *
 * @param flags What {@linkcode parsePermissions} returned.
 */
export function areAllPermissions(flags: readonly string[]): boolean {
  return flags.length === 1 && flags[0] === ALL;
}

/** Whether a flag of `deno run` is one that {@linkcode parsePermissions} returns. */
export function isPermission(flag: string): boolean {
  return flag === ALL || flag === NO_PROMPT || FLAG.test(flag);
}

/**
 * Whether a program that Deno runs may use FFI. In doubt the result is false: a server that may use it nevertheless
 * works without its master knowing.
 *
 * @param args The arguments of Deno, with or without the subcommand; those of the script are ignored.
 */
export function grantsFfi(args: readonly string[]): boolean {
  const flags = flagsOf(args);
  if (flags.some((flag) => /^--deny-ffi(=|$)/.test(flag))) return false;
  // A restricted permission, --allow-ffi=PATH, is not enough to access memory.
  return flags.some((flag) =>
    flag === "--allow-ffi" || flag === "--allow-all" || lettersIn(flag).includes("A")
  );
}

/**
 * The flags of Deno before the script.
 *
 * @param args As for {@linkcode grantsFfi}.
 */
export function flagsOf(args: readonly string[]): string[] {
  return partsOf(args).flags;
}

/** The first of Deno's arguments that is no flag and not `run`: the script, or another subcommand, if any. */
export function firstWordOf(args: readonly string[]): string | undefined {
  return partsOf(args).word;
}

function partsOf(args: readonly string[]): { readonly flags: string[]; readonly word?: string } {
  const flags: string[] = [];
  const subcommand = args.indexOf("run");
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (i === subcommand) continue;
    if (!arg.startsWith("-")) return { flags, word: arg };
    if (arg === "--") return { flags, word: args[i + 1] };
    flags.push(arg);
    if (takesNextWord(arg, args[i + 1])) i++;
  }
  return { flags };
}
