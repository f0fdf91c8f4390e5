/**
 * The settings of a master that only its start takes: a reload goes on with those of the start, and says so.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { type Config, settingOrigin } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { cannot, type Problem, problemAt, warningAt } from "../../config/errors.ts";
import { LOG_SERVICE, PID_FILE, RUN_SETTINGS, type Setting } from "../../config/settings.ts";

/** The settings that a reload passes over, with what takes them. */
const LATE: readonly (readonly [Setting<unknown>, expected: string])[] = [
  [LOG_SERVICE, "an upgrade, or a new start"],
  ...RUN_SETTINGS.map((record) => [record, "a new start"] as const),
];

/** What a start has taken. */
export class StartSettings {
  readonly #cwd: string;
  readonly #pidFile: string;
  /** The texts of the others, by name. */
  readonly #texts: ReadonlyMap<string, string | undefined>;

  /**
   * @param config The settings of the start.
   * @param cwd The base of relative paths.
   */
  constructor(config: Config, cwd: string) {
    this.#cwd = cwd;
    this.#pidFile = readStrictly(config, PID_FILE);
    this.#texts = new Map(LATE.map(([{ name }]) => [name, config.getRaw(name)]));
  }

  /**
   * What a reload changes of them: another pid file is a problem, since nobody would find the lock of this master
   * there; the others are warnings.
   *
   * @param next The settings that were read, which are valid.
   */
  changesIn(next: Config): { readonly problems: Problem[]; readonly warnings: Problem[] } {
    const pidFile = readStrictly(next, PID_FILE),
      pathOf = (path: string) => resolvePath(this.#cwd, path);
    const { name: key } = PID_FILE;
    const problems = pathOf(pidFile) === pathOf(this.#pidFile) ? [] : [
      problemAt(settingOrigin(next, key), {
        key,
        message: cannot("move the pid file to", pidFile, {
          found: `this master holds the lock of ${this.#pidFile}`,
          expected: "the same file until a new start",
        }),
      }),
    ];
    const warnings = LATE.flatMap(([{ name }, expected]) => {
      const text = next.getRaw(name), before = this.#texts.get(name);
      if ((text ?? "") === (before ?? "")) return [];
      const found = `a reload, which goes on with ${before ? `"${before}"` : "none"}`;
      const message = cannot("change to", text ?? "", { found, expected });
      return [warningAt(settingOrigin(next, name), { key: name, message })];
    });
    return { problems, warnings };
  }
}
