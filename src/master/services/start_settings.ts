/**
 * The settings of a master that a reload does not take, and those that an upgrade does not take either: the master
 * goes on with those that it has, and says so.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { type Config, settingOrigin } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { cannot, type Problem, problemAt, warningAt } from "../../config/errors.ts";
import {
  LOG_SERVICE,
  PID_FILE,
  RUN_CHDIR,
  RUN_SETTINGS,
  type Setting,
} from "../../config/settings.ts";
import type { SettingTexts } from "../../ipc/upgrade_messages.ts";

/** The settings that an upgrade takes as well. */
const BY_UPGRADE: readonly Setting<unknown>[] = [LOG_SERVICE, RUN_CHDIR];
/** The settings that only a start takes. */
const BY_START = RUN_SETTINGS.filter((setting) => !BY_UPGRADE.includes(setting));

/** The settings that a reload passes over, with what takes them. */
const LATE: readonly (readonly [Setting<unknown>, expected: string])[] = [
  ...BY_UPGRADE.map((setting) => [setting, "an upgrade, or a new start"] as const),
  ...BY_START.map((setting) => [setting, "a new start"] as const),
];

/** What a new master goes on with, whatever its files say. */
export interface Taken {
  readonly pidFile: string;
  /** The settings that only a start takes; undefined if an older master has not told them. */
  readonly startSettings?: SettingTexts;
}

/** What a start, or the last upgrade, has taken. */
export class StartSettings {
  readonly #cwd: string;
  readonly #pidFile: string;
  /** The texts of the others, by name. */
  readonly #texts: ReadonlyMap<string, string | undefined>;

  /**
   * @param config The settings of the start.
   * @param cwd The base of relative paths.
   * @param taken What an old master hands over.
   */
  constructor(config: Config, cwd: string, taken?: Taken) {
    this.#cwd = cwd;
    this.#pidFile = taken?.pidFile ?? readStrictly(config, PID_FILE);
    const textsOf = (settings: readonly Setting<unknown>[]) =>
      settings.map(({ name }) => [name, config.getRaw(name)] as const);
    this.#texts = new Map([
      ...textsOf(BY_UPGRADE),
      ...taken?.startSettings ?? textsOf(BY_START),
    ]);
  }

  /** The settings in force that only a start takes. */
  get ofStart(): SettingTexts {
    return BY_START.flatMap(({ name }) => {
      const text = this.#texts.get(name);
      return text === undefined ? [] : [[name, text] as const];
    });
  }

  /**
   * What the settings of a reload or an upgrade change of them: another pid file is a problem, since nobody would find
   * the lock of this master there; the others are warnings.
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
      const found = `a master that runs with ${before ? `"${before}"` : "none"}`;
      const message = cannot("change to", text ?? "", { found, expected });
      return [warningAt(settingOrigin(next, name), { key: name, message })];
    });
    return { problems, warnings };
  }
}
