/**
 * What a command line says in another way than it is read: LIB-ZC takes any `-name value` and any
 * `--flag`, known or not.
 *
 * @module
 */
import { settingName } from "./aliases.ts";
import { asWarning, cannot, type Problem } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { argumentForm, isFlag, type Setting, type SettingScope } from "./setting.ts";
import { ALL_SETTINGS, CONFIG, SERVER_SERVICE, WITHOUT_EFFECT } from "./settings.ts";
import { toBool } from "./units.ts";

/** Whose command line it is. */
export interface CommandLineOf {
  /** The program that reads it. */
  readonly scope: SettingScope;
  /** Whether the program may have arguments of its own, which then are nobody's mistake. */
  readonly isOpen: boolean;
}

/** What was found in a command line. */
export interface ArgumentFindings {
  /** What makes it unfit. */
  readonly problems: readonly Problem[];
  /** What looks odd. */
  readonly warnings: readonly Problem[];
}

/** A piece of a command line that is odd, and how many arguments it takes. */
interface Finding {
  readonly problem?: Problem;
  readonly takes: 1 | 2;
}

/**
 * Looks for slips in a command line.
 *
 * @param args The arguments as they are, before LIB-ZC's reading of them.
 * @param whose Whose command line it is.
 * @returns What was found.
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

  /** Looks at one argument, and at the one behind it, which may be its value. */
  at(arg: string, next: string | undefined): Finding {
    if (!arg.startsWith("-") || arg === "-") return { problem: this.#plain(arg), takes: 1 };
    const name = arg.replace(/^--?/, ""), [base] = name.split("=", 1);
    const setting = this.#known.get(settingName(base));
    if (name === "") return { takes: 1 };
    if (setting === undefined) return this.#unknown(arg, base, next);
    if (name !== base) {
      const found = 'a "=" in it, which parts no value from a name';
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
    return asWarning({ argument: true, key: setting.name, message });
  }

  #plain(arg: string): Problem | undefined {
    if (this.#isOpen) return undefined;
    const expected = "-NAME VALUE or --FLAG, as --help lists them";
    return { message: cannot("read argument", arg, { found: "no name before it", expected }) };
  }

  #unknown(arg: string, name: string, next: string | undefined): Finding {
    const takes = arg.startsWith("--") || next === undefined || next.startsWith("-") ? 1 : 2;
    const place = { argument: true, key: name };
    if (WITHOUT_EFFECT.has(name)) {
      const about = { found: "LIB-ZC's, and without effect here", expected: "no such argument" };
      return { problem: asWarning({ ...place, message: cannot("use", arg, about) }), takes };
    }
    const meant = this.#known.get(nearest(name, this.#known.keys()) ?? "");
    const ofFile = ALL_SETTINGS.find((setting) => setting.name === settingName(name));
    const isOfFile = ofFile !== undefined;
    // A program's own argument stays its own, also where its name is near a known one.
    if (this.#isOpen && (meant === undefined || isOfFile)) return { takes };
    const found = isOfFile ? "a setting for a file" : "no argument has this name";
    const expected = isOfFile
      ? `it in the .cf of a service${ofFile.inherited ? ", or in a .gcf" : ""}`
      : meant === undefined
      ? "one that --help lists"
      : argumentForm(meant);
    const problem = { ...place, message: cannot("read argument", arg, { found, expected }) };
    const isOwn = this.#isOpen && meant?.name !== SERVER_SERVICE.name;
    return { problem: isOwn ? asWarning(problem) : problem, takes };
  }

  #valued(arg: string, next: string | undefined, setting: Setting<unknown>): Finding {
    const isDashed = next?.startsWith("-") === true;
    if (arg.startsWith("--")) {
      const takes = next === undefined || isDashed ? 1 : 2;
      return { problem: malformed(arg, "no value, which -- says", setting), takes };
    }
    // LIB-ZC takes anything for a value; but no value looks like the name of another argument.
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
  return { argument: true, key: setting.name, message };
}
