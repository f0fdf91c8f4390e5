/**
 * Warnings about mistakes in a command line, since LIB-ZC accepts any `-name value` and any `--flag`.
 *
 * @module
 */
import { settingName } from "./aliases.ts";
import { asWarning, cannot, type Problem } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { argumentForm, isFlag, type Setting, type SettingScope } from "./setting.ts";
import { ALL_SETTINGS, CONFIG, SERVER_SERVICE, WITHOUT_EFFECT } from "./settings.ts";
import { toBool } from "./units.ts";

/** The program that a command line belongs to. */
export interface CommandLineOf {
  /** The program that reads it. */
  readonly scope: SettingScope;
  /** Whether the program may have its own arguments, which then are no mistake. */
  readonly isOpen: boolean;
}

/** The findings in a command line. */
export interface ArgumentFindings {
  /** Findings that make it invalid. */
  readonly problems: readonly Problem[];
  /** Findings that are only suspicious. */
  readonly warnings: readonly Problem[];
}

/** Arguments of the master of LIB-ZC's C++ edition, with the form that they have here. */
const OF_CPP: ReadonlyMap<string, (value: string) => string> = new Map([
  ["server-syslog", (value: string) => `-server-log syslog,${value}`],
  ["master-server-debug", () => "--DEBUG"],
]);

/** Flags that are no settings: the program answers them, and ends. */
const QUESTIONS = ["help", "version"];

/** A suspicious part of a command line, and the number of its arguments. */
interface Finding {
  readonly problem?: Problem;
  readonly takes: 1 | 2;
}

/**
 * Looks for mistakes in a command line.
 *
 * @param args The arguments before they are parsed.
 * @param whose The program.
 */
export function checkArguments(args: readonly string[], whose: CommandLineOf): ArgumentFindings {
  const check = new ArgumentCheck(whose);
  const found: Problem[] = [];
  for (let i = 0; i < args.length;) {
    const { problem, takes } = check.at(args[i], args[i + 1]);
    if (problem !== undefined) found.push(problem);
    i += takes;
  }
  return {
    problems: found.filter(({ severity }) => severity === undefined),
    warnings: found.filter(({ severity }) => severity === "warning"),
  };
}

class ArgumentCheck {
  readonly #isOpen: boolean;
  readonly #seen = new Set<Setting<unknown>>();
  readonly #known: ReadonlyMap<string, Setting<unknown>>;

  constructor({ scope, isOpen }: CommandLineOf) {
    this.#isOpen = isOpen;
    const known = ALL_SETTINGS.filter(({ scopes }) => scopes.includes(scope));
    this.#known = new Map(known.map((setting) => [setting.name, setting]));
  }

  /** Checks one argument, and the next one, which may be its value. */
  at(arg: string, next: string | undefined): Finding {
    if (!arg.startsWith("-") || arg === "-") return { problem: this.#plain(arg), takes: 1 };
    const name = arg.replace(/^--?/, ""), [base] = name.split("=", 1);
    const setting = this.#known.get(settingName(base));
    if (name === "") return { takes: 1 };
    if (setting === undefined) return this.#unknown(arg, base, next);
    if (name !== base) {
      const found = 'a "=" in it, but a value is an argument of its own';
      return { problem: malformed(arg, found, setting), takes: 1 };
    }
    const finding = isFlag(setting) ? flag(arg, next, setting) : this.#valued(arg, next, setting);
    return { problem: this.#repeated(arg, setting), ...finding };
  }

  /** A second value in place of the first one; several files are read one after the other. */
  #repeated(arg: string, setting: Setting<unknown>): Problem | undefined {
    const isFirst = !this.#seen.has(setting);
    this.#seen.add(setting);
    if (this.#isOpen || isFirst || setting === CONFIG) return undefined;
    const about = { found: "it was there before, and the last one counts", expected: "it once" };
    const message = cannot("read argument", arg, about);
    return asWarning({ message });
  }

  #plain(arg: string): Problem | undefined {
    if (this.#isOpen) return undefined;
    const expected = "-NAME VALUE or --FLAG, as --help lists them";
    return { message: cannot("read argument", arg, { found: "no name before it", expected }) };
  }

  #unknown(arg: string, name: string, next: string | undefined): Finding {
    const takes = arg.startsWith("--") || next === undefined || next.startsWith("-") ? 1 : 2;
    if (WITHOUT_EFFECT.has(name)) {
      const about = { found: "LIB-ZC's, and without effect here", expected: "no such argument" };
      return { problem: asWarning({ message: cannot("use argument", arg, about) }), takes };
    }
    const formHere = this.#isOpen ? undefined : OF_CPP.get(name);
    if (formHere !== undefined) {
      const expected = formHere(takes === 2 ? next! : "FACILITY");
      const about = { found: "an argument of LIB-ZC's C++ edition", expected };
      return { problem: { message: cannot("read argument", arg, about) }, takes };
    }
    const questions = this.#isOpen ? [] : QUESTIONS;
    const close = nearest(name, [...this.#known.keys(), ...questions]) ??
      questions.find((question) => name === question[0]);
    const meant = this.#known.get(close ?? "");
    const ofFile = ALL_SETTINGS.find((setting) => setting.name === settingName(name));
    const isOfFile = ofFile !== undefined;
    // A program's own argument is accepted, also if its name is similar to a known one.
    if (this.#isOpen && (meant === undefined || isOfFile)) return { takes };
    const found = isOfFile ? "a setting for a file" : "no argument has this name";
    const expected = isOfFile
      ? `it in the .cf of a service${ofFile.inherited ? ", or in a .gcf" : ""}`
      : meant !== undefined
      ? argumentForm(meant)
      : close === undefined
      ? "one that --help lists"
      : `--${close}`;
    const problem = { message: cannot("read argument", arg, { found, expected }) };
    const isOwn = this.#isOpen && meant?.name !== SERVER_SERVICE.name;
    return { problem: isOwn ? asWarning(problem) : problem, takes };
  }

  #valued(arg: string, next: string | undefined, setting: Setting<unknown>): Finding {
    const isDashed = next?.startsWith("-") === true;
    if (arg.startsWith("--")) {
      const takes = next === undefined || isDashed ? 1 : 2;
      return {
        problem: malformed(arg, "two dashes, which are for flags without a value", setting),
        takes,
      };
    }
    // LIB-ZC accepts any value; but no value looks like the name of another argument.
    if (!isDashed || !this.#known.has(next.replace(/^--?/, ""))) return { takes: 2 };
    const found = `${next} after it, which is no value`;
    return { problem: malformed(arg, found, setting), takes: 1 };
  }
}

/** A flag is written with two dashes, or, as LIB-ZC takes it too, with one and a truth value. */
function flag(arg: string, next: string | undefined, setting: Setting<unknown>): Finding {
  if (arg.startsWith("--")) return { takes: 1 };
  if (next !== undefined && toBool(next, true) === toBool(next, false)) return { takes: 2 };
  return { problem: malformed(arg, "no yes or no after it", setting), takes: 1 };
}

function malformed(arg: string, found: string, setting: Setting<unknown>): Problem {
  const message = cannot("read argument", arg, { found, expected: argumentForm(setting) });
  return { message };
}
