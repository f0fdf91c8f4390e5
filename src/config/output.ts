/**
 * The settings of the standard outputs of a service's processes.
 *
 * @module
 */
import { type Config, settingOrigin } from "./config.ts";
import { cannot, type Problem, warningAt } from "./errors.ts";
import { formatSize } from "./size.ts";
import type { Rotation } from "./rotation.ts";
import {
  SERVER_OUTPUT,
  SERVER_OUTPUT_FILE,
  SERVER_OUTPUT_KEEP,
  SERVER_OUTPUT_ROTATE,
  SERVER_OUTPUT_TOTAL,
  type ServerOutput,
  type Setting,
} from "./settings.ts";

/** What happens with the standard outputs of a service's processes. */
export interface OutputConfig {
  readonly mode: ServerOutput;
  /** The file for captured output, if there is one. */
  readonly file?: OutputFileConfig;
}

/** The file of a service's output. */
export interface OutputFileConfig extends Rotation {
  /** Its absolute path. */
  readonly path: string;
  /** The most renamed files. */
  readonly keep: number;
  /** The most bytes of the renamed files; `Infinity` is without limit. */
  readonly totalBytes: number;
}

/**
 * Reads these settings.
 *
 * @param read Returns one setting of a service, or its default.
 * @param cwd The absolute directory that relative paths start from.
 */
export function readOutput(
  read: <T>(setting: Setting<T>) => T,
  cwd: string,
): OutputConfig {
  const mode = read(SERVER_OUTPUT), name = read(SERVER_OUTPUT_FILE);
  if (name === undefined || mode === "inherit") return { mode };
  const path = name.startsWith("/") ? name : `${cwd}/${name}`;
  const file = {
    ...{ path, ...read(SERVER_OUTPUT_ROTATE) },
    keep: read(SERVER_OUTPUT_KEEP),
    totalBytes: read(SERVER_OUTPUT_TOTAL),
  };
  return { mode, file };
}

/** The settings of a service, and the shared ones. */
interface OutputSettings {
  readonly config: Config;
  readonly globals?: Config;
}

/** Finds settings of a file that have no effect, or one that nobody can mean. */
export function checkOutput(settings: OutputSettings, { mode, file }: OutputConfig): Problem[] {
  if (file !== undefined) return boundProblems(settings, file);
  const { config } = settings;
  const found = mode === "inherit"
    ? "server-output = inherit, with which the master reads no output"
    : "no server-output-file";
  const expected = mode === "inherit" ? "server-output = capture" : "a file that it applies to";
  return OF_FILE.filter((name) => config.getStr(name) !== "")
    .filter((name) => mode === "inherit" || name !== SERVER_OUTPUT_FILE.name)
    .map((key) =>
      warningAt(settingOrigin(config, key), {
        key,
        message: cannot("apply", key, { found, expected }),
      })
    );
}

/** Warns of a bound that one renamed file may be beyond, so that it is removed at once. */
function boundProblems(
  { config, globals }: OutputSettings,
  { maxBytes, totalBytes }: OutputFileConfig,
): Problem[] {
  if (maxBytes === undefined || totalBytes >= maxBytes) return [];
  const [total, rotate] = [SERVER_OUTPUT_TOTAL.name, SERVER_OUTPUT_ROTATE.name];
  // The setting of the service itself, or else the shared one.
  const places = [config, globals].flatMap((one) =>
    one === undefined
      ? []
      : [total, rotate].map((key) => ({ key, origin: settingOrigin(one, key) }))
  );
  const { key, origin } = places.find(({ origin }) => origin !== undefined) ??
    { key: total, origin: undefined };
  const found = `a file is renamed at ${formatSize(maxBytes)}, and would be removed at once`;
  const expected = `${total} at least as large as the size of ${rotate}`;
  const message = cannot("keep within", formatSize(totalBytes), { found, expected });
  return [warningAt(origin, { key, message })];
}

const OF_FILE = [SERVER_OUTPUT_FILE, SERVER_OUTPUT_ROTATE, SERVER_OUTPUT_KEEP, SERVER_OUTPUT_TOTAL]
  .map(({ name }) => name);
