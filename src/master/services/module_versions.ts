/**
 * Whether the modules of services have changed since the last reload, for `server-reload =
 * changed`. docs/design/03_worker_states.md has the reasons.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";
import { readFlags, takesNextWord, wordOf } from "../../config/deno_flags.ts";
import { ModulesTooLateError, type ScriptRun } from "../../os/process/module_files.ts";
import type { Located } from "./command.ts";
import { startCredentials } from "./privileges.ts";
import type { ProgramLookup } from "./program_lookup.ts";
import { directoryOfEnv, isScriptFile } from "./wrappers.ts";

/** What this uses of the access to the system. */
type ModuleLookup = Pick<
  ProgramLookup,
  "localModules" | "fileStamp" | "lastChange" | "timeOfDayMs"
>;

/** The version of a service's modules. */
export interface ModuleVersion {
  /** Differs as soon as a module has changed; stays the same while the modules are unknown. */
  readonly version: number;
  /** Why the modules are unknown. */
  readonly unknown?: string;
}

const UNKNOWN: ModuleVersion = {
  version: 0,
  unknown: "its command is no local script that the Deno of the master runs",
};

/** Flags of `deno run` that decide where imports lead. */
const DECIDING =
  /^(?:config|import-map|lock|node-modules-dir|vendor|unstable-[a-z-]+|no-config|no-lock)$/;

/** Files that decide it as well, in the directory of a script and above. */
const PROJECT_FILES = ["deno.json", "deno.jsonc", "package.json", "deno.lock"];

/** The files of modules with their stamps; why they are unknown; or "late", if the runtime took too long. */
type Files = ReadonlyMap<string, string | undefined> | Error | "late";

/** The module files of one script, once they are known. */
interface Known {
  readonly version: number;
  readonly files: Promise<Files>;
}

/** How long a reload waits for modules that are being listed. */
const PATIENCE_MS = 5_000;

/** No version of modules that were listed, for a plan. */
const CHANGED = -1;

/** Detects changed modules. */
export class ModuleVersions {
  readonly #lookup: ModuleLookup;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  #lastVersion = 0;
  /** Lists one script at a time, so that servers come first. */
  #queue: Promise<unknown> = Promise.resolve();

  /**
   * @param lookup The access to the system.
   * @param clock The source of time.
   */
  constructor(lookup: ModuleLookup, clock: Clock = systemClock) {
    this.#lookup = lookup;
    this.#clock = clock;
  }

  /**
   * The version of a script's modules. The first call, and a call after a change, returns at once
   * and lists the files in the background. Modules that can't be listed in time count as changed.
   *
   * @param run How the script is run; undefined where the master can't find its modules.
   */
  async of(run: ScriptRun | undefined): Promise<ModuleVersion> {
    if (run === undefined) return UNKNOWN;
    const key = JSON.stringify(run);
    const known = this.#known.get(key);
    if (known === undefined) return this.#begin(key, run);
    const files = await this.#inTime(known);
    if (files === undefined) {
      // They are still being listed.
      const version = ++this.#lastVersion;
      this.#known.set(key, { ...known, version });
      return { version };
    }
    if (files instanceof Error) {
      // The next call may know it.
      return { ...this.#begin(key, run, known.version), unknown: files.message };
    }
    return this.#isSame(files) ? { version: known.version } : this.#begin(key, run);
  }

  /** The same for a plan: lists nothing. */
  async peek(run: ScriptRun | undefined): Promise<ModuleVersion> {
    if (run === undefined) return UNKNOWN;
    const known = this.#known.get(JSON.stringify(run));
    const files = known && await this.#inTime(known);
    if (known === undefined || files === undefined) return { version: CHANGED };
    if (files instanceof Error) return { version: known.version, unknown: files.message };
    return { version: this.#isSame(files) ? known.version : CHANGED };
  }

  /** The files, unless they become known too late. */
  async #inTime({ files }: Known): Promise<Files | undefined> {
    const { promise: tooLate, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#clock.setTimer(PATIENCE_MS, () => resolve(undefined));
    return await Promise.race([files, tooLate]).finally(() => timer.cancel());
  }

  #isSame(files: Exclude<Files, Error>): boolean {
    return files !== "late" &&
      files.entries().every(([path, stamp]) => this.#lookup.fileStamp(path) === stamp);
  }

  #begin(key: string, run: ScriptRun, version = ++this.#lastVersion): ModuleVersion {
    const sinceMs = this.#lookup.timeOfDayMs();
    const files = this.#queue.then(() => this.#look(run, sinceMs));
    this.#queue = files;
    this.#known.set(key, { version, files });
    return { version };
  }

  async #look(run: ScriptRun, sinceMs: number): Promise<Files> {
    const lookup = this.#lookup;
    try {
      const paths = [...await lookup.localModules(run), ...projectFilesOf(run.script)];
      // Processes may have loaded the previous content, so no stamp is valid for this file.
      const isLate = (path: string) => (lookup.lastChange(path) ?? 0) >= sinceMs;
      return new Map(
        paths.map((path) => [path, isLate(path) ? "too late" : lookup.fileStamp(path)]),
      );
    } catch (error) {
      if (error instanceof ModulesTooLateError) return "late";
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

/**
 * How the script of a service is run; undefined where the master can't find its modules. Another
 * program than the master's own Deno is not asked: its file can be any user's.
 */
export function scriptRunOf(located: Located): ScriptRun | undefined {
  const { view, steps, inner } = located, { denoPath: deno } = view;
  const { path, args: [command, ...args] } = inner;
  const isElsewhere = directoryOfEnv(steps) !== undefined;
  if (command !== "run" || view.changesRoot || isElsewhere || deno === undefined) return undefined;
  if (path !== deno && view.realPath(path) !== view.realPath(deno)) return undefined;
  const at = args.findIndex((word, index) =>
    isScriptFile(word) && view.isFile(word) && !takesNextWord(args[index - 1] ?? "", word)
  );
  if (at < 0) return undefined;
  const flags = readFlags(args.slice(0, at)).filter(({ name }) => DECIDING.test(name)).map(wordOf);
  const credentials = startCredentials(located);
  return {
    ...{ deno, flags, script: view.pathOf(args[at]), cwd: view.pathOf(".") },
    ...(credentials && { credentials }),
  };
}

function projectFilesOf(script: string): string[] {
  const files: string[] = [];
  for (let end = script.lastIndexOf("/"); end >= 0; end = script.lastIndexOf("/", end - 1)) {
    files.push(...PROJECT_FILES.map((name) => `${script.slice(0, end)}/${name}`));
    if (end === 0) break;
  }
  return files;
}
