/**
 * The arguments that a master passes to a server (LIB-ZC section 5).
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { cannot } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ProgramPlace } from "./program_lookup.ts";
import { formatServiceList } from "../../ipc/service_list.ts";

/** The settings that are for the master and not passed to a server. The same as with LIB-ZC. */
const MASTER_KEYS: ReadonlySet<string> = new Set([
  "server-command",
  "server-service",
  "server-proc-count",
  "master-chroot",
]);

/** The settings of a service without a file that are passed to its servers. */
export function ownSettings({ settings }: ServiceConfig): [key: string, value: string][] {
  return [...settings].filter(([key]) => !MASTER_KEYS.has(key));
}

/**
 * The settings of a service without a file as arguments, for a program that can't receive them in
 * another way. None for a service with a file, which the program reads itself.
 */
export function settingArguments(service: ServiceConfig): string[] {
  if (service.file !== undefined) return [];
  return ownSettings(service).flatMap(([key, value]) => [`-${key}`, value]);
}

/**
 * The arguments that a server gets after those of its own command, without the settings.
 *
 * @param service The service.
 * @param options `configPath`: the directory of the settings files, if there is one. `cwd`: the
 * working directory of the master. `lookup`: resolves links.
 * @returns The arguments, from `MASTER` on.
 * @throws {TypeError} When a path for the server is outside of its root.
 */
export function serverArguments(
  service: ServiceConfig,
  options: ProgramPlace & { readonly configPath?: string },
): string[] {
  const { configPath } = options;
  const args = ["MASTER"];
  const path = (outside: string) => pathSeenBy(service, outside, options);
  if (configPath !== undefined) args.push("-server-config-path", path(configPath));
  if (service.file !== undefined) args.push("-config", path(service.file));
  args.push("-server-service", serviceList(service));
  return args;
}

/** A path of the master as the server sees it, possibly with another root or directory. */
function pathSeenBy(
  { masterChroot, masterChdir }: ServiceConfig,
  path: string,
  { cwd, lookup }: ProgramPlace,
): string {
  if (masterChroot === undefined) return masterChdir === undefined ? path : resolvePath(cwd, path);
  if (resolvePath(cwd, masterChroot) === "/") return resolvePath(cwd, path);
  // From the new root, a link to a path outside leads elsewhere.
  const [root, absolute] = [masterChroot, path].map((one) =>
    lookup.realPath(resolvePath(cwd, one))
  );
  if (`${absolute}/`.startsWith(`${root}/`)) return absolute.slice(root.length) || "/";
  throw new TypeError(
    cannot("pass on", path, { found: "a path outside", expected: `one inside of ${root}` }),
  );
}

function serviceList({ endpoints }: ServiceConfig): string {
  return formatServiceList(
    endpoints.map(({ service: name, kind }) => ({ name, type: kind })),
  );
}
