/**
 * Directories for one test, removed with all that is in them when the test ends.
 *
 * @module
 */

/** A new empty directory, with a path short enough for unix sockets. */
export class TempDir implements Disposable {
  /** Its absolute path, without a slash at the end. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "zc_" });

  /**
   * The path of a file in it, which is not made by this.
   *
   * @param name Relative to the directory.
   */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /**
   * Writes a file in it.
   *
   * @param name Relative to the directory.
   * @param text The whole content.
   * @returns Its path.
   */
  write(name: string, text: string): string {
    Deno.writeTextFileSync(this.file(name), text);
    return this.file(name);
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
