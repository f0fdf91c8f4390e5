/**
 * The settings files that have changed since the running processes were given what is in them.
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import { settingsFilesOf } from "../config/directory.ts";
import type { Status } from "../control/status.ts";
import type { ResolvedService } from "../master/policy/resolved_service.ts";
import { ifThere, statPath } from "../os/fs/path.ts";

/** Where settings may be. */
export interface SettingsPlace {
  /** The directory of `-C`, an absolute path. */
  readonly directory: string | undefined;
  /** The files of `-config`, absolute paths. */
  readonly configFiles: readonly string[];
  /** The working directory of the master. */
  readonly cwd: string;
}

/** A settings file. */
interface ReadFile {
  readonly path: string;
  /** The ids of the services that it is for; undefined for all of them. */
  readonly services?: readonly string[];
}

/** What has changed. */
export interface ChangedFiles {
  readonly paths: readonly string[];
  /** Whether the settings of a service are those of its processes. */
  isInForce(id: string): boolean;
}

/**
 * Finds the files that have changed since the master has read them.
 *
 * @param services The services as the files have them now.
 * @param place Where the files are.
 * @param status The status of the master.
 */
export function changedFiles(
  services: readonly ResolvedService[],
  place: SettingsPlace,
  status: Status,
): ChangedFiles {
  const changed = filesOf(services, place).filter(({ path, services: ids = [] }) =>
    isNewer(path, status.master.settingsReadAtMs) &&
    !(ids.length > 0 && ids.every((id) => isReadLater(path, id, status)))
  );
  return {
    paths: [...new Set(changed.map(({ path }) => path))],
    isInForce: (id) => changed.every(({ services: ids }) => ids !== undefined && !ids.includes(id)),
  };
}

function filesOf(
  services: readonly ResolvedService[],
  { directory, configFiles, cwd }: SettingsPlace,
): ReadFile[] {
  const { cf, gcf } = directory === undefined ? { cf: [], gcf: [] } : settingsFilesOf(directory);
  const variables = services.flatMap(({ id, environmentFile }) =>
    environmentFile === undefined ? [] : [{ id, path: resolvePath(cwd, environmentFile) }]
  );
  return [
    ...gcf.map(({ path }) => ({ path })),
    ...cf.map(({ path, name }) => ({ path, services: [name] })),
    ...configFiles.map((path) => ({ path })),
    ...Array.from(
      Map.groupBy(variables, ({ path }) => path),
      ([path, users]) => ({ path, services: users.map(({ id }) => id) }),
    ),
  ];
}

/** A reload of named services starts all their processes anew, and leaves the time as it is. */
function isReadLater(path: string, id: string, { services }: Status): boolean {
  const { processes = [] } = services.find((one) => one.id === id) ?? {};
  return processes.length > 0 &&
    processes.every(({ ageMs }) => !isNewer(path, Date.now() - ageMs));
}

/** Whether a file was changed after a time; one that is gone was, too. */
function isNewer(path: string, thanMs: number): boolean {
  return (ifThere(() => statPath(path))?.mtime?.getTime() ?? Infinity) > thanMs;
}
