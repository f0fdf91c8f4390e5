/**
 * Standard outputs that are files, and their reopening after a log rotation has renamed them.
 *
 * @module
 */
import { O_CLOEXEC } from "../ffi/constants.ts";
import { closeFd, openDescriptors } from "../fd/descriptor.ts";
import { EBADF, SysError } from "../ffi/errors.ts";
import { type FileId, type FileStatus, fileStatus, isSameFile } from "../ffi/file_status.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";
import { isTrusted, openTrustedToAppend } from "./trusted_open.ts";

const STANDARD_OUTPUTS = [1, 2];
const READ_AND_WRITE = 0o666, OWNER_ALONE = 0o600;

/** A standard output that refers to another file now. */
export interface ChangedOutput {
  /** 1 or 2. */
  readonly fd: number;
  /** The previous file. */
  readonly before: FileId;
}

/** The files of this process's standard outputs. */
export class OutputFiles {
  /** Their paths at the start, by descriptor: later the kernel reports the new name of a renamed file. */
  readonly #paths: ReadonlyMap<number, string>;

  /** Reads the targets of the outputs. */
  constructor() {
    this.#paths = new Map(
      STANDARD_OUTPUTS.filter((fd) => statusOf(fd)?.isRegular)
        .map((fd) => [fd, readLinkProcSelf(`fd/${fd}`)]),
    );
  }

  /**
   * Reopens each file that is not at its path any more, and creates it if missing.
   *
   * @param report Receives the error of a file that can't be opened; its output stays unchanged.
   * @returns The reopened outputs.
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

  #reopen(fd: number, path: string): FileId | undefined {
    const before = statusOf(fd);
    if (before === undefined) return undefined;
    const opened = openTrustedToAppend(path, newMode(before));
    try {
      if (isSameFile(fileStatus(opened, path), before)) return undefined;
      replaceFile(before, opened);
      return { dev: before.dev, ino: before.ino };
    } finally {
      closeFd(opened);
    }
  }
}

/**
 * Redirects every descriptor of this process from one file to another: the standard outputs and the runtime's
 * duplicates of them.
 *
 * @param file The file.
 * @param by A descriptor of the other one. Borrowed.
 */
export function replaceFile(file: FileId, by: number): void {
  for (const fd of openDescriptors().keys()) {
    const status = statusOf(fd);
    if (status === undefined || fd === by || !isSameFile(status, file)) continue;
    const flags = STANDARD_OUTPUTS.includes(fd) ? 0 : O_CLOEXEC;
    unwrap({ syscall: "dup3", subject: fd }, () => libc().dup3(by, fd, flags));
  }
}

/**
 * The mode of the file that takes the place of another. The owner of that one may have set any mode: a new file
 * of root must be no program, and only root and this process's user decide who reads it.
 */
function newMode({ mode, uid }: FileStatus): number {
  return isTrusted(uid) ? mode & READ_AND_WRITE : OWNER_ALONE;
}

/** The file behind a descriptor; undefined if it is not open. */
function statusOf(fd: number): FileStatus | undefined {
  try {
    return fileStatus(fd, `descriptor ${fd}`);
  } catch (error) {
    if (error instanceof SysError && error.errno === EBADF) return undefined;
    throw error;
  }
}
