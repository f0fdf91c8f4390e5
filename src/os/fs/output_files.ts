/**
 * Standard outputs that are files, and what becomes of them when somebody has renamed those files to
 * begin new ones (log rotation).
 *
 * @module
 */
import { closeFd, O_CLOEXEC, openDescriptors } from "../fd/descriptor.ts";
import { EBADF, SysError } from "../ffi/errors.ts";
import { type FileStatus, fileStatus } from "../ffi/file_status.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";
import { openTrustedToAppend } from "./trusted_open.ts";

const STANDARD_OUTPUTS = [1, 2];

/** A file, by which the descriptors of it are known. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** A standard output that leads to another file now. */
export interface ChangedOutput {
  /** 1 or 2. */
  readonly fd: number;
  /** The file that it has led to. */
  readonly before: FileIdentity;
}

/** The files of this process's standard outputs. */
export class OutputFiles {
  /** Their paths at the start, by descriptor: later on, the kernel tells the new name of a renamed file. */
  readonly #paths: ReadonlyMap<number, string>;

  /** Looks where the outputs lead to. */
  constructor() {
    this.#paths = new Map(
      STANDARD_OUTPUTS.filter((fd) => statusOf(fd)?.isRegular)
        .map((fd) => [fd, readLinkProcSelf(`fd/${fd}`)]),
    );
  }

  /**
   * Opens each of the files anew that is not at its path any more, and makes it if it is not there.
   *
   * @param report Told why one can't be opened: it stays as it was.
   * @returns Those that were opened.
   */
  reopen(report: (path: string, error: SysError) => void): ChangedOutput[] {
    return [...this.#paths].flatMap(([fd, path]) => {
      try {
        const before = this.#reopen(fd, path);
        return before === undefined ? [] : [{ fd, before }];
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        report(path, error);
        return [];
      }
    });
  }

  #reopen(fd: number, path: string): FileIdentity | undefined {
    const before = statusOf(fd);
    if (before === undefined) return undefined;
    const opened = openTrustedToAppend(path, before.mode);
    try {
      if (isSame(fileStatus(opened, path), before)) return undefined;
      replaceFile(before, opened);
      return { dev: before.dev, ino: before.ino };
    } finally {
      closeFd(opened);
    }
  }
}

/**
 * Lets every descriptor of this process that leads to a file lead to another one: the standard outputs,
 * and what the runtime has made of them.
 *
 * @param file The file.
 * @param by A descriptor of the other one. Borrowed.
 */
export function replaceFile(file: FileIdentity, by: number): void {
  for (const fd of openDescriptors().keys()) {
    const status = statusOf(fd);
    if (status === undefined || fd === by || !isSame(status, file)) continue;
    const flags = STANDARD_OUTPUTS.includes(fd) ? 0 : O_CLOEXEC;
    unwrap({ syscall: "dup3", subject: fd }, () => libc().dup3(by, fd, flags));
  }
}

/** What a descriptor leads to; undefined for one that is not open. */
function statusOf(fd: number): FileStatus | undefined {
  try {
    return fileStatus(fd, `descriptor ${fd}`);
  } catch (error) {
    if (error instanceof SysError && error.errno === EBADF) return undefined;
    throw error;
  }
}

function isSame(one: FileIdentity, other: FileIdentity): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
