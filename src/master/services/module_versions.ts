/**
 * Whether the modules of services have changed since the last reload, for `server-reload =
 * changed`. docs/design/03_worker_states.md has the reasons.
 *
 * @module
 */
import type { ScriptRun } from "../../os/process/module_files.ts";
import { isScriptFile, type Located } from "./command.ts";
import type { ProgramLookup } from "./program_lookup.ts";
import { directoryOfEnv } from "./wrappers.ts";

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

/** Flags of `deno run` that decide where imports lead, and that take a separate value. */
const WITH_VALUE = new Set(["-c", "--config", "--import-map"]);

/** Such flags without a separate value. */
const WITHOUT_VALUE =
  /^(?:--(?:config|import-map|lock|node-modules-dir|vendor|unstable-[a-z-]+)(?:=.*)?|--no-config|--no-lock)$/;

/** Files that decide it as well, in the directory of a script and above. */
const PROJECT_FILES = ["deno.json", "deno.jsonc", "package.json", "deno.lock"];

/** The module files of one script, once they are known. */
interface Known {
  readonly version: number;
  /** Each file with its stamp. */
  readonly files: Promise<ReadonlyMap<string, string | undefined> | Error>;
}

/** Detects changed modules. */
export class ModuleVersions {
  readonly #lookup: ModuleLookup;
  readonly #known = new Map<string, Known>();
  #lastVersion = 0;
  /** Lists one script at a time, so that servers come first. */
  #queue: Promise<unknown> = Promise.resolve();

  /** @param lookup The access to the system. */
  constructor(lookup: ModuleLookup) {
    this.#lookup = lookup;
  }

  /**
   * The version of a script's modules. The first call, and a call after a change, returns at once
   * and lists the files in the background.
   *
   * @param run How the script is run; undefined where the master can't find its modules.
   */
  async of(run: ScriptRun | undefined): Promise<ModuleVersion> {
    if (run === undefined) return { version: 0, unknown: "its command is no local script of Deno" };
    const key = JSON.stringify(run);
    const known = this.#known.get(key);
    if (known === undefined) return this.#begin(key, run);
    const files = await known.files;
    if (files instanceof Error) {
      // The next call may know it.
      return { ...this.#begin(key, run, known.version), unknown: files.message };
    }
    const isSame = files.entries().every(([path, stamp]) => this.#lookup.fileStamp(path) === stamp);
    return isSame ? { version: known.version } : this.#begin(key, run);
  }

  #begin(key: string, run: ScriptRun, version = ++this.#lastVersion): ModuleVersion {
    const sinceMs = this.#lookup.timeOfDayMs();
    const files = this.#queue.then(() => this.#look(run, sinceMs));
    this.#queue = files;
    this.#known.set(key, { version, files });
    return { version };
  }

  async #look(run: ScriptRun, sinceMs: number): Promise<Map<string, string | undefined> | Error> {
    const lookup = this.#lookup;
    try {
      const paths = [...await lookup.localModules(run), ...projectFilesOf(run.script)];
      // Processes may have loaded the previous content, so no stamp is valid for this file.
      const isLate = (path: string) => (lookup.lastChange(path) ?? 0) >= sinceMs;
      return new Map(
        paths.map((path) => [path, isLate(path) ? "too late" : lookup.fileStamp(path)]),
      );
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

/** How the script of a service is run; undefined where the master can't find its modules. */
export function scriptRunOf({ view, steps, inner }: Located): ScriptRun | undefined {
  const { path, args: [command, ...args] } = inner;
  const isElsewhere = directoryOfEnv(steps) !== undefined;
  if (command !== "run" || view.changesRoot || isElsewhere) return undefined;
  const at = args.findIndex((word, index) =>
    isScriptFile(word) && view.isFile(word) && !WITH_VALUE.has(args[index - 1])
  );
  if (at < 0) return undefined;
  const flags = args.slice(0, at).filter((word, index) =>
    WITHOUT_VALUE.test(word) || WITH_VALUE.has(word) || WITH_VALUE.has(args[index - 1])
  );
  return { deno: path, flags, script: view.pathOf(args[at]), cwd: view.pathOf(".") };
}

function projectFilesOf(script: string): string[] {
  const files: string[] = [];
  for (let end = script.lastIndexOf("/"); end >= 0; end = script.lastIndexOf("/", end - 1)) {
    files.push(...PROJECT_FILES.map((name) => `${script.slice(0, end)}/${name}`));
    if (end === 0) break;
  }
  return files;
}
