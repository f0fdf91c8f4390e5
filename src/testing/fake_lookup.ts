/**
 * A file system of programs for tests.
 *
 * @module
 */
import type { ProgramLookup } from "../master/program.ts";

/** What there is at a path: the text of an executable, or something else. */
export type FakeFile = { readonly executable: string } | "file" | "directory";

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
    Pick<ProgramLookup, "denoPath" | "selfPath" | "searchPath" | "mayChangeRoot">
  > = {},
): ProgramLookup {
  const at = (path: string): FakeFile | undefined => files[path];
  const isExecutable = (path: string) => typeof at(path) === "object";
  return {
    denoPath: "/opt/deno",
    selfPath: "/opt/deno",
    searchPath: ["/usr/local/bin", "/usr/bin"],
    isExecutable,
    isFile: (path) => at(path) === "file" || isExecutable(path),
    isDirectory: (path) => at(path) === "directory",
    interpreterLine(path) {
      const file = at(path);
      return typeof file === "object" && file.executable.startsWith("#!") ? file.executable : "";
    },
    fileStamp: (path) =>
      at(path) === "directory" ? undefined : at(path) && JSON.stringify(at(path)),
    mayChangeRoot: () => true,
    ...options,
  };
}
