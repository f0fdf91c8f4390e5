/** A temporary directory with given files, for the tests of the settings. */

/**
 * Makes a directory with files in it, runs a test and removes all of it.
 *
 * @param files The files' contents by name.
 * @param test What to run; it gets the directory's path.
 */
export function withFiles(
  files: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>,
  test: (dir: string) => void,
): void {
  const dir = Deno.makeTempDirSync();
  try {
    for (const [name, content] of Object.entries(files)) {
      const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
      Deno.writeFileSync(`${dir}/${name}`, data);
    }
    test(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}
