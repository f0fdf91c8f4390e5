/**
 * The check of the file for a service's output, before its first line comes.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ProgramLookup } from "./program_lookup.ts";

/**
 * Checks that a service's output file can be made.
 *
 * @throws {TypeError} When its directory is missing, or a directory is in its place.
 */
export function requireOutputFile(
  { output: { file } }: ServiceConfig,
  { lookup }: { readonly lookup: Pick<ProgramLookup, "isDirectory"> },
): void {
  if (file === undefined) return;
  const { path } = file, directory = path.slice(0, path.lastIndexOf("/")) || "/";
  if (!lookup.isDirectory(directory)) {
    const found = `no directory "${directory}"`;
    throw new TypeError(cannot("write", path, { found, expected: "a directory that exists" }));
  }
  if (!lookup.isDirectory(path)) return;
  throw new TypeError(cannot("write", path, { found: "a directory", expected: "a file" }));
}
