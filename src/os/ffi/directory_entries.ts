/**
 * The names in a directory as bytes (readdir(3)).
 *
 * @module
 */
import { decodeBytes } from "./byte_text.ts";
import { libc } from "./libc.ts";

/** The offsets of d_reclen and d_name in glibc's struct dirent. */
const RECORD_LENGTH_AT = 16, NAME_AT = 19;

/**
 * Lists a directory without `.` and `..`, and closes its descriptor.
 *
 * @param fd The directory, opened for reading. Owned by this function.
 */
export function entriesOf(fd: number): string[] {
  const directory = libc().fdopendir(fd);
  try {
    const names: string[] = [];
    for (let entry; (entry = libc().readdir(directory)) !== null;) {
      const view = new Deno.UnsafePointerView(entry);
      const name = new Uint8Array(view.getUint16(RECORD_LENGTH_AT) - NAME_AT);
      view.copyInto(name, NAME_AT);
      names.push(decodeBytes(name.subarray(0, name.indexOf(0))));
    }
    return names.filter((name) => name !== "." && name !== "..");
  } finally {
    libc().closedir(directory);
  }
}
