/**
 * A file system of programs for tests.
 *
 * @module
 */
import { resolvePath } from "../../src/config/address.ts";
import type { ProgramLookup } from "../../src/master/services/program_lookup.ts";
import { UnknownAccountError } from "../../src/os/user/accounts.ts";

/** What there is at a path: the text of an executable, or something else. */
export type FakeFile =
  | { readonly executable: string }
  | "file"
  | "directory"
  | "dead link"
  | "out of reach";

/** The users, each with a group of the same name and number; `self` is the master. */
const IDS: ReadonlyMap<string, number> = new Map([["self", 1000], ["www", 33], ["mail", 8]]);

/**
 * Makes a lookup.
 *
 * @param files What there is, by absolute path.
 * @param options What differs from a Deno of root's at `/opt/deno` with a `PATH` of two directories.
 * @returns The lookup.
 */
export function fakeLookup(
  files: Readonly<Record<string, FakeFile>>,
  options: Partial<
    Pick<
      ProgramLookup,
      | "denoPath"
      | "selfPath"
      | "self"
      | "ownServers"
      | "searchPath"
      | "mayChangeRoot"
      | "mayChangeUser"
      | "mayGiveTo"
      | "looseMode"
      | "setprivCommand"
      | "accessAs"
      | "fileMode"
      | "programText"
      | "readForeignText"
      | "timeOfDayMs"
      | "umask"
    >
  > = {},
): ProgramLookup {
  const at = (path: string): FakeFile | undefined => files[path];
  const number = (which: "user" | "group", name: string) => {
    if (!IDS.has(name)) throw new UnknownAccountError(which, `no such ${which}`);
    return IDS.get(name)!;
  };
  const isExecutable = (path: string) => typeof at(path) === "object";
  return {
    denoPath: "/opt/deno",
    denoVersion: "2.9.6",
    selfPath: "/opt/deno",
    self: undefined,
    openFiles: 1024,
    searchPath: ["/usr/local/bin", "/usr/bin"],
    isExecutable,
    isFile: (path) => at(path) === "file" || isExecutable(path),
    isDirectory: (path) => at(path) === "directory",
    isDeadLink: (path) => at(path) === "dead link",
    isOutOfReach: (path) => at(path) === "out of reach",
    realPath: (path) => path,
    pathInRoot: (root, path) => `${root}${resolvePath("/", path)}`,
    interpreterLine(path) {
      const file = at(path);
      return typeof file === "object" && file.executable.startsWith("#!") ? file.executable : "";
    },
    fileStamp: (path) =>
      ["directory", "dead link", "out of reach"].includes(`${at(path)}`)
        ? undefined
        : at(path) && JSON.stringify(at(path)),
    fileMode: () => undefined,
    readForeignText: () => "",
    programText: () => undefined,
    lastChange: () => undefined,
    localModules: () => Promise.reject(new Error("no modules are known")),
    timeOfDayMs: () => 0,
    looseMode: () => undefined,
    mayChangeRoot: () => true,
    mayChangeUser: () => true,
    credentialsOf({ user, group }) {
      const uid = user === undefined ? undefined : number("user", user);
      const gid = group === undefined ? uid! : number("group", group);
      return { ...(uid !== undefined && { uid }), gid, groups: [gid] };
    },
    hasCredentials: ({ uid }) => uid === IDS.get("self"),
    ownerOf: ({ user, group }) => ({
      ...(user !== undefined && { uid: number("user", user) }),
      ...(group !== undefined && { gid: number("group", group) }),
    }),
    mayGiveTo: () => true,
    setprivCommand: () => undefined,
    accessAs: (_, wanted) => wanted.map(([access]) => access !== "w" && access !== "c"),
    denoDir: () => "/var/cache/deno",
    cachePaths: () => [
      { path: "/var", mayHaveNewEntries: true },
      { path: "/var/cache/deno", mayHaveNewEntries: false },
    ],
    umask: () => 0o022,
    withoutCaches: () => ({ DENO_DIR: "/var/cache/deno/none" }),
    ...options,
  };
}
