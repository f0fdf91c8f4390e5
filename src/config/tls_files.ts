/**
 * The settings of a service's certificate.
 *
 * @module
 */
import { type Config, settingOrigin } from "./config.ts";
import { cannot, type Origin, type Place, type Problem, problemAt } from "./errors.ts";
import { SERVER_TLS_CERT, SERVER_TLS_KEY, type Setting } from "./settings.ts";

/** A file that a setting names. */
export interface TlsFile {
  /** Its path as its server sees it. */
  readonly path: string;
  /** The name of the setting. */
  readonly key: string;
  /** Where the setting was written. */
  readonly origin: Origin;
  /** Whether it is a shared setting, so that the service may have no use for it. */
  readonly isShared: boolean;
}

/** The certificate of a service, and its key. */
export interface TlsFiles {
  readonly cert: TlsFile;
  readonly key: TlsFile;
}

/** The settings that are read. */
interface Source {
  /** The settings of the service. */
  readonly config: Config;
  /** The shared ones. */
  readonly globals: Config;
  /** The place for messages that no line has caused. */
  readonly place: Place;
}

/**
 * Reads these settings.
 *
 * @param read Returns one setting of a service.
 * @param source The settings.
 * @param problems Where one of the two without the other is added.
 * @returns Undefined unless both are given.
 */
export function readTlsFiles(
  read: <T>(setting: Setting<T>) => T,
  { config, globals, place }: Source,
  problems: Problem[],
): TlsFiles | undefined {
  const file = (setting: Setting<string | undefined>): TlsFile | undefined => {
    const { name: key } = setting, path = read(setting);
    if (path === undefined) return undefined;
    const isShared = config.getStr(key) === "";
    const origin = settingOrigin(isShared ? globals : config, key) ?? place;
    return { path, key, origin, isShared };
  };
  const cert = file(SERVER_TLS_CERT), key = file(SERVER_TLS_KEY);
  if (cert !== undefined && key !== undefined) return { cert, key };
  const given = cert ?? key;
  if (given !== undefined) {
    const missing = cert === undefined ? SERVER_TLS_CERT : SERVER_TLS_KEY;
    const about = { found: `no ${missing.name} beside it`, expected: "both or neither" };
    const message = cannot("use", given.path, about);
    problems.push(problemAt(given.origin, { key: given.key, message }));
  }
  return undefined;
}
