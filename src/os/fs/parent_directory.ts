/**
 * The directory of a path, kept open while its entry is examined, opened and removed. So all steps reach the
 * same directory, even if another user replaces one on the way to it meanwhile.
 *
 * @module
 */
import { O_CLOEXEC, O_PATH } from "../ffi/constants.ts";
import { closeFd, O_DIRECTORY, O_NOFOLLOW } from "../fd/descriptor.ts";
import { ENOENT, SysError } from "../ffi/errors.ts";
import { type FileId, type FileStatus, isSameFile, statusAt } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { openTrustedDirectory } from "./trusted_open.ts";

/** The open directory of a path. */
export class ParentDirectory implements Disposable {
  readonly #fd: number;
  readonly #name: Uint8Array<ArrayBuffer>;

  private constructor(fd: number, readonly path: string) {
    this.#fd = fd;
    this.#name = cString(path.slice(nameStart(path)));
  }

  /**
   * Opens the directory of a path, following only links of root and of this process's user.
   *
   * @throws {SysError} `ELOOP` for a link of another user, and any error of open(2).
   */
  static openTrusted(path: string): ParentDirectory {
    return new ParentDirectory(openTrustedDirectory(path), path);
  }

  /**
   * Opens the directory of a path, following all links: for a file whose device and inode are known.
   *
   * @throws {SysError} Any error of open(2).
   */
  static open(path: string): ParentDirectory {
    const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    const directory = cString(path.slice(0, nameStart(path)) || ".");
    const fd = unwrap(
      { syscall: "open", subject: path },
      () => libc().open(directory, flags, 0),
    );
    return new ParentDirectory(fd, path);
  }

  /** Describes the entry without following a link; undefined if there is none. */
  status(): FileStatus | undefined {
    return unlessMissing(() => statusAt(this.#fd, this.#name, this.path));
  }

  /**
   * Opens the entry without following a link.
   *
   * @param flags As in open(2).
   * @param mode The mode of a new file, less the umask.
   * @returns The descriptor, close-on-exec and owned by the caller.
   * @throws {SysError} Any error of open(2).
   */
  openEntry(flags: number, mode = 0): number {
    return unwrap(
      { syscall: "open", subject: this.path },
      () => libc().openat(this.#fd, this.#name, flags | O_NOFOLLOW | O_CLOEXEC, mode),
    );
  }

  /** Creates a named pipe; the umask applies to its mode. */
  makeFifo(mode: number): void {
    unwrap(
      { syscall: "mkfifo", subject: this.path },
      () => libc().mkfifoat(this.#fd, this.#name, mode),
    );
  }

  /** Whether the entry is this file. Afterwards only a user who may write to the directory can replace it. */
  has(file: FileId): boolean {
    return isSameFile(this.status(), file);
  }

  /** Moves the entry to another path, and replaces the file there. */
  renameTo(target: ParentDirectory): void {
    unwrap(
      { syscall: "rename", subject: this.path },
      () => libc().renameat(this.#fd, this.#name, target.#fd, target.#name),
    );
  }

  /** Removes the entry if it is this file. */
  remove(file: FileId): void {
    if (!this.has(file)) return;
    // Another process may remove it meanwhile, as a new master does with the socket of an old one.
    unlessMissing(() =>
      unwrap(
        { syscall: "unlink", subject: this.path },
        () => libc().unlinkat(this.#fd, this.#name, 0),
      )
    );
  }

  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}

/** The result of an action; undefined if a file or directory is missing. */
export function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof SysError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

function nameStart(path: string): number {
  return path.lastIndexOf("/") + 1;
}
