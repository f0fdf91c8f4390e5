/**
 * The command line of the benchmarks.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../tools/usage_error.ts";

/** What a run measures, and where it writes it. */
export interface Options {
  readonly help: boolean;
  /** How it was started. */
  readonly command: string;
  /** Whether it compares with the programs of others. */
  readonly peers: boolean;
  /** The measures, by their names. */
  readonly names: readonly string[];
  /** Default: as many as each measure takes by itself. */
  readonly rounds?: number;
  readonly seconds: number;
  /** Whether a server of one process gets a CPU of its own, and the client another. */
  readonly pins: boolean;
  /** The commit to compare with; default: none. */
  readonly against?: string;
  readonly cache?: string;
  readonly output?: string;
  /** Whether it writes the pages of the project: only a run that was asked to measure all of it does. */
  readonly writesPages: boolean;
}

/** The names of the measures. */
export interface MeasureNames {
  readonly all: readonly string[];
  /** What the short run has time for. */
  readonly quick: readonly string[];
}

function namesToMeasure(
  only: string | undefined,
  fallback: readonly string[],
  all: readonly string[],
) {
  if (only === undefined) return fallback;
  const names = only.split(",");
  const unknown = names.find((name) => !all.includes(name));
  if (unknown === undefined) return names;
  throw new UsageError(
    `Cannot measure "${unknown}": an unknown name, expected some of ${all.join()}`,
  );
}

function positive(name: string, text: string | undefined): number | undefined {
  const value = text === undefined ? undefined : Number(text);
  if (value === undefined || value > 0) return value;
  throw new UsageError(`Cannot use --${name} "${text}", expected a number above 0`);
}

/**
 * Reads a command line.
 *
 * @param args Its arguments.
 * @param measures The names of the measures.
 * @throws {UsageError} When it can't be used.
 */
export function parseOptions(args: readonly string[], { all, quick }: MeasureNames): Options {
  const found = parseArgs([...args], {
    string: ["only", "rounds", "seconds", "against", "cache", "output"],
    boolean: ["peers", "pin", "help"],
    negatable: ["pin"],
    default: { pin: true },
    unknown(arg) {
      throw new UsageError(
        `Cannot use "${arg}": an unknown option, expected one that --help tells`,
      );
    },
  });
  const { help, peers, pin, against, cache, output, only } = found;
  if (peers && against !== undefined) {
    throw new UsageError("Cannot use --against with bench:peers, expected it with bench");
  }
  const rounds = positive("rounds", found.rounds);
  return {
    help,
    command: ["deno task", peers ? "bench:peers" : "bench"]
      .concat(args.filter((arg) => arg !== "--peers")).join(" "),
    peers,
    names: namesToMeasure(only, peers ? all : quick, all),
    rounds: rounds && Math.ceil(rounds),
    seconds: positive("seconds", found.seconds) ?? (peers ? 2 : 0.3),
    pins: pin && navigator.hardwareConcurrency > 1,
    against,
    cache,
    output,
    writesPages: peers && only === undefined && output === undefined,
  };
}
